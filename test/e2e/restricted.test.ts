import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { loadKubeconfig, openCluster } from '../../src/lib/cluster/index.ts';
import type { Cluster, JsonObject, KubeObject, Resource } from '../../src/lib/cluster/types.ts';
import { inParallel } from '../../src/lib/parallel.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import { GROUP } from '../../src/lib/vm/types.ts';
import { startApiProxy } from '../commands/api-proxy.ts';
import { findKubeBinaries, startKubeApiserver, type KubeApiserver } from '../helpers/kube-apiserver.ts';
import { startVmop, type VmopProcess, type VmopRun } from '../helpers/vmop.ts';

const binaries = await findKubeBinaries();
const skip = 'reason' in binaries ? binaries.reason : false;

const RBAC = 'rbac.authorization.k8s.io';
const MINE = ['mine-1', 'mine-2', 'mine-3'];
/** What each may do with the VMs of `MINE`, by name. */
const VERBS: Record<string, string[]> = {
  reader: ['get'],
  watcher: ['get', 'watch'],
  lister: ['get', 'list', 'watch'],
  nobody: [],
};

function rbac(plural: string, kind: string): Resource<KubeObject> {
  return { group: RBAC, version: 'v1', plural, kind, namespaced: true, parse: (object) => object };
}

suite('VMs of users who may not list them, on a real API server', { skip }, () => {
  let api: KubeApiserver;
  let admin: Cluster;
  let home: string;
  const kubeconfigs = new Map<string, string>();

  before(async () => {
    home = await mkdtemp(path.join(os.tmpdir(), 'vmop-restricted-'));
    api = await startKubeApiserver();
    const kubeconfig = loadKubeconfig({ env: {}, file: api.adminKubeconfig });
    admin = openCluster(kubeconfig, { userAgent: 'vmop-test', timeoutMs: 30_000 });
    const foreign = Array.from({ length: 200 }, (_, index) => `foreign-${index}`);
    await inParallel([...foreign, ...MINE], 16, (name) => {
      const permissions = name.startsWith('mine')
        ? Object.keys(VERBS).map((user) => ({ user, may: ['start'] }))
        : [];
      const spec = { permissions, vm: { maximumCpus: 1, maximumRam: '1Gi', display: { spice: {} } } };
      return admin.create(VMS, 'default', { metadata: { name, labels: { name } }, spec });
    });
    for (const [user, verbs] of Object.entries(VERBS)) {
      kubeconfigs.set(user, await api.kubeconfigFor(user));
      if (verbs.length === 0) continue;
      const metadata = { name: user };
      // One of them is not there.
      const rules = [
        { apiGroups: [GROUP], resources: ['vms'], resourceNames: [...MINE, 'mine-gone'], verbs },
      ];
      await admin.create(rbac('roles', 'Role'), 'default', { metadata, rules });
      const roleRef = { apiGroup: RBAC, kind: 'Role', name: user };
      const subjects = [{ kind: 'User', name: user, apiGroup: RBAC }];
      await admin.create(rbac('rolebindings', 'RoleBinding'), 'default', { metadata, roleRef, subjects });
    }
  });

  after(async () => {
    admin.close();
    await api.close();
    await rm(home, { recursive: true, force: true });
  });

  const start = (user: string, line: string): VmopProcess => {
    const kubeconfig = kubeconfigs.get(user);
    assert.ok(kubeconfig);
    return startVmop(path.join(home, user), line.split(' '), { kubeconfig });
  };
  const run = (user: string, line: string): Promise<VmopRun> => start(user, line).ended;
  const label = (name: string, labels: JsonObject): Promise<unknown> => {
    const ref = { namespace: 'default', name };
    return admin.patch(VMS, ref, { type: 'merge', body: { metadata: { labels } } });
  };

  for (const user of ['reader', 'watcher', 'lister']) {
    test(`${user}: list, and its labels`, async () => {
      const { code, stdout, stderr } = await run(user, 'list -o name');
      assert.deepEqual([code, stdout, stderr], [0, `${MINE.join('\n')}\n`, '']);
      assert.equal((await run(user, 'list -o name -l name=mine-2')).stdout, 'mine-2\n');
    });

    test(`${user}: wait for several`, async () => {
      const waiting = start(
        user,
        'wait mine-1 mine-2 --for jsonpath={.metadata.labels.done}=yes --timeout 30s -o name',
      );
      await label('mine-1', { done: 'yes' });
      await label('mine-2', { done: 'yes' });
      const { code, stdout } = await waiting.ended;
      assert.deepEqual([code, stdout], [0, 'mine-1\nmine-2\n']);
      await label('mine-1', { done: null });
      await label('mine-2', { done: null });
    });

    test(`${user}: list -w sees changes, ends and beginnings`, async () => {
      const watching = start(user, 'list -w -o json');
      await watching.shows('mine-3');
      const ref = { namespace: 'default', name: 'mine-gone' };
      const spec = { permissions: [{ user, may: ['start', 'stop'] }], vm: { maximumCpus: 1 } };
      await admin.create(VMS, 'default', { metadata: { name: 'mine-gone' }, spec });
      await watching.shows('mine-gone');
      await admin.delete(VMS, ref);
      await watching.shows('"state":"gone"');
      watching.runtime.interrupt('SIGINT');
      assert.equal((await watching.ended).code, 130);
    });
  }

  test('a list costs a read per VM, and three requests that say so', async () => {
    const proxy = await startApiProxy({ kubeconfig: api.adminKubeconfig });
    try {
      const kubeconfig = api.adminKubeconfig;
      const args = ['list', '--as', 'watcher', '--server', proxy.url, '-o', 'name'];
      const listed = await startVmop(path.join(home, 'counted'), args, { kubeconfig }).ended;
      assert.equal(listed.stdout, `${MINE.join('\n')}\n`);
      assert.deepEqual(proxy.requests.map((request) => request.replace(/\?.*/, '')).toSorted(), [
        `GET /apis/${GROUP}/v1/namespaces/default/vms`,
        ...[...MINE, 'mine-gone']
          .map((name) => `GET /apis/${GROUP}/v1/namespaces/default/vms/${name}`)
          .toSorted(),
        'POST /apis/authentication.k8s.io/v1/selfsubjectreviews',
        'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        'POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
      ]);
    } finally {
      await proxy.close();
    }
  });

  test('who may read none is told so, and nobody looks in all namespaces', async () => {
    const none = await run('nobody', 'list');
    assert.equal(none.code, 4);
    assert.match(none.stderr, /^error: vms\.\S+ is forbidden: User "nobody" cannot list resource "vms"/);
    const everywhere = await run('watcher', 'list -A');
    assert.equal(everywhere.code, 4);
    assert.match(everywhere.stderr, /^error: you may not list the VMs of all namespaces\n {2}-n NAMESPACE/);
  });

  test('an action that no Role allows, asked for and tried', async () => {
    const asked = await run('watcher', 'can-i start mine-1');
    assert.deepEqual([asked.code, asked.stdout], [4, 'no\n']);
    assert.match(
      asked.stderr,
      /holds start\nAPI server: its rules do not allow: patch vms "mine-1"\nThey differ: /,
    );
    const tried = await run('watcher', 'start mine-1');
    assert.equal(tried.code, 4);
    assert.match(
      tried.stderr,
      /^error: the API server does not let watcher patch vms "mine-1"\n {2}no Role allows what start on mine-1 takes/m,
    );
    assert.deepEqual((await run('watcher', 'can-i --list')).code, 0);
  });

  test('whoami names the VMs', async () => {
    const { stdout } = await run('watcher', 'whoami');
    assert.match(stdout, /^VMs: +mine-1: start \(user watcher\)$/m);
  });
});
