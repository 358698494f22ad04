import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import { VmopError } from '../../../src/lib/errors.ts';
import { startHttpProxy, startSocksProxy } from '../../helpers/proxies.ts';
import { createPod, NAMESPACE, startPort } from './forward-fixture.ts';
import { CONFIG_MAPS, openTestCluster, rejectionOf, startTestApi, TOKEN } from './fixture.ts';
import { reply, startScriptedServer } from './scripted-server.ts';
import { open, ref, type Opened, type Parts } from './user-fixture.ts';

const api = { user: { token: TOKEN } };
const SECRET = 'p@ss:word';

describe('a request, a watch and a port-forward go through', () => {
  const kinds = {
    'an HTTP proxy': { start: startHttpProxy, scheme: 'http' },
    'a SOCKS proxy': { start: startSocksProxy, scheme: 'socks5' },
  };
  for (const [name, { start, scheme }] of Object.entries(kinds)) {
    test(name, async (t) => {
      const { url, caPem } = await startTestApi(t);
      const direct = await openTestCluster(t, { url, caPem });
      await createPod(direct, 'desktop-1');
      const proxy = await start(t);
      const authority = Buffer.from(caPem).toString('base64');
      const { cluster } = await open(t, {
        ...api,
        cluster: {
          server: url,
          'certificate-authority-data': authority,
          'proxy-url': `${scheme}://127.0.0.1:${proxy.port}`,
        },
      });
      const ended = new AbortController();
      t.after(() => ended.abort());
      assert.equal((await cluster.self()).username, 'admin');
      for await (const change of cluster.watch(CONFIG_MAPS, { namespace: 'default', signal: ended.signal })) {
        if (change.type !== 'synced') break;
        await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
      }
      const port = await startPort(t, (socket) => socket.pipe(socket));
      const pod = { namespace: NAMESPACE, name: 'desktop-1' };
      const stream = await cluster.forward(pod, port, { signal: ended.signal });
      stream.on('error', () => {}).write('hello');
      assert.equal(String((await once(stream, 'data'))[0]), 'hello');
      assert.ok(proxy.asked.every((address) => `https://${address}` === url));
      // Requests share a connection; the watch and the forward have their own.
      assert.ok(proxy.asked.length >= 2 && proxy.asked.length <= 4, String(proxy.asked.length));
    });
  }
});

describe('credentials in the proxy’s URL', () => {
  const url = (scheme: string, port: number) =>
    `${scheme}://me:${encodeURIComponent(SECRET)}@127.0.0.1:${port}`;

  test('HTTP', async (t) => {
    const proxy = await startHttpProxy(t);
    const { cluster } = await open(t, { cluster: { 'proxy-url': url('http', proxy.port) } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(proxy.credentials, [`Basic ${Buffer.from(`me:${SECRET}`).toString('base64')}`]);
  });

  test('SOCKS', async (t) => {
    const proxy = await startSocksProxy(t, { wantsPassword: true });
    const { cluster } = await open(t, { cluster: { 'proxy-url': url('socks5', proxy.port) } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(proxy.credentials, [`me:${SECRET}`]);
  });
});

/** A proxy from the environment: the kubeconfig's server has a name, which only the proxy knows. */
async function openNamed(
  t: TestContext,
  variable: string,
  proxyUrl: string,
  parts: Parts = {},
): Promise<Opened> {
  return open(t, {
    ...parts,
    cluster: { server: 'https://api.example:6443' },
    env: { [variable]: proxyUrl },
  });
}

test('the proxy is asked for the server’s name', async (t) => {
  const proxies = [await startHttpProxy(t, 403), await startSocksProxy(t, { refusal: 2 })];
  for (const [index, scheme] of ['http', 'socks5'].entries()) {
    const proxy = proxies[index];
    const { cluster } = await openNamed(t, 'HTTPS_PROXY', `${scheme}://127.0.0.1:${proxy?.port}`);
    await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    assert.deepEqual(proxy?.asked, ['api.example:6443']);
  }
});

describe('a server without TLS', () => {
  test('an HTTP proxy carries the requests themselves', async (t) => {
    const server = await startScriptedServer(t, (request) => reply(request));
    const proxy = await startHttpProxy(t);
    const url = `http://me:secret@127.0.0.1:${proxy.port}`;
    const { cluster } = await open(t, { cluster: { server: server.url, 'proxy-url': url } });
    await cluster.get(CONFIG_MAPS, ref);
    await cluster.self();
    assert.deepEqual(
      proxy.asked,
      server.requests.map(({ path }) => `${server.url}${path}`),
    );
    assert.equal(proxy.asked.length, 2);
    assert.deepEqual(new Set(proxy.credentials), new Set(['Basic bWU6c2VjcmV0']));
  });

  test('one that wants credentials, one that is not there', async (t) => {
    const failing = async (url: string): Promise<string> => {
      const { cluster } = await open(t, { cluster: { server: 'http://api.example', 'proxy-url': url } });
      return String(await rejectionOf(cluster.get(CONFIG_MAPS, ref)));
    };
    const { port } = await startHttpProxy(t, 407);
    assert.match(
      await failing(`http://127.0.0.1:${port}`),
      /the proxy .* wants credentials, or others: 407 Proxy/,
    );
    assert.match(
      await failing('http://127.0.0.1:1'),
      /the proxy http:\/\/127.0.0.1:1 .* cannot be reached: .*ECONN/,
    );
  });

  test('a SOCKS proxy makes a way', async (t) => {
    const server = await startScriptedServer(t, (request) => reply(request));
    const proxy = await startSocksProxy(t);
    const url = `socks5://127.0.0.1:${proxy.port}`;
    const { cluster } = await open(t, { cluster: { server: server.url, 'proxy-url': url } });
    await cluster.get(CONFIG_MAPS, ref);
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual([server.requests.length, proxy.asked.length], [2, 1]);
  });
});

test('a client certificate that is none is an error there, too', async (t) => {
  const proxy = await startHttpProxy(t);
  const { cluster } = await open(t, {
    user: { 'client-certificate-data': 'eA==', 'client-key-data': 'eA==' },
    cluster: { 'proxy-url': `http://127.0.0.1:${proxy.port}` },
  });
  await assert.rejects(cluster.get(CONFIG_MAPS, ref), { exitCode: 7, message: /^cluster "c" .*PEM/ });
});

test('proxy-url wins over the environment', async (t) => {
  const proxy = await startHttpProxy(t);
  const { cluster } = await open(t, {
    cluster: { 'proxy-url': `http://127.0.0.1:${proxy.port}` },
    env: { HTTPS_PROXY: 'http://127.0.0.1:1', NO_PROXY: '*' },
  });
  await cluster.get(CONFIG_MAPS, ref);
  assert.equal(proxy.asked.length, 1);
});

describe('the proxy of the environment, and what NO_PROXY names', () => {
  // An address that leads to this machine, and yet not one that is never proxied.
  const host = '0.0.0.0';
  const cases: [noProxy: string | undefined, proxied: boolean][] = [
    [undefined, true],
    ['', true],
    ['10.0.0.0/8,elsewhere.example', true],
    [`${host}:1`, true],
    [`elsewhere.example, ${host}`, false],
    ['0.0.0.0/8', false],
    ['*', false],
  ];
  for (const [noProxy, proxied] of cases) {
    test(`NO_PROXY=${noProxy ?? ' unset'}: ${proxied ? 'through the proxy' : 'directly'}`, async (t) => {
      const server = await startScriptedServer(t, (request) => reply(request), { tls: true });
      const proxy = await startHttpProxy(t);
      const { port } = new URL(server.url);
      const { cluster } = await open(t, {
        cluster: {
          server: `https://${host}:${port}`,
          'tls-server-name': 'localhost',
          'certificate-authority-data': Buffer.from(server.caPem).toString('base64'),
        },
        env: {
          HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`,
          ...(noProxy === undefined ? {} : { NO_PROXY: noProxy }),
        },
      });
      await cluster.get(CONFIG_MAPS, ref);
      assert.equal(server.requests.length, 1);
      assert.deepEqual(proxy.asked, proxied ? [`${host}:${port}`] : []);
    });
  }
});

test('a proxy that does not answer: the request ends with its time-out, and the client with nothing left', async (t) => {
  const server = net.createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const connected = once(server, 'connection');
  const { cluster } = await openNamed(t, 'HTTPS_PROXY', `http://127.0.0.1:${address.port}`, {
    options: { timeoutMs: 300 },
  });
  const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
  assert.ok(error instanceof VmopError);
  assert.match(error.message, /did not answer within 0.3 s$/);
  const [socket] = await connected;
  assert.ok(socket instanceof net.Socket);
  const closed = once(socket, 'close');
  cluster.close();
  socket.on('error', () => {}).resume();
  await closed;
  await new Promise((resolve) => server.close(resolve));
});

describe('what goes wrong says which proxy, where it is set, and what to do', () => {
  type Start = (t: TestContext) => Promise<string>;
  const http =
    (status: number): Start =>
    async (t) =>
      `http://127.0.0.1:${(await startHttpProxy(t, status)).port}`;
  const socks =
    (options: { refusal?: number; wantsPassword?: boolean }): Start =>
    async (t) =>
      `socks5://127.0.0.1:${(await startSocksProxy(t, options)).port}`;
  const speaking =
    (scheme: string, text: string): Start =>
    async (t) => {
      const server = net.createServer((socket) => socket.on('error', () => {}).end(text));
      t.after(() => void server.close());
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const address = server.address();
      return `${scheme}://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
    };
  const cases: [name: string, start: Start, why: RegExp, hint: RegExp][] = [
    [
      '407',
      http(407),
      /wants credentials, or others: 407 Proxy Auth/,
      /put them into HTTPS_PROXY: http:\/\/NAME/,
    ],
    [
      '403',
      http(403),
      /refuses the connection to the API server: it answers 403 Forbidden$/,
      /administrator/,
    ],
    [
      '502',
      http(502),
      /has no connection to the API server: it answers 502 Bad Gateway$/,
      /is the API server up/,
    ],
    [
      'not there',
      () => Promise.resolve('http://127.0.0.1:1'),
      /cannot be reached: .*ECONNREFUSED/,
      /is it up\?/,
    ],
    [
      'SOCKS not there',
      () => Promise.resolve('socks5://127.0.0.1:1'),
      /cannot be reached: .*ECONN/,
      /is it up\?/,
    ],
    [
      'SOCKS that refuses',
      socks({ refusal: 2 }),
      /not allowed by its rules$/,
      /ask the proxy’s administrator/,
    ],
    [
      'SOCKS without a way',
      socks({ refusal: 4 }),
      /no connection to the API server: host unreachable$/,
      /is the/,
    ],
    [
      'no HTTP',
      speaking('http', 'hello\n'),
      /answers with something that is not HTTP$/,
      /or correct HTTPS_PROXY/,
    ],
    ['hangs up', speaking('http', ''), /hangs up$/, /or correct HTTPS_PROXY/],
    ['no SOCKS', speaking('socks5', 'HTTP/1.1 400\r\n'), /does not speak SOCKS 5$/, /or correct HTTPS_PROXY/],
    ['SOCKS that hangs up', speaking('socks5', ''), /hangs up$/, /or correct HTTPS_PROXY/],
  ];
  for (const [name, start, why, hint] of cases) {
    test(name, async (t) => {
      const url = await start(t);
      const { cluster } = await openNamed(t, 'HTTPS_PROXY', url.replace('//', '//me:secret@'));
      const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
      assert.ok(error instanceof VmopError, String(error));
      assert.equal(error.exitCode, 7);
      const begin = `cluster "c" (https://api.example:6443) cannot be reached: the proxy ${url} (HTTPS_PROXY) `;
      assert.ok(error.message.startsWith(begin), error.message);
      assert.match(error.message, why);
      assert.match(error.hint ?? '', hint);
      assert.doesNotMatch(JSON.stringify(error), /secret/);
    });
  }

  test('SOCKS that wants a password', async (t) => {
    const { cluster } = await openNamed(t, 'https_proxy', await socks({ wantsPassword: true })(t));
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    assert.ok(error instanceof VmopError);
    assert.match(error.message, /\(https_proxy\) wants credentials, or others$/);
    assert.match(error.hint ?? '', /put them into https_proxy: .*; NO_PROXY names servers/);
  });

  test('of a kubeconfig', async (t) => {
    const { cluster } = await open(t, { cluster: { 'proxy-url': 'http://127.0.0.1:1' } });
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    assert.ok(error instanceof VmopError);
    assert.match(
      error.message,
      /the proxy http:\/\/127.0.0.1:1 \(proxy-url of cluster "c" in .*config\) cannot/,
    );
    assert.match(error.hint ?? '', /correct proxy-url of cluster "c" in .*config$/);
  });
});
