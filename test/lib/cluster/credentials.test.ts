import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { generate } from 'selfsigned';
import { stringify } from 'yaml';
import {
  isStatus,
  loadKubeconfig,
  openCluster,
  type Cluster,
  type ClusterOptions,
} from '../../../src/lib/cluster/index.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { CONFIG_MAPS, rejectionOf, temporaryFolder } from './fixture.ts';
import {
  kubeStatus,
  reply,
  startScriptedServer,
  testCertificate,
  type ScriptedRequest,
  type ScriptedServer,
} from './scripted-server.ts';

const ref = { namespace: 'default', name: 'a' };

interface Parts {
  user?: object;
  cluster?: object;
  options?: Partial<ClusterOptions>;
  /** Files beside the kubeconfig. */
  files?: Record<string, string>;
  script?: (request: ScriptedRequest) => void;
}

interface Opened {
  server: ScriptedServer;
  cluster: Cluster;
  folder: string;
  /** The header that each request bore. */
  sent: (header?: string) => unknown[];
}

/** A client whose kubeconfig has this user, and a server that tells what it was sent. */
async function open(
  t: TestContext,
  { user = {}, cluster = {}, options, files = {}, script = reply }: Parts,
): Promise<Opened> {
  const server = await startScriptedServer(t, (request) => script(request), { tls: true });
  const folder = await temporaryFolder(t);
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
  const file = path.join(folder, 'config');
  const authority = { 'certificate-authority-data': Buffer.from(server.caPem).toString('base64') };
  await writeFile(
    file,
    stringify({
      clusters: [{ name: 'c', cluster: { server: server.url, ...authority, ...cluster } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  const opened = openCluster(loadKubeconfig({ env: {}, file }), {
    userAgent: 'vmop-test',
    timeoutMs: 20_000,
    ...options,
  });
  t.after(() => opened.close());
  return {
    server,
    cluster: opened,
    folder,
    sent: (header = 'authorization') => server.requests.map(({ headers }) => headers[header]),
  };
}

/** A plug-in that counts its calls in a file and prints this as its answer. */
function plugin(folder: string, status: string, more: object = {}): object {
  const code = [
    `const fs = require('node:fs');`,
    `fs.appendFileSync(${JSON.stringify(path.join(folder, 'calls'))}, 'x');`,
    `const calls = fs.readFileSync(${JSON.stringify(path.join(folder, 'calls'))}, 'utf8').length;`,
    `const info = JSON.parse(process.env.KUBERNETES_EXEC_INFO ?? 'null');`,
    `console.log(JSON.stringify({ kind: 'ExecCredential', status: ${status} }));`,
  ].join('\n');
  const apiVersion = 'client.authentication.k8s.io/v1';
  return {
    exec: {
      apiVersion,
      command: process.execPath,
      args: ['-e', code],
      env: null,
      interactiveMode: 'Never',
      ...more,
    },
  };
}

const callsOf = async (folder: string): Promise<number> =>
  (await readFile(path.join(folder, 'calls'), 'utf8')).length;

describe('what is sent', () => {
  test('a token', async (t) => {
    const { cluster, sent } = await open(t, { user: { token: 'secret\n' } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer secret']);
    assert.deepEqual(sent('user-agent'), ['vmop-test']);
  });

  test('a name and a password', async (t) => {
    const { cluster, sent } = await open(t, { user: { username: 'me', password: 'pass' } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), [`Basic ${Buffer.from('me:pass').toString('base64')}`]);
  });

  test('a token file beside the kubeconfig, before a token', async (t) => {
    const user = { tokenFile: 'token', token: 'other' };
    const { cluster, sent } = await open(t, { user, files: { token: 'from-file\n' } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer from-file']);
  });

  test('a token file’s new token, half a minute after it was read', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const { cluster, sent, folder } = await open(t, {
      user: { tokenFile: 'token' },
      files: { token: 'one' },
    });
    await cluster.get(CONFIG_MAPS, ref);
    await writeFile(path.join(folder, 'token'), 'two');
    t.mock.timers.tick(30_000);
    await cluster.get(CONFIG_MAPS, ref);
    t.mock.timers.tick(1);
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer one', 'Bearer one', 'Bearer two']);
  });

  test('a client certificate and an authority in files beside the kubeconfig', async (t) => {
    const { keyPem, certPem } = await testCertificate();
    const { cluster, server } = await open(t, {
      cluster: { 'certificate-authority-data': undefined, 'certificate-authority': 'ca.crt' },
      user: { 'client-certificate': 'me.crt', 'client-key': 'me.key' },
      files: { 'ca.crt': certPem, 'me.crt': certPem, 'me.key': keyPem },
    });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(
      server.requests.map(({ clientName }) => clientName),
      ['vmop sandbox'],
    );
  });

  test('nothing, for a context without a user; the authority counts all the same', async (t) => {
    const { server, folder } = await open(t, {});
    const file = path.join(folder, 'config');
    await writeFile(file, (await readFile(file, 'utf8')).replace('user: u', 'namespace: n'));
    const cluster = openCluster(loadKubeconfig({ env: {}, file }), { userAgent: 'x', timeoutMs: 20_000 });
    t.after(() => cluster.close());
    await cluster.get(CONFIG_MAPS, ref);
    assert.equal(server.requests[0]?.headers.authorization, undefined);
  });

  test('no token in the clear', async (t) => {
    const server = await startScriptedServer(t, (request) => reply(request));
    const { cluster } = await open(t, { user: { token: 'secret' }, cluster: { server: server.url } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.equal(server.requests[0]?.headers.authorization, undefined);
  });
});

describe('impersonation', () => {
  test('a user and groups', async (t) => {
    const { cluster, server } = await open(t, {
      options: { impersonate: { user: 'jürgen 名', groups: ['a', 'b'] } },
    });
    await cluster.get(CONFIG_MAPS, ref);
    const [request] = server.requests;
    const user = String(request?.headers['impersonate-user']);
    assert.equal(Buffer.from(user, 'latin1').toString('utf8'), 'jürgen 名');
    assert.equal(request?.headers['impersonate-group'], 'a, b');
  });

  test('the flag wins over the kubeconfig', async (t) => {
    const { cluster, sent } = await open(t, {
      user: { token: 't', as: 'file' },
      options: { impersonate: { user: 'flag' } },
    });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent('impersonate-user'), ['flag']);
  });

  test('groups alone are not left out, which would be asking with all rights', async (t) => {
    const { cluster, sent } = await open(t, { options: { impersonate: { groups: ['viewers'] } } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent('impersonate-group'), ['viewers']);
  });

  test('a name that is no header', async (t) => {
    const { cluster, server } = await open(t, { options: { impersonate: { user: 'a\nb' } } });
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    assert.ok(error instanceof VmopError);
    assert.match(error.message, /cannot be asked: Invalid character/);
    assert.equal(server.requests.length, 0);
  });
});

describe('plug-ins', () => {
  test('are asked once, also by several requests at once, and told the version of the answer', async (t) => {
    const folder = await temporaryFolder(t);
    const user = plugin(folder, `{ token: info.apiVersion + ' ' + info.kind }`);
    const { cluster, sent } = await open(t, { user });
    await Promise.all([cluster.get(CONFIG_MAPS, ref), cluster.self(), cluster.get(CONFIG_MAPS, ref)]);
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(new Set(sent()), new Set(['Bearer client.authentication.k8s.io/v1 ExecCredential']));
    assert.equal(await callsOf(folder), 1);
  });

  test('keep the environment that the kubeconfig gives them', async (t) => {
    const folder = await temporaryFolder(t);
    const user = plugin(folder, '{ token: process.env.REGION }', { env: [{ name: 'REGION', value: 'eu' }] });
    const { cluster, sent } = await open(t, { user });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer eu']);
  });

  const failures: [string, object, RegExp, RegExp?][] = [
    ['that is not installed', { command: '/nowhere/login' }, /\/nowhere\/login cannot be started: .*ENOENT/],
    [
      'that is not installed, with a hint',
      { command: '/nowhere/login', installHint: 'get it from the shop' },
      /cannot be started/,
      /get it from the shop/,
    ],
    [
      'that refuses',
      { command: 'sh', args: ['-c', 'echo "log in first" >&2; exit 1'] },
      /sh failed: log in first$/,
    ],
    [
      'that fails silently',
      { command: 'sh', args: ['-c', 'exit 1'] },
      /sh failed: exit code 1, it does not say why$/,
    ],
    ['that prints something else', { command: 'echo', args: ['hello'] }, /echo printed no credentials$/],
    ['that prints nothing', { command: 'true' }, /true printed no credentials$/],
    ['that prints no status', { command: 'echo', args: ['{}'] }, /echo printed no credentials$/],
  ];
  for (const [name, exec, message, hint = /./] of failures) {
    test(`one ${name}`, async (t) => {
      const { cluster, server } = await open(t, { user: { exec } });
      const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
      assert.ok(error instanceof VmopError);
      assert.equal(error.code, 'unreachable');
      assert.match(error.message, message);
      assert.match(error.message, /^no credentials for cluster "c" \(https:.*\): /);
      assert.match(error.hint ?? '', hint);
      assert.equal(server.requests.length, 0);
    });
  }

  test('one that waits for somebody: an abort does not wait with it', async (t) => {
    const abort = new AbortController();
    const folder = await temporaryFolder(t);
    // Ends by itself when the test has gone on.
    const code = `require('node:fs').writeFileSync(${JSON.stringify(path.join(folder, 'up'))}, ''); setTimeout(() => {}, 1500)`;
    const exec = { command: process.execPath, args: ['-e', code] };
    const { cluster } = await open(t, { user: { exec }, options: { signal: abort.signal } });
    const calling = cluster.get(CONFIG_MAPS, ref);
    const up = (): Promise<boolean> =>
      readFile(path.join(folder, 'up')).then(
        () => true,
        () => false,
      );
    while (!(await up())) await new Promise(setImmediate);
    abort.abort('SIGINT');
    assert.equal(await rejectionOf(calling), 'SIGINT');
  });
});

describe('after a 401 the credentials are asked for again, once', () => {
  const unlessNew = (request: ScriptedRequest): void =>
    request.headers.authorization === 'Bearer token-1'
      ? reply(request, kubeStatus(401, 'Unauthorized'))
      : reply(request);

  test('a plug-in’s, also where it names no end of them', async (t) => {
    const folder = await temporaryFolder(t);
    const { cluster, sent } = await open(t, {
      user: plugin(folder, "{ token: 'token-' + calls }"),
      script: unlessNew,
    });
    await cluster.get(CONFIG_MAPS, ref);
    await cluster.patch(CONFIG_MAPS, ref, { type: 'merge', body: {} });
    assert.deepEqual(sent(), ['Bearer token-1', 'Bearer token-2', 'Bearer token-2']);
  });

  test('a plug-in’s, by several requests at once', async (t) => {
    const folder = await temporaryFolder(t);
    const { cluster } = await open(t, {
      user: plugin(folder, "{ token: 'token-' + calls }"),
      script: unlessNew,
    });
    await Promise.all(Array.from({ length: 5 }, () => cluster.get(CONFIG_MAPS, ref)));
    assert.equal(await callsOf(folder), 2);
  });

  test('a token file’s', async (t) => {
    const { cluster, sent, folder } = await open(t, {
      user: { tokenFile: 'token' },
      files: { token: 'token-1' },
      script: (request) => {
        unlessNew(request);
      },
    });
    await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    await writeFile(path.join(folder, 'token'), 'token-2');
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer token-1', 'Bearer token-1', 'Bearer token-1', 'Bearer token-2']);
  });

  test('a plug-in’s client certificate', async (t) => {
    const folder = await temporaryFolder(t);
    for (const name of ['client-1', 'client-2']) {
      const { private: key, cert } = await generate([{ name: 'commonName', value: name }], { keyType: 'ec' });
      await writeFile(
        path.join(folder, name),
        JSON.stringify({ clientCertificateData: cert, clientKeyData: key }),
      );
    }
    const status = `JSON.parse(fs.readFileSync(${JSON.stringify(path.join(folder, 'client-'))} + calls, 'utf8'))`;
    const { cluster, server } = await open(t, {
      user: plugin(folder, status),
      script: (request) => reply(request, request.clientName === 'client-1' ? kubeStatus(401) : {}),
    });
    await cluster.get(CONFIG_MAPS, ref);
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(
      server.requests.map(({ clientName }) => clientName),
      ['client-1', 'client-2', 'client-2'],
    );
  });

  test('and no more than once', async (t) => {
    const folder = await temporaryFolder(t);
    const script = (request: ScriptedRequest): void => reply(request, kubeStatus(401, 'Unauthorized'));
    const { cluster, server } = await open(t, {
      user: plugin(folder, "{ token: 'token-' + calls }"),
      script,
    });
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    assert.ok(isStatus(error, 401));
    assert.equal(error.exitCode, 7);
    assert.equal(server.requests.length, 2);
  });
});
