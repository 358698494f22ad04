import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { generate } from 'selfsigned';
import { parse, stringify } from 'yaml';
import { loadKubeconfig, openCluster, type Cluster } from '../../../src/lib/cluster/index.ts';
import { findKubeBinaries, startKubeApiserver, type KubeApiserver } from '../../helpers/kube-apiserver.ts';
import { startHttpProxy } from '../../helpers/proxies.ts';
import { CONFIG_MAPS, temporaryFolder } from './fixture.ts';
import { plugin } from './user-fixture.ts';

const binaries = await findKubeBinaries();
const skip = 'reason' in binaries ? binaries.reason : false;

describe('ways into a real API server', { skip, timeout: 120_000 }, () => {
  let api: KubeApiserver;
  before(async () => {
    api = await startKubeApiserver();
  });
  after(() => api?.close());

  const open = async (t: TestContext, user: object, cluster: object = {}): Promise<Cluster> => {
    const file = path.join(await temporaryFolder(t), 'config');
    const authority = { 'certificate-authority-data': Buffer.from(api.caPem).toString('base64') };
    await writeFile(
      file,
      stringify({
        clusters: [{ name: 'c', cluster: { server: api.url, ...authority, ...cluster } }],
        users: [{ name: 'u', user }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    const opened = openCluster(loadKubeconfig({ env: {}, file }), {
      userAgent: 'vmop-test',
      timeoutMs: 30_000,
    });
    t.after(() => opened.close());
    return opened;
  };

  /** The user of a kubeconfig with a client certificate. */
  const aliceUser = async (): Promise<Record<string, string>> =>
    parse(await readFile(await api.kubeconfigFor('alice', ['staff']), 'utf8')).users[0].user;

  const pem = (user: Record<string, string>, part: string): string =>
    Buffer.from(user[`client-${part}-data`] ?? '', 'base64').toString();

  const isAlice = async (cluster: Cluster): Promise<void> =>
    assert.deepEqual(await cluster.self(), { username: 'alice', groups: ['staff', 'system:authenticated'] });

  const refusal = {
    exitCode: 7,
    message: /^cluster "c" \(https:.*\) does not take the credentials of user "u" in .*config: Unauthorized$/,
    hint: /^log in again, or correct user "u" in .*config$/,
  };

  test('a client certificate', async (t) => isAlice(await open(t, await aliceUser())));

  test('a token, one in a file, and one that the server does not know', async (t) => {
    const token = path.join(await temporaryFolder(t), 'token');
    await writeFile(token, `${api.adminToken}\n`);
    for (const user of [{ token: api.adminToken }, { tokenFile: token }])
      assert.equal((await (await open(t, user)).self()).username, 'admin');
    await assert.rejects((await open(t, { token: 'stale' })).self(), refusal);
  });

  test('nobody', async (t) => {
    const file = path.join(await temporaryFolder(t), 'config');
    const cluster = { server: api.url, 'insecure-skip-tls-verify': true };
    const config = {
      clusters: [{ name: 'c', cluster }],
      contexts: [{ name: 'x', context: { cluster: 'c' } }],
    };
    await writeFile(file, stringify({ ...config, 'current-context': 'x' }));
    const opened = openCluster(loadKubeconfig({ env: {}, file }), { userAgent: 'x', timeoutMs: 30_000 });
    t.after(() => opened.close());
    await assert.rejects(opened.list(CONFIG_MAPS, { namespace: 'default' }), (error: { exitCode?: number }) =>
      [4, 7].includes(error.exitCode ?? 0),
    );
  });

  test('a plug-in that gives a token, and one that gives a certificate', async (t) => {
    const folder = await temporaryFolder(t);
    const withToken = plugin(folder, `{ token: ${JSON.stringify(api.adminToken)} }`);
    assert.equal((await (await open(t, withToken)).self()).username, 'admin');
    const alice = await aliceUser();
    const status = {
      clientCertificateData: pem(alice, 'certificate'),
      clientKeyData: pem(alice, 'key'),
    };
    await isAlice(await open(t, plugin(folder, JSON.stringify(status))));
  });

  test('a client certificate that has expired', async (t) => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: 'alice' }], {
      keyType: 'ec',
      notBeforeDate: new Date(Date.now() - 7200_000),
      notAfterDate: new Date(Date.now() - 3600_000),
    });
    const user = {
      'client-certificate-data': Buffer.from(cert).toString('base64'),
      'client-key-data': Buffer.from(key).toString('base64'),
    };
    await assert.rejects((await open(t, user)).self(), {
      exitCode: 7,
      message: /does not take the credentials of user "u" .*: the client certificate has expired \(.* GMT\)$/,
      hint: /^put a new one into user "u" in .*config$/,
    });
  });

  test('acting as somebody with groups, uid and extra of the kubeconfig', async (t) => {
    const cluster = await open(t, {
      token: api.adminToken,
      as: 'jürgen',
      'as-groups': ['staff', 'desks'],
      'as-uid': '7',
      'as-user-extra': { 'example.org/reason': ['tests'] },
    });
    assert.deepEqual(await cluster.self(), {
      username: 'jürgen',
      groups: ['staff', 'desks', 'system:authenticated'],
    });
  });

  test('acting in a group without being somebody is refused', async (t) => {
    const cluster = await open(t, { token: api.adminToken, 'as-groups': ['system:masters'] });
    await assert.rejects(cluster.self(), { name: 'ApiError' });
  });

  test('a server that is not trusted, one by another name, and tls-server-name', async (t) => {
    const user = { token: api.adminToken };
    const stranger = await generate([{ name: 'commonName', value: 'ca' }], { keyType: 'ec' });
    const authority = Buffer.from(stranger.cert).toString('base64');
    await assert.rejects((await open(t, user, { 'certificate-authority-data': authority })).self(), {
      exitCode: 7,
      message: /its certificate is not trusted$/,
      hint: /into cluster "c" in .*config;/,
    });
    await assert.rejects((await open(t, user, { 'tls-server-name': 'elsewhere.example' })).self(), {
      exitCode: 7,
      message: /its certificate is for another name$/,
      hint: /tls-server-name of cluster "c" in .*config$/,
    });
  });

  test('through a proxy, with a client certificate', async (t) => {
    const proxy = await startHttpProxy(t);
    await isAlice(await open(t, await aliceUser(), { 'proxy-url': `http://127.0.0.1:${proxy.port}` }));
    assert.ok(proxy.asked.length > 0);
  });
});
