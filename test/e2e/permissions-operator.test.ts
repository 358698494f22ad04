import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { ACCESS_RESOURCES } from '../../src/lib/access/types.ts';
import { loadKubeconfig, openCluster } from '../../src/lib/cluster/index.ts';
import type { Cluster, JsonObject, KubeObject, Resource } from '../../src/lib/cluster/types.ts';
import { DISPLAY_SECRETS } from '../../src/lib/console/secret/display-secret.ts';
import { GROUP } from '../../src/lib/vm/types.ts';
import { findKubeBinaries, startKubeApiserver, type KubeApiserver } from '../helpers/kube-apiserver.ts';
import { vmop, type VmopRun } from '../helpers/vmop.ts';
import { eventually } from './permissions/attempt.ts';
import { buildVm, CONFIG_MAPS, NAMESPACE, PODS, RAW_VMS, secretName } from './permissions/world.ts';

const binaries = await findKubeBinaries();
const skip = 'reason' in binaries ? binaries.reason : false;

const VM = 'desk';
const ALL = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'];
const EVENTS = { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create'] };
const reporting = { apiGroups: [GROUP], resources: ['vms/status'], verbs: ['patch'] };

/** What VM-Operator's service accounts are allowed, and what of it has to get through with the policies there. */
const ACCOUNTS = {
  runner: [{ apiGroups: [GROUP], resources: ['vms'], verbs: ['get', 'list', 'patch'] }, reporting, EVENTS],
  // Not even VM-Operator's own rules let so little through.
  reporter: [{ apiGroups: [GROUP], resources: ['vms'], verbs: ['get', 'list'] }, reporting, EVENTS],
  manager: [
    { apiGroups: [GROUP], resources: ['vms', 'vms/status'], verbs: ALL },
    { apiGroups: [''], resources: ['secrets', 'configmaps', 'pods'], verbs: ALL },
    EVENTS,
  ],
  /** For one VM only: nothing tells it from a user. */
  'named-reporter': [{ ...reporting, resourceNames: [VM] }, EVENTS],
} as const satisfies Record<string, object[]>;
type Account = keyof typeof ACCOUNTS;

const userOf = (account: string): string => `system:serviceaccount:${NAMESPACE}:${account}`;
const ref = { namespace: NAMESPACE, name: VM };
const patching =
  (resource: Resource<unknown>, body: JsonObject, name = VM) =>
  (cluster: Cluster): Promise<unknown> =>
    cluster.patch(resource, { namespace: NAMESPACE, name }, { type: 'merge', body }, { dryRun: true });
const reports =
  (status: JsonObject) =>
  (cluster: Cluster): Promise<unknown> =>
    cluster.patch(RAW_VMS, ref, { type: 'merge', body: { status } }, { dryRun: true, subresource: 'status' });

const RUNNING = {
  type: 'Running',
  status: 'False',
  reason: 'VmStopped',
  message: '',
  observedGeneration: 2,
  lastTransitionTime: '2026-11-22T00:00:00Z',
};
const NEW_DATA = { data: { 'config.yaml': '"/Runner": { resetCounter: 0 }' } };

const RUNNERS: Account[] = ['runner', 'reporter', 'manager'];
const WORK: [what: string, who: readonly Account[], run: (cluster: Cluster) => Promise<unknown>][] = [
  ['the runner’s conditions', RUNNERS, reports({ conditions: [RUNNING], runnerVersion: null })],
  ['who uses the console', RUNNERS, reports({ consoleUser: '', consoleClient: '10.0.0.1' })],
  ['who is logged in', RUNNERS, reports({ loggedInUser: 'alice', displayPasswordSerial: 2 })],
  [
    'stopping after a shutdown of the guest',
    ['runner', 'manager'],
    patching(RAW_VMS, { spec: { vm: { state: 'Stopped' } } }),
  ],
  [
    'the assignment',
    ['manager'],
    reports({ assignment: { pool: 'p', user: 'u', lastUsed: '2026-11-22T00:00:00Z' } }),
  ],
  ['the extra data of a VM', ['manager'], patching(RAW_VMS, { metadata: { annotations: { a: 'b' } } })],
  [
    'a new display Secret',
    ['manager'],
    patching(DISPLAY_SECRETS, { metadata: { labels: { a: 'b' } }, data: { other: 'eA==' } }, secretName(VM)),
  ],
  ['a new configuration', ['manager'], patching(CONFIG_MAPS, NEW_DATA)],
  [
    'the pod’s annotations and labels',
    ['manager'],
    patching(PODS, { metadata: { annotations: { a: 'b' }, labels: { a: 'b' } } }),
  ],
  ['the end of the pod', ['manager'], (cluster) => cluster.delete(PODS, ref, { dryRun: true })],
];

suite('VM-Operator and its runners work on where access was applied', { skip }, () => {
  let api: KubeApiserver;
  let admin: Cluster;
  let home: string;
  const clusters = new Map<string, Cluster>();
  const open = (kubeconfig: string): Cluster =>
    openCluster(loadKubeconfig({ env: {}, file: kubeconfig }), { userAgent: 'vmop-test', timeoutMs: 30_000 });
  const apply = (...flags: string[]): Promise<VmopRun> =>
    vmop(home, ['access', 'apply', ...flags], { kubeconfig: api.adminKubeconfig });
  const clusterOf = (account: string): Cluster => {
    const cluster = clusters.get(account);
    assert.ok(cluster);
    return cluster;
  };

  before(async () => {
    home = await mkdtemp(path.join(os.tmpdir(), 'vmop-operator-access-'));
    api = await startKubeApiserver();
    admin = open(api.adminKubeconfig);
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${NAMESPACE}`];
    for (const [account, rules] of Object.entries<readonly object[]>(ACCOUNTS)) {
      clusters.set(account, open(await api.kubeconfigFor(userOf(account), groups)));
      await allow(account, rules);
    }
    for (const user of ['alice', 'bob']) clusters.set(user, open(await api.kubeconfigFor(user)));
    const permissions = [
      { user: 'alice', may: ['*'] },
      { user: 'bob', may: ['accessConsole'] },
    ];
    await buildVm(admin, VM, 'running', permissions, { serviceAccountName: 'runner' });
    const applied = await apply();
    assert.equal(applied.code, 0, applied.stderr);
    await inForce();
  });

  after(async () => {
    for (const cluster of clusters.values()) cluster.close();
    admin.close();
    await api.close();
    await rm(home, { recursive: true, force: true });
  });

  async function allow(account: string, rules: readonly object[]): Promise<void> {
    const apiGroup = 'rbac.authorization.k8s.io';
    await admin.create(ACCESS_RESOURCES.Role, NAMESPACE, { metadata: { name: account }, rules });
    await admin.create(ACCESS_RESOURCES.RoleBinding, NAMESPACE, {
      metadata: { name: account },
      roleRef: { apiGroup, kind: 'Role', name: account },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace: NAMESPACE }],
    });
  }

  async function refused(account: string, run: (cluster: Cluster) => Promise<unknown>): Promise<string> {
    try {
      await run(clusterOf(account));
      return '';
    } catch (error) {
      assert.ok(error instanceof Error);
      return error.message;
    }
  }

  /** A user of the VM is limited. */
  function inForce(): Promise<void> {
    const attempts = [
      reports({ loggedInUser: 'eve' }),
      patching(CONFIG_MAPS, NEW_DATA),
      patching(DISPLAY_SECRETS, { data: { other: 'eA==' } }, secretName(VM)),
    ];
    return eventually(async () => {
      const seen = await Promise.all(attempts.map((run) => refused('alice', run)));
      return seen.every((message) => message.includes('vmop: needs permission administrate'));
    });
  }

  test('what they do all day goes through', async () => {
    for (const [what, who, run] of WORK) {
      for (const account of who) assert.equal(await refused(account, run), '', `${account}: ${what}`);
    }
  });

  test('a known limit: whose name stands at a console that nobody has connected to is anybody’s with accessConsole', async () => {
    const status = { consoleUser: 'alice' };
    await admin.patch(RAW_VMS, ref, { type: 'merge', body: { status } }, { subresource: 'status' });
    assert.equal(await refused('bob', reports({ consoleUser: 'bob' })), '');
    assert.match(
      await refused('bob', reports({ consoleUser: 'eve' })),
      /vmop: needs permission administrate/,
    );
  });

  test('what only has the name of a runner’s object is nobody’s to change', async () => {
    const imposter = 'imposter';
    const spec = {
      permissions: [{ user: 'alice', may: ['*'] }],
      vm: { maximumCpus: 1, display: { spice: {} } },
    };
    const metadata = { name: imposter };
    const container = { name: imposter, image: 'example.org/other:1' };
    await admin.create(RAW_VMS, NAMESPACE, { metadata, spec });
    const secret = `${imposter}-display-secret`;
    await admin.create(DISPLAY_SECRETS, NAMESPACE, { metadata: { name: secret }, data: {} });
    await admin.create(CONFIG_MAPS, NAMESPACE, { metadata, data: { key: 'value' } });
    await admin.create(PODS, NAMESPACE, {
      metadata,
      spec: { serviceAccountName: 'default', containers: [container] },
    });
    assert.equal((await apply()).code, 0);
    const password = { data: { 'display-password': 'eA==' } };
    const attempts = [
      patching(DISPLAY_SECRETS, password, secret),
      patching(CONFIG_MAPS, { data: { key: 'other' } }, imposter),
      patching(PODS, { metadata: { annotations: { a: 'b' } } }, imposter),
      (cluster: Cluster) => cluster.delete(PODS, { namespace: NAMESPACE, name: imposter }, { dryRun: true }),
    ];
    for (const run of attempts) {
      await eventually(async () =>
        (await refused('alice', run)).includes('vmop: needs permission administrate'),
      );
      assert.match(await refused('alice', run), /on VM imposter\S* to change what is not of its runner/);
      assert.equal(await refused('manager', run), '');
    }
    assert.equal(await refused('alice', patching(DISPLAY_SECRETS, password, secretName(VM))), '');
  });

  test('apply refuses to lock out a runner that may report on its VM by name only, until it is exempt', async () => {
    await buildVm(admin, 'other', 'running', []);
    await admin.delete(PODS, ref, { graceSeconds: 0 });
    const metadata = { name: VM, labels: podLabels(VM) };
    const containers = [{ name: VM, image: 'example.org/runner:1' }];
    const spec = { serviceAccountName: 'named-reporter', containers };
    await eventually(async () => {
      const pod: KubeObject | undefined = await admin
        .create(PODS, NAMESPACE, { metadata, spec })
        .catch(() => undefined);
      return pod !== undefined;
    });
    const report = reports({ conditions: [RUNNING] });
    assert.match(await refused('named-reporter', report), /vmop: needs permission administrate/);
    const { code, stderr } = await apply();
    assert.equal(code, 5, stderr);
    const user = userOf('named-reporter');
    assert.ok(stderr.includes(`keep runners from reporting on their VMs: ${user}\n`), stderr);
    const exempt = ['--exempt-user', user, '--replace-options'];
    assert.ok(stderr.includes(exempt.slice(0, 2).join(' ')), stderr);
    const applied = await apply(...exempt);
    assert.equal(applied.code, 0, applied.stderr);
    await eventually(async () => (await refused('named-reporter', report)) === '');
  });

  test('with another verb for administrators the same holds for every runner', async () => {
    const flags = ['--administrator-verb', 'administrate', '--replace-options'];
    await admin.delete(PODS, ref, { graceSeconds: 0 });
    const refusal = await apply(...flags, '--exempt-user=');
    assert.equal(refusal.code, 0, 'no pod is there whose account could be looked at');
    assert.match(refusal.stderr, /VM-Operator's own service account must be allowed to administrate VMs/);
    const group = `system:serviceaccounts:${NAMESPACE}`;
    const applied = await apply(...flags, '--exempt-group', group);
    assert.equal(applied.code, 0, applied.stderr);
    await inForce();
    await eventually(async () => (await refused('runner', reports({ conditions: [RUNNING] }))) === '');
  });
});

function podLabels(vm: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'vm-runner',
    'app.kubernetes.io/instance': vm,
    'app.kubernetes.io/component': 'vm-runner',
  };
}
