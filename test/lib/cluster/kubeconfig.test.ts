import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { stringify } from 'yaml';
import {
  credentialsFingerprint,
  loadKubeconfig,
  type KubeconfigSource,
} from '../../../src/lib/cluster/index.ts';
import { VmopError, type ErrorCode } from '../../../src/lib/errors.ts';
import { temporaryFolder } from './fixture.ts';

interface Entry {
  server?: string;
  namespace?: string;
  user?: object;
}

/** Contexts that have the names of their cluster and user. */
function configText(entries: Record<string, Entry>, current?: string): string {
  const names = Object.entries(entries);
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: names.map(([name, { server = `https://${name}` }]) => ({ name, cluster: { server } })),
    users: names.map(([name, { user = { token: name } }]) => ({ name, user })),
    contexts: names.map(([name, { namespace }]) => ({
      name,
      context: { cluster: name, user: name, ...(namespace === undefined ? {} : { namespace }) },
    })),
    ...(current === undefined ? {} : { 'current-context': current }),
  });
}

async function fileWith(t: TestContext, text: string): Promise<string> {
  const file = path.join(await temporaryFolder(t), 'config');
  await writeFile(file, text);
  return file;
}

function errorOf(source: KubeconfigSource): VmopError {
  try {
    loadKubeconfig(source);
  } catch (error) {
    if (error instanceof VmopError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: 'no error' });
}

test('the context, its cluster and its namespace', async (t) => {
  const file = await fileWith(
    t,
    configText({ a: {}, b: { namespace: 'desks', server: 'HTTPS://b.example:6443//' } }, 'a'),
  );
  assert.deepEqual(loadKubeconfig({ env: {}, file }).info, {
    name: 'a',
    cluster: 'a',
    namespace: 'default',
    server: 'https://a',
  });
  const { info, origin, fallback } = loadKubeconfig({ env: {}, file, context: 'b' });
  assert.deepEqual(info, { name: 'b', cluster: 'b', namespace: 'desks', server: 'https://b.example:6443' });
  assert.deepEqual([origin, fallback], [file, false]);
});

test('an empty namespace is the default one', async (t) => {
  const file = await fileWith(t, configText({ a: { namespace: '' } }, 'a'));
  assert.equal(loadKubeconfig({ env: {}, file }).info.namespace, 'default');
});

test('--server replaces the address', async (t) => {
  const file = await fileWith(t, configText({ a: {} }, 'a'));
  const { info, config } = loadKubeconfig({ env: {}, file, server: 'https://other:1/' });
  assert.equal(info.server, 'https://other:1');
  assert.equal(config.getCurrentCluster()?.server, 'https://other:1');
});

test('--server has another certificate: tls-server-name is for the kubeconfig’s own, as in kubectl', async (t) => {
  const text = 'clusters: [{name: c, cluster: {server: "https://c", tls-server-name: n}}]\n';
  const file = await fileWith(t, `${text}contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x`);
  const nameOf = (server?: string) =>
    loadKubeconfig({ env: {}, file, server }).config.getCurrentCluster()?.tlsServerName;
  assert.deepEqual([nameOf(), nameOf('https://other')], ['n', '']);
});

describe('in a pod', () => {
  const pod = async (t: TestContext): Promise<string> => {
    const folder = await temporaryFolder(t);
    for (const [name, text] of Object.entries({ token: 'secret\n', 'ca.crt': 'pem', namespace: 'desks\n' }))
      await writeFile(path.join(folder, name), text);
    return folder;
  };
  const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '6443' };

  test('the service account, its namespace, its token’s file', async (t) => {
    const serviceAccount = await pod(t);
    const { info, origin, config, userExtras } = loadKubeconfig({ env, serviceAccount });
    assert.deepEqual(info, {
      name: 'in-cluster',
      cluster: 'in-cluster',
      namespace: 'desks',
      server: 'https://10.0.0.1:6443',
    });
    assert.equal(origin, 'in-cluster');
    assert.equal(config.getCurrentCluster()?.caFile, path.join(serviceAccount, 'ca.crt'));
    assert.equal((await userExtras()).tokenFile, path.join(serviceAccount, 'token'));
  });

  test('IPv6, and the port that is left out', async (t) => {
    const { info } = loadKubeconfig({
      env: { KUBERNETES_SERVICE_HOST: 'fd00::1' },
      serviceAccount: await pod(t),
    });
    assert.equal(info.server, 'https://[fd00::1]:443');
  });

  test('a kubeconfig comes first; a sandbox’s own does not', async (t) => {
    const serviceAccount = await pod(t);
    const file = await fileWith(t, configText({ a: {} }, 'a'));
    const load = (more: Partial<KubeconfigSource>) =>
      loadKubeconfig({ env, serviceAccount, ...more }).info.name;
    assert.equal(load({ file }), 'a');
    assert.equal(load({ fallback: () => file }), 'in-cluster');
  });

  test('without a token it is none', () => {
    assert.throws(() => loadKubeconfig({ env, serviceAccount: '/nowhere', fallback: () => undefined }), {
      message: 'no cluster is configured: there is no kubeconfig, and this pod has no /nowhere/token',
    });
    assert.throws(() => loadKubeconfig({ env: {}, serviceAccount: '/nowhere' }), /no cluster is configured/);
  });
});

test('the fingerprint of credentials changes with a token file, a certificate file and the user', async (t) => {
  const folder = await temporaryFolder(t);
  const file = path.join(folder, 'config');
  const put = async (user: object, files: Record<string, string>): Promise<string> => {
    await writeFile(file, configText({ a: { user } }, 'a'));
    for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
    return credentialsFingerprint(loadKubeconfig({ env: {}, file }));
  };
  const tokenFile = { tokenFile: 'token' };
  const certificate = { 'client-certificate': 'me.crt', 'client-key': 'me.key' };
  const prints = [
    await put(tokenFile, {}),
    await put(tokenFile, { token: 'one' }),
    await put(tokenFile, { token: 'two' }),
    await put(certificate, {}),
    await put(certificate, { 'me.crt': 'one' }),
    await put({ token: 'one' }, {}),
    await put({ token: 'one', as: 'bob' }, {}),
    await put({ token: 'one', as: 'bob', 'as-groups': ['g'] }, {}),
  ];
  assert.equal(new Set(prints).size, prints.length);
  assert.equal(await put(tokenFile, { token: 'one' }), prints[1]);
});

describe('what cannot be used', () => {
  const cases: [name: string, text: string, code: ErrorCode, message: RegExp, hint?: RegExp][] = [
    [
      'broken YAML',
      'a: [1,\n b: {',
      'unreachable',
      /cannot be read: unexpected end of the stream.*\(2:6\)/,
      /--kubeconfig/,
    ],
    [
      'broken YAML beside a token, which is not shown',
      'users:\n- name: u\n  user:\n    token: SECRET\n   x: 1\n',
      'unreachable',
      /^(?![^]*SECRET)the kubeconfig .* cannot be read: bad indentation.*\(5:\d+\)$/,
    ],
    ['null', 'null', 'unreachable', /it is not a kubeconfig/],
    [
      'a cluster that is none, and one without a server',
      'clusters: [null, {name: a, cluster: {}}]\ncontexts: [{name: a, context: {cluster: a}}]\ncurrent-context: a',
      'unreachable',
      /names the cluster "a", which .* lacks, or its server$/,
    ],
    [
      'a name that two users have',
      'users: [{name: u, user: {}}, {name: u, user: {}}]',
      'unreachable',
      /cannot be read: it has the name "u" twice in one list/,
    ],
    ['a text', 'hello', 'unreachable', /it is not a kubeconfig/],
    ['a list', '[1, 2]', 'unreachable', /it is not a kubeconfig/],
    ['an empty map', '{}', 'unreachable', /no current context is set/, /names no context at all/],
    ['an empty file', '', 'unreachable', /no current context is set/, /names no context at all/],
    [
      'comments only',
      '# nothing\n---\n\n',
      'unreachable',
      /no current context is set/,
      /names no context at all/,
    ],
    [
      'no current context',
      configText({ a: {}, b: {} }),
      'unreachable',
      /no current context is set/,
      /--context: a, b/,
    ],
    [
      'an unknown current context',
      configText({ a: {} }, 'x'),
      'usage',
      /there is no context "x"/,
      /it has: a/,
    ],
    [
      'a context without its cluster',
      'contexts: [{name: a, context: {cluster: gone, user: u}}]\ncurrent-context: a',
      'unreachable',
      /names the cluster "gone", which .* lacks/,
    ],
    [
      'a context without its user',
      'clusters: [{name: a, cluster: {server: "https://a"}}]\ncontexts: [{name: a, context: {cluster: a, user: gone}}]\ncurrent-context: a',
      'unreachable',
      /names the user "gone", which .* lacks/,
    ],
    [
      'an address without a scheme',
      configText({ a: { server: 'a:6443' } }, 'a'),
      'unreachable',
      /not the address of an API server: "a:6443"/,
      /https:\/\//,
    ],
  ];
  for (const [name, text, code, message, hint = /./] of cases) {
    test(name, async (t) => {
      const error = errorOf({ env: {}, file: await fileWith(t, text) });
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert.match(error.hint ?? '', hint);
    });
  }

  for (const server of ['', 'a', 'a:1', '//a', 'ftp://a', 'https://', 'https://a b', 'https:/a']) {
    test(`--server ${JSON.stringify(server)}`, async (t) => {
      const error = errorOf({ env: {}, file: await fileWith(t, configText({ a: {} }, 'a')), server });
      assert.equal(error.code, 'usage');
    });
  }

  test('--context that is not there', async (t) => {
    const error = errorOf({ env: {}, file: await fileWith(t, configText({ a: {} }, 'a')), context: 'b' });
    assert.deepEqual([error.code, error.hint], ['usage', 'it has: a']);
  });

  test('a file that is not there, named by the flag', () => {
    const error = errorOf({ env: {}, file: '/nowhere/config' });
    assert.equal(error.code, 'unreachable');
    assert.match(error.message, /the kubeconfig \/nowhere\/config cannot be read: ENOENT/);
    assert.match(error.hint ?? '', /--kubeconfig/);
  });

  test('a folder', async (t) => {
    assert.match(errorOf({ env: {}, file: await temporaryFolder(t) }).message, /EISDIR/);
  });

  test('nothing at all', async (t) => {
    for (const env of [
      {},
      { HOME: '' },
      { HOME: await temporaryFolder(t) },
      { KUBECONFIG: '', HOME: '/nowhere' },
    ]) {
      const error = errorOf({ env, fallback: () => undefined });
      assert.equal(error.code, 'unreachable');
      assert.match(error.message, /no cluster is configured/);
      assert.match(error.hint ?? '', /vmop sandbox start/);
    }
  });
});

describe('where it is looked for', () => {
  test('the flag before KUBECONFIG before ~/.kube/config before the fallback', async (t) => {
    const [flag, variable, fallback] = [
      await fileWith(t, configText({ flag: {} }, 'flag')),
      await fileWith(t, configText({ variable: {} }, 'variable')),
      await fileWith(t, configText({ fallback: {} }, 'fallback')),
    ];
    const home = await temporaryFolder(t);
    await mkdir(path.join(home, '.kube'));
    await writeFile(path.join(home, '.kube', 'config'), configText({ home: {} }, 'home'));
    const load = (source: KubeconfigSource) => {
      const { info, fallback: last } = loadKubeconfig({ fallback: () => fallback, ...source });
      return [info.name, last];
    };
    assert.deepEqual(load({ env: { KUBECONFIG: variable, HOME: home }, file: flag }), ['flag', false]);
    assert.deepEqual(load({ env: { KUBECONFIG: variable, HOME: home } }), ['variable', false]);
    assert.deepEqual(load({ env: { HOME: home } }), ['home', false]);
    assert.deepEqual(load({ env: { USERPROFILE: home } }), ['home', false]);
    assert.deepEqual(load({ env: {} }), ['fallback', true]);
  });
});

describe('several files', () => {
  const load = async (
    t: TestContext,
    texts: (string | undefined)[],
    more: Partial<KubeconfigSource> = {},
  ) => {
    const files: string[] = [];
    for (const text of texts) files.push(text === undefined ? '/nowhere/config' : await fileWith(t, text));
    return loadKubeconfig({ env: { KUBECONFIG: files.join(path.delimiter) }, ...more });
  };

  test('of entries with one name the first wins', async (t) => {
    const { config, info } = await load(t, [
      configText({ a: { server: 'https://first' } }),
      configText({ a: { server: 'https://second', user: { token: 'second' } }, b: {} }, 'a'),
      configText({ c: {} }, 'c'),
    ]);
    assert.deepEqual([info.name, info.server], ['a', 'https://first']);
    assert.equal(config.getCurrentUser()?.token, 'a');
  });

  test('the first that names a current context decides it, also one of another file', async (t) => {
    const { info } = await load(t, ['current-context: b', configText({ a: {}, b: {} }, 'a')]);
    assert.equal(info.name, 'b');
  });

  test('missing and empty ones are passed over', async (t) => {
    assert.equal((await load(t, [undefined, '', configText({ a: {} }, 'a'), undefined])).info.name, 'a');
  });

  test('all of them missing is none, also a single one', async (t) => {
    await assert.rejects(
      load(t, [undefined, undefined]),
      /^VmopError: no cluster is configured: KUBECONFIG names \/nowhere\/config, \/nowhere\/config: not there$/,
    );
    await assert.rejects(load(t, [undefined]), /KUBECONFIG names \/nowhere\/config: not there$/);
    await assert.rejects(load(t, [undefined], { file: '/nowhere/flag' }), /\/nowhere\/flag cannot be read/);
    const fallback = await fileWith(t, configText({ f: {} }, 'f'));
    // Whoever mistypes it does not mean the sandbox.
    await assert.rejects(load(t, [undefined], { fallback: () => fallback }), /KUBECONFIG names/);
  });

  test('a broken one is told by its name', async (t) => {
    await assert.rejects(
      load(t, [configText({ a: {} }, 'a'), 'x: [']),
      /the kubeconfig .*config cannot be read/,
    );
  });

  test('messages name the file of each entry, and paths are those of their file', async (t) => {
    const { config, places, userFile } = await load(t, [
      'contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x',
      'users: [{name: u, user: {client-certificate: me.crt, exec: {command: ./login}}}]',
      'clusters: [{name: c, cluster: {server: "https://c", certificate-authority: ca.crt}}]',
      'users: [{name: u, user: {token: other}}]\nclusters: [{name: c, cluster: {server: "https://d"}}]',
    ]);
    const { certFile = '', exec } = config.getCurrentUser() ?? {};
    const folder = path.dirname(certFile);
    assert.equal(userFile, path.join(folder, 'config'));
    assert.equal(exec.command, path.join(folder, 'login'));
    assert.equal(places.user, `user "u" in ${userFile}`);
    const authority = config.getCurrentCluster()?.caFile ?? '';
    assert.notEqual(path.dirname(authority), folder);
    assert.equal(places.cluster, `cluster "c" in ${path.join(path.dirname(authority), 'config')}`);
  });

  test('cluster, user and context may each be in a file of its own', async (t) => {
    const { info, config } = await load(t, [
      'contexts: [{name: x, context: {cluster: c, user: u, namespace: n}}]\ncurrent-context: x',
      'users: [{name: u, user: {token: t}}]',
      'clusters: [{name: c, cluster: {server: "https://c"}}]',
    ]);
    assert.deepEqual(info, { name: 'x', cluster: 'c', namespace: 'n', server: 'https://c' });
    assert.equal(config.getCurrentUser()?.token, 't');
  });
});
