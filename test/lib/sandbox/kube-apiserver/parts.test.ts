import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { kubeBinaries } from '../../../../scripts/kube-binaries/build.ts';
import { startKillGuard } from '../../../../src/lib/kill-guard.ts';
import { findKubeBinaries, kubeCacheFolder } from '../../../../src/lib/sandbox/kube-apiserver/binaries.ts';
import { loadCertificates } from '../../../../src/lib/sandbox/kube-apiserver/certificates.ts';
import { accessReview, rbacObjects } from '../../../../src/lib/sandbox/kube-apiserver/rbac.ts';
import { ServerGroup } from '../../../../src/lib/sandbox/kube-apiserver/server-group.ts';
import { tokenFile } from '../../../../src/lib/sandbox/kube-apiserver/token-file.ts';

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(path.join(os.tmpdir(), 'vmop-kube-test-'));
  t.after(() => rm(made, { recursive: true, force: true }));
  return made;
}

async function programs(place: string, names: readonly string[]): Promise<void> {
  await mkdir(place, { recursive: true });
  for (const name of names) await writeFile(path.join(place, name), '', { mode: 0o755 });
}

const ALL = ['kube-apiserver', 'etcd', 'kubectl', 'vmop-kubelet'];

test('programs come from KUBEBUILDER_ASSETS, else from the newest build; a kubelet from either', async (t) => {
  const base = await folder(t);
  const env = { VMOP_TEST_CACHE: base };
  const cache = kubeCacheFolder(env);
  assert.deepEqual(await findKubeBinaries(env), {
    missing: 'no kube-apiserver has been built on this machine',
  });
  await programs(path.join(cache, 'aaaa'), ALL);
  await programs(path.join(cache, 'bbbb'), ALL);
  await programs(path.join(cache, '.new-1'), ALL);
  await programs(path.join(cache, 'cccc'), ['etcd']);
  await utimes(path.join(cache, 'aaaa'), 1, 1);
  await utimes(path.join(cache, 'cccc'), 2, 2);
  const built = await findKubeBinaries(env);
  assert.ok(!('missing' in built));
  assert.equal(built.kubeApiserver, path.join(cache, 'bbbb', 'kube-apiserver'));
  const assets = path.join(base, 'assets');
  const withAssets = { ...env, KUBEBUILDER_ASSETS: assets };
  assert.ok('missing' in (await findKubeBinaries(withAssets)));
  await programs(assets, ['kube-apiserver']);
  assert.deepEqual(await findKubeBinaries(withAssets), {
    kubeApiserver: path.join(assets, 'kube-apiserver'),
    etcd: path.join(cache, 'bbbb', 'etcd'),
    kubectl: path.join(cache, 'bbbb', 'kubectl'),
    kubelet: path.join(cache, 'bbbb', 'vmop-kubelet'),
  });
});

describe('the programs for the tests', () => {
  const built = {
    kubeApiserver: '/built/kube-apiserver',
    etcd: '/built/etcd',
    kubectl: '/built/kubectl',
    kubelet: '/built/vmop-kubelet',
  };
  const cases: [
    name: string,
    given: readonly string[],
    asked: string[][],
    cannot: RegExp | undefined,
    outcome: string,
  ][] = [
    ['nothing is given', [], [['etcd', 'kubectl', 'kubeApiserver'], ['kubelet']], undefined, 'built built'],
    ['setup-envtest’s three', ALL.slice(0, 3), [['kubelet']], undefined, 'given built'],
    ['all four', ALL, [], undefined, 'given given'],
    ['two of them', ALL.slice(1, 3), [['kubeApiserver'], ['kubelet']], undefined, 'built built'],
    ['the three, and no Go', ALL.slice(0, 3), [['kubelet']], /./, 'given no kubelet'],
    [
      'nothing, and no kubelet can be built',
      [],
      [['etcd', 'kubectl', 'kubeApiserver'], ['kubelet']],
      /^kubelet/,
      'built no kubelet',
    ],
    ['nothing, and no Go', [], [['etcd', 'kubectl', 'kubeApiserver']], /./, 'Error: no Go'],
    ['two of them, and no Go', ALL.slice(1, 3), [['kubeApiserver']], /./, 'Error: no Go'],
  ];
  for (const [name, given, asked, cannot, outcome] of cases) {
    test(`${name}: ${outcome}`, async (t) => {
      const assets = path.join(await folder(t), 'assets');
      await programs(assets, given);
      const calls: string[][] = [];
      const env = given.length === 0 ? {} : { KUBEBUILDER_ASSETS: assets };
      const found = await kubeBinaries({ env, say: () => {} }, async (names) => {
        calls.push([...names]);
        if (names.some((one) => cannot?.test(one))) throw new Error('no Go\nat all');
        return Object.fromEntries(names.map((one) => [one, built[one]]));
      }).catch(String);
      assert.deepEqual(calls, asked);
      const place = (file: string): string => (file.startsWith(assets) ? 'given' : 'built');
      if (typeof found === 'string') return assert.equal(found.split('\n')[0], outcome);
      if (found.kubelet === undefined)
        assert.equal(found.noKubelet, 'no kubelet for logs and port-forward: Error: no Go');
      assert.equal(
        `${place(found.kubeApiserver)} ${found.kubelet === undefined ? 'no kubelet' : place(found.kubelet)}`,
        outcome,
      );
    });
  }
});

test('certificates stay the same, and are private', async (t) => {
  const directory = await folder(t);
  const caPem = await loadCertificates(directory);
  assert.equal(await loadCertificates(directory), caPem);
  for (const name of await readdir(path.join(directory, 'pki'))) {
    assert.equal((await stat(path.join(directory, 'pki', name))).mode & 0o777, 0o600, name);
  }
  const ca = new X509Certificate(caPem);
  const server = new X509Certificate(await readFile(path.join(directory, 'pki/server.crt')));
  assert.ok(server.verify(ca.publicKey));
  assert.ok(server.checkIP('127.0.0.1'));
  const kubelet = new X509Certificate(await readFile(path.join(directory, 'pki/kubelet.crt')));
  assert.equal(kubelet.verify(ca.publicKey), false, 'users’ certificates mean nothing to the kubelet');
});

test('the token file holds names and groups with commas and quotes', () => {
  const text = tokenFile({ abc: { username: 'a "b", c', groups: ['x', 'y'] } });
  assert.equal(text, '"abc","a ""b"", c","","x,y"\n');
});

test('rules become roles and bindings, in the namespaces that they name', () => {
  const base = { verbs: ['get'], apiGroups: [''], resources: ['pods'] };
  const objects = rbacObjects([
    { ...base, subjects: { users: ['alice'], groups: ['staff'] }, resourceNames: ['one'] },
    { ...base, subjects: { groups: ['staff'] }, namespaces: ['a', 'b'] },
  ]);
  const short = objects.map(({ kind, metadata }) => [kind, metadata]);
  const labels = { 'app.kubernetes.io/managed-by': 'vmop-sandbox' };
  assert.deepEqual(short, [
    ['ClusterRole', { name: 'vmop-sandbox-1', labels }],
    ['ClusterRoleBinding', { name: 'vmop-sandbox-1', labels }],
    ...['a', 'b'].flatMap((namespace) => [
      ['Role', { name: 'vmop-sandbox-2', namespace, labels }],
      ['RoleBinding', { name: 'vmop-sandbox-2', namespace, labels }],
    ]),
  ]);
  assert.deepEqual(objects[0]?.['rules'], [{ ...base, resourceNames: ['one'] }]);
  assert.deepEqual(objects[1]?.['subjects'], [
    { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'alice' },
    { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'staff' },
  ]);
});

test('what tells that a rule is in force is something that it gives', () => {
  const rule = {
    verbs: ['get', 'list'],
    apiGroups: ['g'],
    resources: ['vms/status'],
    resourceNames: ['one'],
  };
  const asked = { group: 'g', resource: 'vms', subresource: 'status', verb: 'get', name: 'one' };
  assert.deepEqual(accessReview({ ...rule, subjects: { groups: ['staff'] }, namespaces: ['a'] })['spec'], {
    user: undefined,
    groups: ['staff'],
    resourceAttributes: { ...asked, namespace: 'a' },
  });
  const { spec } = accessReview({ ...rule, subjects: { users: ['alice'], groups: ['staff'] } });
  assert.deepEqual(spec, {
    user: 'alice',
    groups: undefined,
    resourceAttributes: { ...asked, namespace: undefined },
  });
});

test('a process that ends during the start fails it with its last words, and the others are ended', async (t) => {
  const directory = await folder(t);
  const guard = startKillGuard();
  t.after(() => guard.dismiss());
  const group = new ServerGroup(directory, guard, () => assert.fail('the start tells it'));
  await group.begin({ name: 'etcd', program: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'] });
  const script = 'console.error("first"); console.error("no such flag"); process.exit(2)';
  await group.begin({ name: 'kube-apiserver', program: process.execPath, args: ['-e', script] });
  const waits = (signal: AbortSignal): Promise<void> =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
  await assert.rejects(group.ready(waits, 30_000), {
    code: 'failed',
    message: 'kube-apiserver has ended by itself: no such flag',
  });
  await group.close();
  assert.deepEqual((await readdir(directory)).sort(), ['etcd.log', 'kube-apiserver.log']);
  await assert.rejects(group.begin({ name: 'kubelet', program: path.join(directory, 'none'), args: [] }), {
    code: 'failed',
    message: /cannot be started/,
  });
});
