import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { ApiError } from '../../../src/lib/cluster/api-error.ts';
import { forwardRefusal, portRefusal } from '../../../src/lib/cluster/forward/errors.ts';
import { CHANNEL_PROTOCOL, SPDY_PROTOCOL } from '../../../src/lib/cluster/forward/framing.ts';
import { VmopError, type ErrorCode } from '../../../src/lib/errors.ts';
import { startHttpProxy } from '../../helpers/proxies.ts';
import { openTestCluster, startTestApi, temporaryFolder, TOKEN } from './fixture.ts';
import { createPod, NAMESPACE, startPort } from './forward-fixture.ts';
import { inTurn, startScriptedServer, testCertificate, type ScriptedRequest } from './scripted-server.ts';
import { callsOf, open, plugin } from './user-fixture.ts';

const POD = { namespace: NAMESPACE, name: 'desktop-1' };
const { signal } = new AbortController();

async function rejection(promise: Promise<unknown>): Promise<VmopError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof VmopError, String(error));
  return error;
}

describe('what the server refuses', { timeout: 30_000 }, () => {
  const rules = ['get', 'create'].map((verb) => ({
    subjects: { users: [`may-${verb}`] },
    verbs: [verb],
    apiGroups: [''],
    resources: ['pods/portforward'],
  }));
  const tokens = {
    'admin-token': { username: 'admin', groups: ['system:masters'] },
    get: { username: 'may-get', groups: [] },
    create: { username: 'may-create', groups: [] },
    nothing: { username: 'may-nothing', groups: [] },
  };

  for (const [token, verb] of [
    ['nothing', 'get'],
    ['create', 'get'],
    ['get', 'create'],
  ] as const) {
    test(`a user who may ${token}`, async (t) => {
      const api = await startTestApi(t, { rules, tokens });
      await createPod(await openTestCluster(t, api), POD.name);
      const cluster = await openTestCluster(t, api, { token });
      const error = await rejection(cluster.forward(POD, 5900, { signal }));
      assert.equal(error.exitCode, 4);
      assert.match(
        error.message,
        /does not allow pods\/portforward for pod "desktop-1" in namespace "default"/,
      );
      assert.match(error.message, new RegExp(`cannot ${verb} resource "pods/portforward"`));
    });
  }

  test('pods that are not there, or do not run', async (t) => {
    const api = await startTestApi(t);
    const cluster = await openTestCluster(t, api);
    await createPod(cluster, 'waiting', { node: '' });
    await createPod(cluster, 'starting', { phase: 'Pending' });
    const codeOf = async (name: string): Promise<string> => {
      const { code, message } = await rejection(cluster.forward({ ...POD, name }, 5900, { signal }));
      return `${code}: ${message}`;
    };
    assert.equal(await codeOf('nobody'), 'notFound: pods "nobody" not found');
    assert.equal(
      await codeOf('waiting'),
      'state: pod "waiting" is not running: pod waiting does not have a host assigned',
    );
    assert.match(await codeOf('starting'), /^state: pod "starting" is not running: /);
  });

  test('HTTP without an upgrade', async (t) => {
    const api = await startTestApi(t);
    await createPod(await openTestCluster(t, api), POD.name);
    const { request } = await import('node:https');
    const path = `${api.url}/api/v1/namespaces/default/pods/desktop-1/portforward?ports=1`;
    const headers = { authorization: 'Bearer admin-token' };
    const status = await new Promise((resolve, reject) => {
      request(path, { ca: api.caPem, headers }, (answer) => resolve(answer.resume().statusCode))
        .on('error', reject)
        .end();
    });
    assert.equal(status, 400);
  });
});

describe('what does not answer', { timeout: 30_000 }, () => {
  test('an API server that is silent', async (t) => {
    const server = await startScriptedServer(t, () => {}, { tls: true });
    const cluster = await openTestCluster(t, server, { timeoutMs: 200 });
    const error = await rejection(cluster.forward(POD, 5900, { signal }));
    assert.equal(error.code, 'unreachable');
    assert.equal(error.message, 'port 5900 of pod "desktop-1" was not opened by the API server within 0.2 s');
  });

  test('an API server that refuses and does not come to an end', async (t) => {
    const refuse = ({ response }: ScriptedRequest): void => void response.writeHead(403).write('{');
    const server = await startScriptedServer(t, refuse, { tls: true });
    const cluster = await openTestCluster(t, server, { timeoutMs: 200 });
    const error = await rejection(cluster.forward(POD, 5900, { signal }));
    assert.match(error.message, /was not opened by the API server within 0.2 s$/);
  });

  test('an API server that is silent until nobody waits any more', async (t) => {
    const abort = new AbortController();
    const server = await startScriptedServer(t, () => abort.abort(new VmopError('interrupted', 'enough')), {
      tls: true,
    });
    const cluster = await openTestCluster(t, server);
    const error = await rejection(cluster.forward(POD, 5900, { signal: abort.signal }));
    assert.equal(error.message, 'enough');
  });

  test('an API server that knows no WebSocket, a login page', async (t) => {
    const server = await startScriptedServer(t, inTurn({ status: 200, body: '<html>' }), { tls: true });
    const cluster = await openTestCluster(t, server);
    assert.ok(await rejection(cluster.forward(POD, 5900, { signal })));
  });

  test('nobody', async (t) => {
    const cluster = await openTestCluster(t, { url: 'https://127.0.0.1:1', caPem: '' });
    const error = await rejection(cluster.forward(POD, 5900, { signal }));
    assert.equal(error.code, 'unreachable');
    assert.match(error.message, /nothing listens there/);
  });
});

/** An API server that takes every WebSocket with this subprotocol, says `then`, and hears no more. */
async function startUpgrading(
  t: TestContext,
  protocol: string,
  then: (socket: Socket) => void,
): Promise<{ url: string; caPem: string }> {
  const { keyPem: key, certPem: cert } = await testCertificate();
  const server = createServer({ key, cert });
  const sockets: Socket[] = [];
  server.on('upgrade', ({ headers }, socket: Socket) => {
    sockets.push(socket.on('error', () => {}));
    const accept = createHash('sha1')
      .update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
    );
    then(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `https://127.0.0.1:${address.port}`, caPem: cert };
}

describe('a WebSocket that is there, and', { timeout: 30_000 }, () => {
  const CLOSE_FRAME = Buffer.from([0x88, 0x02, 0x03, 0xe8]);
  const ends: [name: string, then: (socket: Socket) => void][] = [
    ['is closed', (socket) => void socket.end(CLOSE_FRAME)],
    ['ends', (socket) => void socket.end()],
    ['breaks off', (socket) => void socket.destroy()],
  ];
  for (const protocol of [SPDY_PROTOCOL, CHANNEL_PROTOCOL]) {
    for (const [name, then] of ends) {
      test(`${name} before the port is, in ${protocol}`, async (t) => {
        const cluster = await openTestCluster(t, await startUpgrading(t, protocol, then));
        const error = await rejection(cluster.forward(POD, 5900, { signal }));
        assert.equal(error.code, 'unreachable');
        assert.match(error.message, /^the connection to port 5900 of pod "desktop-1" .* broke off/);
      });
    }
  }

  test('is not wanted any more', async (t) => {
    const abort = new AbortController();
    const closed = Promise.withResolvers<void>();
    const server = await startUpgrading(t, SPDY_PROTOCOL, (socket) => {
      socket.resume().once('close', () => closed.resolve());
      socket.once('data', () => abort.abort('SIGINT'));
    });
    const cluster = await openTestCluster(t, server);
    const reason: unknown = await cluster.forward(POD, 5900, { signal: abort.signal }).catch((why) => why);
    assert.equal(reason, 'SIGINT');
    await closed.promise;
  });
});

test('a token that ran out: the plug-in is asked again, also through a proxy', async (t) => {
  const api = await startTestApi(t);
  await createPod(await openTestCluster(t, api), POD.name);
  const proxy = await startHttpProxy(t);
  const folder = await temporaryFolder(t);
  const { cluster } = await open(t, {
    user: plugin(folder, `{ token: calls === 1 ? 'old' : '${TOKEN}' }`),
    cluster: {
      server: api.url,
      'certificate-authority-data': Buffer.from(api.caPem).toString('base64'),
      'proxy-url': `http://127.0.0.1:${proxy.port}`,
    },
  });
  const port = await startPort(t, (socket) => socket.pipe(socket));
  const abort = new AbortController();
  const stream = await cluster.forward(POD, port, { signal: abort.signal });
  stream.on('error', () => {}).write('hello');
  assert.equal(String((await once(stream, 'data'))[0]), 'hello');
  abort.abort();
  assert.equal(await callsOf(folder), 2);
  assert.ok(proxy.asked.every((address) => `https://${address}` === api.url));
  assert.ok(proxy.asked.length > 0);
});

test('closing the cluster ends its connections', { timeout: 30_000 }, async (t) => {
  const api = await startTestApi(t);
  const cluster = await openTestCluster(t, api);
  await createPod(cluster, POD.name);
  const ended = Promise.withResolvers<void>();
  const port = await startPort(t, (socket) => socket.resume().once('end', () => ended.resolve()));
  const stream = await cluster.forward(POD, port, { signal });
  const failed = new Promise((resolve) => stream.once('error', resolve));
  cluster.close();
  assert.match(String(await failed), /the connection to cluster "vmop-sandbox" was closed/);
  await ended.promise;
});

const refusals: [code: number, message: string, wanted: ErrorCode][] = [
  [403, 'pods "a" is forbidden: ', 'forbidden'],
  [404, 'pods "a" not found', 'notFound'],
  [400, 'pod a does not have a host assigned', 'state'],
  [404, 'the API server answered with status 404: pod does not exist', 'state'],
  [500, 'the API server answered with status 500: pod not found ("a_default")', 'state'],
  [500, 'sandbox container "1" is not running', 'state'],
  [500, 'error dialing backend: dial tcp 192.0.2.1:10250: connect: no route to host', 'unreachable'],
  [500, 'Internal error occurred', 'failed'],
];
for (const [code, message, wanted] of refusals) {
  test(`refusal ${code} ${message}`, () => {
    const error = forwardRefusal(new ApiError({ code, message, reason: '' }), POD);
    assert.equal(error.code, wanted);
    assert.ok(error.message.includes(message));
  });
}

const CONTAINERD =
  'error forwarding port 5900 to pod 1f, uid : failed to execute portforward in network namespace "host": failed to ' +
  'connect to localhost:5900 inside namespace "host", IPv4: dial tcp4 127.0.0.1:5900: connect: connection refused';
const failures: [text: string, wanted: string][] = [
  [CONTAINERD, 'nothing listens on port 5900 of pod "desktop-1"'],
  [
    'timed out waiting for streams\n',
    'port 5900 of pod "desktop-1" cannot be used: timed out waiting for streams',
  ],
];
for (const [said, wanted] of failures) {
  test(`the node says: ${said.slice(0, 40)}`, () => {
    const error = portRefusal(said, POD, 5900);
    assert.equal(error.code, 'console');
    assert.equal(error.message, wanted);
  });
}
