import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { duplexPair, type Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import type { Endpoint } from '../../../../src/lib/console/reach/address.ts';
import { connectionOf, openSocket } from '../../../../src/lib/console/reach/dial-steps.ts';
import {
  endpointDial,
  tunnelDial,
  type PreflightStep,
  type Tunnel,
} from '../../../../src/lib/console/reach/dial.ts';
import { preflight } from '../../../../src/lib/console/reach/preflight.ts';
import { Attempts } from '../../../../src/lib/console/reach/reach-error.ts';
import { readExactly } from '../../../../src/lib/read-exactly.ts';
import { VmopError } from '../../../../src/lib/errors.ts';
import { startFakeServer, type FakeServer, type FakeServerOptions } from '../bridge/spice-server.ts';
import { rejectionOf } from '../helpers.ts';

const NEVER = new AbortController().signal;
const given = <T>(value: T) => ({ value, source: 'test' });
const at = (port: number, rest: Partial<Endpoint> = {}): Endpoint => ({
  host: given('127.0.0.1'),
  port: given(port),
  ...rest,
});

async function fakeServer(t: TestContext, options: Partial<FakeServerOptions> = {}): Promise<FakeServer> {
  const server = await startFakeServer({ passwords: () => [], ...options });
  t.after(() => server.close());
  return server;
}

/** Steps without what differs from run to run. */
const steps = (found: PreflightStep[]): [PreflightStep['name'], boolean, string][] =>
  found.map(({ name, ok, ms, detail }) => {
    assert.ok(Number.isInteger(ms) && ms >= 0);
    return [name, ok, detail];
  });

const address = (text: string) => ({ address: text, family: 4 });

test('of several addresses the one that answers is taken', async (t) => {
  const { port } = await fakeServer(t);
  const socket = openSocket('several', port, [address('127.0.0.2'), address('127.0.0.1')]);
  await connectionOf(socket, NEVER);
  assert.equal(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
});

test('of several addresses that fail, each is told', async (t) => {
  const { port } = await fakeServer(t);
  const socket = openSocket('several', port, [address('127.0.0.2'), address('127.0.0.3')]);
  socket.on('error', () => {});
  await assert.rejects(connectionOf(socket, NEVER), (error) => {
    assert.ok(error instanceof Attempts);
    assert.deepEqual(
      error.errors.map(({ message }) => message),
      [`connect ECONNREFUSED 127.0.0.2:${port}`, `connect ECONNREFUSED 127.0.0.3:${port}`],
    );
    return true;
  });
});

test('the steps of a call, in their order', async (t) => {
  const { port } = await fakeServer(t);
  const plain = await preflight(at(port), { signal: NEVER });
  assert.deepEqual(steps(plain.steps), [
    ['tcp', true, `127.0.0.1:${port}`],
    ['greeting', true, 'SPICE'],
  ]);
  const proxy = createServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', () => {
        const onward = connect(port, '127.0.0.1', () => {
          socket.write('HTTP/1.1 200 Go\u001b[31m on\r\n\r\n');
          socket.pipe(onward).pipe(socket);
        });
        onward.on('error', () => socket.destroy());
        socket.on('close', () => onward.destroy());
      });
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => proxy.close());
  const proxyAddress = proxy.address();
  assert.ok(typeof proxyAddress === 'object' && proxyAddress !== null);
  const url = given(`http://localhost:${proxyAddress.port}`);
  const told: PreflightStep[] = [];
  const proxied = await preflight(at(port, { proxy: url }), {
    signal: NEVER,
    onStep: (step) => told.push(step),
  });
  assert.deepEqual(proxied, { reachable: true, steps: told });
  const [dns, ...rest] = steps(told);
  assert.equal(dns?.[0], 'dns');
  assert.match(dns?.[2] ?? '', /127\.0\.0\.1/);
  assert.deepEqual(rest, [
    ['tcp', true, `127.0.0.1:${proxyAddress.port}`],
    ['proxy', true, '200 Go\\x1b[31m on'],
    ['greeting', true, 'SPICE'],
  ]);
});

test('TLS is a step of its own; a port that speaks TLS is silent to a plain greeting, or hangs up', async (t) => {
  const { generate } = await import('selfsigned');
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'desktop' }]);
  const { port } = await fakeServer(t, { tls: { key, cert } });
  const tls = { ca: given(cert), hostSubject: given('CN=desktop') };
  const { steps: found, reachable } = await preflight(at(port, { tls }), { signal: NEVER });
  assert.ok(reachable);
  assert.deepEqual(steps(found).slice(1), [
    ['tls', true, 'TLSv1.3'],
    ['greeting', true, 'SPICE'],
  ]);
  const untrusted = await preflight(at(port, { tls: {} }), { signal: NEVER });
  assert.deepEqual(
    untrusted.steps.map(({ name, ok }) => [name, ok]),
    [
      ['tcp', true],
      ['tls', false],
    ],
  );
  const plain = await preflight(at(port), { signal: NEVER });
  assert.ok(!plain.reachable);
  assert.match(String(plain.problem), /^(closed|notSpice)$/);
});

/** A tunnel to a port of this machine. */
function tunnelTo(port: number, forward?: Tunnel['forward']): Tunnel {
  return {
    endpoint: at(port),
    forward: forward ?? (async () => connect({ port, host: '127.0.0.1', allowHalfOpen: true })),
  };
}

test('a tunnel has steps of its own', async (t) => {
  const { port } = await fakeServer(t);
  const { steps: found, reachable } = await preflight(tunnelTo(port), { signal: NEVER });
  assert.ok(reachable);
  assert.deepEqual(steps(found), [
    ['port-forward', true, ''],
    ['greeting', true, 'SPICE'],
  ]);
});

test('TLS goes through a tunnel that is no socket', async (t) => {
  const { generate } = await import('selfsigned');
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'desktop' }]);
  const { port } = await fakeServer(t, { tls: { key, cert } });
  const way = tunnelTo(port, async () => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const [near, far] = duplexPair();
    far.on('error', () => {}).on('close', () => socket.destroy());
    socket.on('error', () => {}).on('close', () => far.destroy());
    socket.pipe(far).pipe(socket);
    return near;
  });
  way.endpoint.tls = { ca: given(cert), hostSubject: given('CN=desktop') };
  const { steps: found, reachable } = await preflight(way, { signal: NEVER });
  assert.ok(reachable);
  assert.deepEqual(
    found.map(({ name }) => name),
    ['port-forward', 'tls', 'greeting'],
  );
});

test('a tunnel that fails: in the API server’s words, in the network’s, and not at all', async () => {
  const refused = new VmopError('forbidden', 'pods "vm" is forbidden', { hint: 'ask' });
  const dial = tunnelDial(tunnelTo(5900, () => Promise.reject(refused)));
  assert.equal(await rejectionOf(dial(NEVER)), refused);
  const result = await preflight(
    tunnelTo(5900, () => Promise.reject(refused)),
    { signal: NEVER },
  );
  assert.ok(!result.reachable);
  assert.deepEqual([result.problem, result.error], [undefined, refused]);
  const broken = tunnelDial(tunnelTo(5900, () => Promise.reject(new Error('socket hang up'))));
  assert.match(
    (await rejectionOf(broken(NEVER))).message,
    /^the API server carries no connection to 127\.0\.0\.1:5900: socket hang up$/,
  );
  const silent = await preflight(
    tunnelTo(5900, (signal) => once(signal, 'abort').then(() => Promise.reject(new Error('aborted')))),
    { signal: NEVER, timeoutMs: 20 },
  );
  assert.ok(!silent.reachable);
  assert.equal(silent.problem, 'forwardFailed');
  assert.match(silent.error.message, /it does not answer$/);
});

test('what a tunnel was given to be called off with is left alone once it is there', async (t) => {
  const { port } = await fakeServer(t);
  const caller = new AbortController();
  let seen: AbortSignal | undefined;
  const dial = tunnelDial(
    tunnelTo(port, async (signal) => {
      seen = signal;
      return connect(port, '127.0.0.1');
    }),
  );
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const stream = await dial(caller.signal);
  t.mock.timers.tick(3_600_000);
  caller.abort();
  assert.equal(seen?.aborted, false);
  stream.destroy();
});

test('a dial can be called off, and leaves nothing', async (t) => {
  const { open, idle, port } = await fakeServer(t, { silentAt: 'reply' });
  const caller = new AbortController();
  await assert.rejects(endpointDial(at(port))(AbortSignal.abort(new Error('no more'))), /no more/);
  const tls = endpointDial(at(port, { tls: {} }))(caller.signal);
  const never = assert.rejects(tls, /enough/);
  while (open.size === 0) await new Promise((resolve) => setImmediate(resolve));
  caller.abort(new Error('enough'));
  await never;
  await idle();
});

test('each direction of a dialled connection ends on its own', async (t) => {
  const ended = Promise.withResolvers<Duplex>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume().on('end', () => ended.resolve(socket));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const found = server.address();
  assert.ok(typeof found === 'object' && found !== null);
  const stream = await endpointDial(at(found.port))(NEVER);
  stream.end();
  (await ended.promise).end('last words');
  assert.equal(String(await readExactly(stream, 10, NEVER)), 'last words');
  stream.destroy();
});
