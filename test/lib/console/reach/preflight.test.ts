import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { Endpoint } from '../../../../src/lib/console/reach/address.ts';
import { preflight, type Preflight } from '../../../../src/lib/console/reach/preflight.ts';
import {
  reachError,
  ReachError,
  Attempts,
  type ReachProblem,
} from '../../../../src/lib/console/reach/reach-error.ts';
import { TimeIsUp } from '../../../../src/lib/within.ts';
import { linkMessage } from '../../../../src/lib/console/spice-link.ts';

const NEVER = new AbortController().signal;
const given = <T>(value: T) => ({ value, source: 'spec.vm.display.spice' });

/** A listener on loopback; all its connections must be over at the end of the test. */
async function listen(t: TestContext, onConnection: (socket: Socket) => void): Promise<number> {
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    await Promise.all([...open].map((socket) => once(socket.resume(), 'close')));
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

const endpoint = (port: number, rest: Partial<Endpoint> = {}): Endpoint => ({
  host: given('127.0.0.1'),
  port: given(port),
  ...rest,
});

const call = (target: Endpoint, timeoutMs = 10_000): Promise<Preflight> =>
  preflight(target, { timeoutMs, signal: NEVER });

function spiceReply(error: number): Buffer {
  const reply = Buffer.alloc(16 + 178);
  reply.write('REDQ');
  reply.writeUInt32LE(2, 4);
  reply.writeUInt32LE(2, 8);
  reply.writeUInt32LE(178, 12);
  reply.writeUInt32LE(error, 16);
  return reply;
}

const spiceServer =
  (error = 0) =>
  (socket: Socket): void => {
    socket.once('data', (message: Buffer) => {
      assert.deepEqual(message, linkMessage());
      socket.write(spiceReply(error));
    });
  };

function problemOf(result: Preflight): [ReachProblem, string] {
  assert.ok(!result.reachable);
  assert.ok(result.problem);
  assert.equal(result.steps.at(-1)?.ok, false);
  assert.equal(result.steps.at(-1)?.detail, result.error.message);
  assert.equal(result.error.code, 'console');
  assert.ok(result.error.hint);
  assert.doesNotMatch(result.error.message, /\p{Cc}/u);
  return [result.problem, result.error.message];
}

test('a SPICE server is reachable, and hung up on', async (t) => {
  const port = await listen(t, spiceServer());
  assert.ok((await call(endpoint(port))).reachable);
  assert.ok((await call(endpoint(port, { host: given('localhost') }))).reachable);
});

test('an answer that comes byte by byte', async (t) => {
  const port = await listen(t, (socket) => {
    const bytes = spiceReply(0);
    const send = (at: number): void => {
      if (at < bytes.length && !socket.destroyed)
        socket.write(bytes.subarray(at, at + 1), () => setImmediate(send, at + 1));
    };
    send(0);
  });
  assert.ok((await call(endpoint(port))).reachable);
});

const ANSWERS: [what: string, server: (socket: Socket) => void, problem: ReachProblem, said: RegExp][] = [
  ['a SPICE server that wants TLS', spiceServer(5), 'needsTls', /accepts only TLS/],
  ['a SPICE server that refuses', spiceServer(9), 'spiceError', /refuses with error 9/],
  ['VNC', (socket) => socket.write('RFB 003.008\n'), 'notSpice', /is no SPICE server/],
  [
    'HTTP',
    (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    'notSpice',
    /is no SPICE/,
  ],
  ['hanging up', (socket) => socket.end(), 'closed', /hangs up at once/],
  ['breaking off', (socket) => socket.once('data', () => socket.resetAndDestroy()), 'closed', /hangs up/],
];
for (const [what, server, problem, said] of ANSWERS) {
  test(`what answers: ${what}`, async (t) => {
    const [found, message] = problemOf(await call(endpoint(await listen(t, server))));
    assert.equal(found, problem);
    assert.match(message, said);
  });
}

test('silence ends with the time', async (t) => {
  const port = await listen(t, () => {});
  const [problem, message] = problemOf(await call(endpoint(port), 50));
  assert.equal(problem, 'silent');
  assert.match(message, /^127\.0\.0\.1:\d+ accepts connections and says nothing: a viewer would hang$/);
});

test('nobody listens', async (t) => {
  const port = await listen(t, () => {});
  // Port 1 of another loopback address: nothing listens there, and nobody else will.
  const refused = await call(endpoint(1, { host: given('127.255.255.254') }));
  assert.equal(problemOf(refused)[0], 'refused');
  const unknown = await call(endpoint(port, { host: given('does-not-exist.invalid') }));
  assert.equal(problemOf(unknown)[0], 'nameUnknown');
});

test('an interruption is neither success nor failure', async (t) => {
  const interruption = new AbortController();
  const port = await listen(t, () => interruption.abort(new Error('interrupted')));
  const { signal } = interruption;
  await assert.rejects(preflight(endpoint(port), { timeoutMs: 10_000, signal }), /interrupted/);
  await assert.rejects(preflight(endpoint(port), { timeoutMs: 10_000, signal }), /interrupted/);
});

/** A proxy that answers with `status` and, when that is 200, connects on to `port`. */
function proxy(status: string, port: number, requests: string[]): (socket: Socket) => void {
  return (socket) => {
    socket.once('data', (request: Buffer) => {
      requests.push(request.toString());
      if (!status.includes(' 200')) {
        socket.end(`${status}\r\n\r\n`);
        return;
      }
      const onward = connect(port, '127.0.0.1', () => {
        // In two pieces, as a network may deliver them.
        socket.write(`${status}\r\nVia: x\r\n`);
        socket.write('\r\n');
        socket.pipe(onward).pipe(socket);
      });
      onward.on('error', () => socket.destroy());
      socket.on('close', () => onward.destroy());
    });
  };
}

test('a proxy is asked for the way, with credentials where there are some', async (t) => {
  const port = await listen(t, spiceServer());
  const requests: string[] = [];
  const proxyPort = await listen(t, proxy('HTTP/1.1 200 Connection established', port, requests));
  const through = (auth: string) => ({ proxy: given(`http://${auth}127.0.0.1:${proxyPort}`) });
  assert.ok((await call(endpoint(port, through('')))).reachable);
  assert.ok((await call(endpoint(5900, { ...through('alice:pw@'), host: given('2001:db8::1') }))).reachable);
  assert.equal(requests[0], `CONNECT 127.0.0.1:${port} HTTP/1.0\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  assert.equal(
    requests[1],
    'CONNECT [2001:db8::1]:5900 HTTP/1.0\r\nHost: [2001:db8::1]:5900\r\nProxy-Authorization: Basic YWxpY2U6cHc=\r\n\r\n',
  );
});

const PROXIES: [what: string, server: (socket: Socket) => void, said: RegExp][] = [
  [
    'forbids it',
    proxy('HTTP/1.1 403 Forbidden', 0, []),
    /gives no way to 127\.0\.0\.1:5900: it answers 403 Forbidden$/,
  ],
  ['wants credentials', proxy('HTTP/1.0 407 Proxy Authentication Required', 0, []), /407/],
  ['paints the terminal', proxy('HTTP/1.0 500 \u001b[31mno', 0, []), /500 \\x1b\[31mno/],
  ['is none', (socket) => socket.write('x'.repeat(20_000)), /something that is not HTTP/],
  ['hangs up', (socket) => socket.end(), /it hangs up/],
];
for (const [what, server, said] of PROXIES) {
  test(`a proxy that ${what}`, async (t) => {
    const url = given(`127.0.0.1:${await listen(t, server)}`);
    const [problem, message] = problemOf(await call(endpoint(5900, { proxy: url })));
    assert.equal(problem, 'proxyRefused');
    assert.match(message, said);
  });
}

test('a proxy that says nothing, and one that is not there', async (t) => {
  const silent = given(`127.0.0.1:${await listen(t, () => {})}`);
  const [problem, message] = problemOf(await call(endpoint(5900, { proxy: silent }), 50));
  assert.equal(problem, 'proxyRefused');
  assert.match(message, /it does not answer$/);
  const nowhere = given('http://alice:hunter2@127.255.255.254:1');
  const [missing, said] = problemOf(await call(endpoint(5900, { proxy: nowhere })));
  assert.equal(missing, 'proxyUnreachable');
  assert.doesNotMatch(said, /hunter2/);
});

test('TLS with something that speaks none', async (t) => {
  const plain = await listen(t, (socket) => socket.once('data', () => socket.write('RFB 003.008\n')));
  const [problem, message] = problemOf(await call(endpoint(plain, { tls: {} })));
  assert.equal(problem, 'tlsFailed');
  assert.match(message, /it does not speak TLS$/);
});

test('TLS: the authority and the subject decide', async (t) => {
  const { generate } = await import('selfsigned');
  const attributes = [
    { name: 'organizationName', value: 'vm' },
    { name: 'commonName', value: 'desktop' },
  ];
  const [own, other] = await Promise.all([generate(attributes), generate(attributes)]);
  const server = createTlsServer({ key: own.private, cert: own.cert }, spiceServer());
  server.on('tlsClientError', () => {}).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const withTls = (ca: string, subject?: string) =>
    call(endpoint(address.port, { tls: { ca: given(ca), ...(subject && { hostSubject: given(subject) }) } }));
  assert.ok((await withTls(own.cert, 'O=vm, CN=desktop')).reachable);
  assert.match(
    problemOf(await withTls(own.cert, 'O=vm,CN=other'))[1],
    /is for O=vm,CN=desktop, not for O=vm,CN=other$/,
  );
  assert.match(
    problemOf(await withTls(own.cert))[1],
    /^no TLS with .*: its certificate is for another name$/,
  );
  assert.match(
    problemOf(await withTls(other.cert, 'O=vm,CN=desktop'))[1],
    /^no TLS with .*: its certificate is of no authority that --ca names \(/,
  );
});

const failed = (code: string): Error => Object.assign(new Error(code), { code });
const late = (...before: Error[]): Error =>
  new TimeIsUp('', before.length > 0 ? { cause: new Attempts(before) } : {});

const SYSTEM: [error: Error, problem: ReachProblem][] = [
  [failed('ENOTFOUND'), 'nameUnknown'],
  [failed('EAI_AGAIN'), 'namesSilent'],
  [failed('ECONNREFUSED'), 'refused'],
  [failed('EHOSTUNREACH'), 'unroutable'],
  [failed('ENETUNREACH'), 'unroutable'],
  [failed('ETIMEDOUT'), 'timeout'],
  [failed('ECONNRESET'), 'closed'],
  [failed('EXOTIC'), 'unroutable'],
  [late(), 'timeout'],
  [new Attempts([failed('ECONNREFUSED'), failed('ECONNREFUSED')]), 'refused'],
  [new Attempts([failed('ENETUNREACH'), failed('ECONNREFUSED')]), 'unroutable'],
  [late(failed('ENETUNREACH')), 'unroutable'],
  [late(failed('ETIMEDOUT')), 'timeout'],
];
const NAMES: [error: Error, message: RegExp][] = [
  [failed('ENOTFOUND'), /^the console's host h has no address here$/],
  [failed('EAI_AGAIN'), /^the console's host h cannot be looked up: no name server answers$/],
  [late(), /^the console's host h cannot be looked up: no name server answers$/],
];
test('a name that nobody knows, and nobody who knows names', () => {
  const target = { host: 'h', at: 'h:1', proxy: undefined };
  for (const [error, message] of NAMES) assert.match(reachError(error, 'dns', target).message, message);
});

test('what the system reports of one address or several', () => {
  const target = { host: 'h', at: 'h:1', proxy: undefined };
  for (const [error, problem] of SYSTEM) {
    const found = reachError(error, 'tcp', target);
    assert.ok(found instanceof ReachError);
    assert.equal(found.problem, problem, `${error.name} ${error.message}`);
  }
  const both = reachError(late(failed('ENETUNREACH ::1'), failed('ECONNREFUSED 10.0.0.1')), 'tcp', target);
  assert.match(both.message, /ENETUNREACH ::1; ECONNREFUSED 10\.0\.0\.1; it does not answer$/);
});
