import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { stringify } from 'yaml';
import { loadKubeconfig, openCluster, type Cluster } from '../../../src/lib/cluster/index.ts';
import { asObject, asString } from '../../../src/lib/cluster/parse.ts';
import { VMS } from '../../../src/lib/vm/parse.ts';
import { findKubeBinaries, startKubeApiserver, type KubeApiserver } from '../../helpers/kube-apiserver.ts';
import { CONFIG_MAPS, makeNamespaces, temporaryFolder } from './fixture.ts';

const binaries = await findKubeBinaries();
const skip = 'reason' in binaries ? binaries.reason : false;

const NAMESPACE = 'desks';
const ACCOUNTS = { ...CONFIG_MAPS, plural: 'serviceaccounts', kind: 'ServiceAccount' };
const SECRETS = { ...CONFIG_MAPS, plural: 'secrets', kind: 'Secret' };
const nameOf = (account: string): string => `system:serviceaccount:${NAMESPACE}:${account}`;
/** Past what is remembered of a file. */
const LATER_MS = 31_000;

describe('a service account, as a pod has it, on a real API server', { skip, timeout: 120_000 }, () => {
  let api: KubeApiserver;
  let admin: Cluster;
  let folder: string;

  before(async () => {
    const readers = { users: ['robot', 'other'].map(nameOf) };
    api = await startKubeApiserver({
      rules: [
        {
          subjects: readers,
          verbs: ['list'],
          apiGroups: [VMS.group],
          resources: ['vms'],
        },
      ],
    });
    admin = openCluster(loadKubeconfig({ env: {}, file: api.adminKubeconfig }), {
      userAgent: 'vmop-test',
      timeoutMs: 30_000,
    });
    await makeNamespaces(admin, NAMESPACE);
    for (const name of ['robot', 'other']) await admin.create(ACCOUNTS, NAMESPACE, { metadata: { name } });
    await admin.create(VMS, NAMESPACE, { metadata: { name: 'd1' }, spec: { vm: { maximumCpus: 1 } } });
  });
  after(async () => {
    admin?.close();
    await api?.close();
  });

  /** By TokenRequest, as the kubelet asks. `secret`: the token ends with it. */
  const tokenOf = async (account: string, secret?: string): Promise<string> => {
    const resource = { ...ACCOUNTS, plural: `serviceaccounts/${account}/token` };
    const bound =
      secret === undefined ? {} : { boundObjectRef: { kind: 'Secret', apiVersion: 'v1', name: secret } };
    const answer = await admin.create(resource, NAMESPACE, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 600, ...bound },
    });
    return asString(asObject(answer['status'])['token']) ?? '';
  };

  /** One that is not taken any more: what it was bound to is gone, sooner than its time. */
  const endedToken = async (): Promise<string> => {
    await admin.create(SECRETS, NAMESPACE, { metadata: { name: 'short' } });
    const token = await tokenOf('robot', 'short');
    await admin.delete(SECRETS, { namespace: NAMESPACE, name: 'short' });
    return token;
  };

  const put = (token: string): Promise<void> => writeFile(path.join(folder, 'token'), token);

  const openPod = async (t: TestContext, token: string): Promise<Cluster> => {
    folder = await temporaryFolder(t);
    await put(token);
    await writeFile(path.join(folder, 'ca.crt'), api.caPem);
    await writeFile(path.join(folder, 'namespace'), NAMESPACE);
    const { hostname, port } = new URL(api.url);
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    return opened(t, loadKubeconfig({ env, serviceAccount: folder }));
  };

  /** A kubeconfig that names the same file, relative to itself. */
  const openTokenFile = async (t: TestContext, token: string): Promise<Cluster> => {
    folder = await temporaryFolder(t);
    await put(token);
    const file = path.join(folder, 'config');
    const authority = { 'certificate-authority-data': Buffer.from(api.caPem).toString('base64') };
    await writeFile(
      file,
      stringify({
        clusters: [{ name: 'c', cluster: { server: api.url, ...authority } }],
        users: [{ name: 'u', user: { tokenFile: 'token' } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: NAMESPACE } }],
        'current-context': 'x',
      }),
    );
    return opened(t, loadKubeconfig({ env: {}, file }));
  };

  const opened = (t: TestContext, kubeconfig: ReturnType<typeof loadKubeconfig>): Cluster => {
    const cluster = openCluster(kubeconfig, { userAgent: 'vmop-test', timeoutMs: 30_000 });
    t.after(() => cluster.close());
    return cluster;
  };

  for (const [place, open] of [
    ['in a pod', openPod],
    ['by tokenFile of a kubeconfig', openTokenFile],
  ] as const) {
    test(`${place}: who one is, what there is, and the next token when the file has it`, async (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
      const cluster = await open(t, await tokenOf('robot'));
      assert.equal(cluster.context.namespace, NAMESPACE);
      const { username, groups } = await cluster.self();
      assert.equal(username, nameOf('robot'));
      assert.ok(groups.includes(`system:serviceaccounts:${NAMESPACE}`));
      const { items } = await cluster.list(VMS, { namespace: cluster.context.namespace });
      assert.deepEqual(
        items.map(({ name }) => name),
        ['d1'],
      );
      await put(`${await tokenOf('other')}\n`);
      t.mock.timers.tick(LATER_MS);
      assert.equal((await cluster.self()).username, nameOf('other'));
    });

    test(`${place}: a token that has ended is read anew at once`, async (t) => {
      const cluster = await open(t, await endedToken());
      await assert.rejects(cluster.self(), { exitCode: 7 });
      await put(await tokenOf('robot'));
      assert.equal((await cluster.self()).username, nameOf('robot'));
    });

    test(`${place}: what is wrong with the token names its file`, async (t) => {
      const cluster = await open(t, await endedToken());
      const file = path.join(folder, 'token');
      const { cluster: name, server } = cluster.context;
      await assert.rejects(cluster.self(), {
        exitCode: 7,
        message: `cluster "${name}" (${server}) does not take the token in ${file}: Unauthorized`,
        hint: /^put a new one there, or correct user /,
      });
      await put('\n');
      await assert.rejects(cluster.self(), {
        exitCode: 7,
        message: `no credentials for cluster "${name}" (${server}): the token file ${file} is empty`,
      });
      await rm(file);
      await assert.rejects(cluster.self(), {
        exitCode: 7,
        message: new RegExp(`: the token file ${file} cannot be read: ENOENT`),
      });
    });
  }
});
