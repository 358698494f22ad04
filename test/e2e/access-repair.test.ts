import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { LABELLED_SECRETS } from '../../src/lib/access/grants.ts';
import { ACCESS_RESOURCES, type AccessObject } from '../../src/lib/access/types.ts';
import { loadKubeconfig, openCluster } from '../../src/lib/cluster/index.ts';
import { asArray, asObject } from '../../src/lib/cluster/parse.ts';
import type { Cluster, JsonPatchOperation, KubeObject } from '../../src/lib/cluster/types.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import { findKubeBinaries, startKubeApiserver, type KubeApiserver } from '../helpers/kube-apiserver.ts';
import { findKubectl } from '../helpers/kubectl.ts';
import { vmop, type VmopRun } from '../helpers/vmop.ts';
import { eventually, ran } from './permissions/attempt.ts';

const binaries = await findKubeBinaries();
const kubectl = await findKubectl();
const skip = 'reason' in binaries ? binaries.reason : false;
const NAMESPACE = 'default';
const RBAC = 'rbac.authorization.k8s.io';

suite('access that somebody else has changed, on a real API server', { skip }, () => {
  let api: KubeApiserver;
  let admin: Cluster;
  let home: string;

  const asAdmin = (...args: string[]): Promise<VmopRun> =>
    vmop(home, ['access', ...args], { kubeconfig: api.adminKubeconfig });
  const apply = async (...args: string[]): Promise<VmopRun> => {
    const run = await asAdmin('apply', ...args);
    assert.equal(run.code, 0, run.stdout + run.stderr);
    return run;
  };
  const clean = async (): Promise<void> => {
    const { code, stdout } = await asAdmin('check');
    assert.equal(code, 0, stdout);
  };
  const changesOf = (run: VmopRun): string[] =>
    asArray(run.json())
      .map(asObject)
      .filter(({ change }) => change !== 'unchanged')
      .map(({ kind, change }) => `${String(kind)} ${String(change)}`);

  before(async () => {
    home = await mkdtemp(path.join(os.tmpdir(), 'vmop-repair-'));
    api = await startKubeApiserver();
    admin = openCluster(loadKubeconfig({ env: {}, file: api.adminKubeconfig }), {
      userAgent: 'vmop-test',
      timeoutMs: 30_000,
    });
    const spec = {
      permissions: [{ user: 'alice', may: ['start', 'accessConsole'] }],
      vm: { maximumCpus: 1, display: { spice: {} } },
    };
    await admin.create(VMS, NAMESPACE, { metadata: { name: 'desk' }, spec });
  });

  after(async () => {
    admin.close();
    await api.close();
    await rm(home, { recursive: true, force: true });
  });

  /** The one object of its kind that is for alice, or that has the name. */
  async function stored(kind: AccessObject['kind'], name = 'vmop-user-alice'): Promise<KubeObject> {
    const { items } = await admin.list(ACCESS_RESOURCES[kind], { namespace: undefined });
    const object = items.find(({ metadata }) => metadata.name.startsWith(name));
    assert.ok(object, `${kind} ${name}`);
    return object;
  }

  async function patched(
    kind: AccessObject['kind'],
    name: string | undefined,
    ...operations: JsonPatchOperation[]
  ): Promise<void> {
    const { metadata } = await stored(kind, name);
    const ref = { namespace: metadata.namespace ?? '', name: metadata.name };
    await admin.patch(ACCESS_RESOURCES[kind], ref, { type: 'json', operations });
  }

  test('Roles alone are refused until somebody says that they are wanted alone', async () => {
    const refused = await asAdmin('apply', '--no-policies');
    assert.equal(refused.code, 5, refused.stderr);
    assert.match(refused.stderr, /a Role lets its user change every field of a VM/);
    assert.match(refused.stderr, /ValidatingAdmissionPolicy vmop-vms is missing/);
    assert.match((await asAdmin('generate', '--no-policies')).stderr, /every field of a VM/);
    await apply('--no-policies', '--unlimited', '--dry-run');
    await apply();
    await apply('--no-policies', '--users', 'alice');
    await clean();
  });

  test('a policy that was switched off is put right', async () => {
    const evil = { name: 'evil', expression: 'false' };
    for (const [kind, name, operation] of [
      ['ValidatingAdmissionPolicy', 'vmop-vms', { op: 'add', path: '/spec/matchConditions/-', value: evil }],
      [
        'ValidatingAdmissionPolicy',
        'vmop-runner-objects',
        { op: 'add', path: '/spec/variables/0', value: { name: 'first', expression: '1' } },
      ],
      [
        'ValidatingAdmissionPolicyBinding',
        'vmop-vms-default',
        { op: 'add', path: '/spec/validationActions/-', value: 'Audit' },
      ],
      [
        'ValidatingAdmissionPolicyBinding',
        'vmop-vms-default',
        // Together with what is wanted it is invalid.
        { op: 'replace', path: '/spec/validationActions', value: ['Warn'] },
      ],
    ] as const) {
      await patched(kind, name, operation);
      const refused = await asAdmin('apply', '--no-policies', '--no-events');
      assert.match(refused.stderr, /is different/);
      assert.equal((await asAdmin('check')).code, 5);
      await apply('--dry-run');
      assert.deepEqual(changesOf(await apply('--json')), [`${kind} changed`]);
      await clean();
    }
  });

  test('labels of others stay where an object is replaced', async () => {
    await patched(
      'ValidatingAdmissionPolicy',
      'vmop-vms',
      { op: 'add', path: '/spec/matchConditions/-', value: { name: 'evil', expression: 'false' } },
      { op: 'add', path: '/metadata/labels/team', value: 'blue' },
    );
    await apply();
    const { metadata } = await stored('ValidatingAdmissionPolicy', 'vmop-vms');
    assert.equal(metadata.labels?.['team'], 'blue');
    await clean();
  });

  test('a binding of another Role is made anew', async () => {
    const { metadata, ...binding } = await stored('RoleBinding');
    const { name, labels, annotations } = metadata;
    const ref = { namespace: NAMESPACE, name };
    await admin.delete(ACCESS_RESOURCES.RoleBinding, ref);
    const roleRef = { apiGroup: RBAC, kind: 'ClusterRole', name: 'cluster-admin' };
    const body = { ...binding, metadata: { name, labels, annotations }, roleRef };
    await admin.create(ACCESS_RESOURCES.RoleBinding, NAMESPACE, body);
    await apply('--dry-run');
    assert.deepEqual((await admin.get(ACCESS_RESOURCES.RoleBinding, ref))['roleRef'], roleRef);
    assert.deepEqual(changesOf(await apply('--json')), ['RoleBinding changed']);
    assert.equal(asObject((await admin.get(ACCESS_RESOURCES.RoleBinding, ref))['roleRef'])['name'], name);
    await clean();
  });

  test('what is not vmop’s is told and left alone, and the rest is done', async () => {
    const { name } = (await stored('RoleBinding')).metadata;
    const ref = { namespace: NAMESPACE, name };
    await admin.delete(ACCESS_RESOURCES.RoleBinding, ref);
    const roleRef = { apiGroup: RBAC, kind: 'ClusterRole', name: 'cluster-admin' };
    const subjects = [{ apiGroup: RBAC, kind: 'User', name: 'alice' }];
    await admin.create(ACCESS_RESOURCES.RoleBinding, NAMESPACE, { metadata: { name }, roleRef, subjects });
    await patched('Role', undefined, { op: 'replace', path: '/rules', value: [] });
    const check = await asAdmin('check');
    assert.equal(check.code, 5);
    assert.match(check.stdout, /^foreign {4}RoleBinding default\/vmop-user-alice-/m);
    const { code, stdout, stderr } = await asAdmin('apply');
    assert.equal(code, 1, stderr);
    assert.match(stdout, /^changed +Role +default +vmop-user-alice-/m);
    assert.match(stdout, /^failed +RoleBinding +default +vmop-user-alice-/m);
    assert.match(stderr, /^error: RoleBinding default\/vmop-user-alice-\w+: it is not vmop’s/m);
    assert.deepEqual((await admin.get(ACCESS_RESOURCES.RoleBinding, ref))['roleRef'], roleRef);
    await admin.delete(ACCESS_RESOURCES.RoleBinding, ref);
    await apply();
    await clean();
  });

  test('one user’s access is applied and checked without less protection from the others', async () => {
    const ref = { namespace: NAMESPACE, name: 'other' };
    const spec = {
      permissions: [{ user: 'bob', may: ['start', 'reset'] }],
      vm: { maximumCpus: 1, display: { spice: {} } },
    };
    await admin.create(VMS, NAMESPACE, { metadata: { name: ref.name }, spec });
    await apply();
    const bindings = async (): Promise<unknown[]> => {
      const kind = ACCESS_RESOURCES.ValidatingAdmissionPolicyBinding;
      const { items } = await admin.list(kind, { namespace: undefined });
      return items.map((one) => [one.metadata.name, one['spec']]);
    };
    const before = await bindings();
    for (const narrow of [
      ['--users', 'alice'],
      ['--roles', 'nobodys'],
    ]) {
      assert.equal((await asAdmin('check', ...narrow)).code, 0);
      assert.deepEqual(changesOf(await apply(...narrow, '--json')), []);
      assert.deepEqual(await bindings(), before);
    }
    await admin.delete(VMS, ref);
    await apply();
  });

  test('a Secret that is labelled as another VM’s is told, and stops nothing', async () => {
    const ref = { namespace: NAMESPACE, name: 'a.b' };
    const spec = {
      permissions: [{ user: 'bob', may: ['accessConsole'] }],
      vm: { maximumCpus: 1, display: { spice: {} } },
    };
    await admin.create(VMS, NAMESPACE, { metadata: { name: ref.name }, spec });
    const secret = { namespace: NAMESPACE, name: 'a.b-display-secret' };
    const labels = {
      'app.kubernetes.io/name': 'vm-runner',
      'app.kubernetes.io/component': 'display-secret',
      'app.kubernetes.io/instance': 'desk',
    };
    await admin.create(LABELLED_SECRETS, NAMESPACE, { metadata: { name: secret.name, labels } });
    const { stderr } = await apply();
    assert.match(stderr, /a\.b: Secret a\.b-display-secret has the name of .* labelled as that of desk:/);
    assert.doesNotMatch(JSON.stringify(await stored('Role', 'vmop-user-bob')), /display-secret/);
    assert.match(JSON.stringify(await stored('Role')), /a\.b-display-secret/);
    await clean();
    await admin.delete(LABELLED_SECRETS, secret);
    await admin.delete(VMS, ref);
    await apply();
  });

  test('a binding that has lost its namespace is pruned only with all of them', async () => {
    const path = '/metadata/labels/vmop~1namespace';
    const kind = 'ValidatingAdmissionPolicyBinding';
    await patched(kind, 'vmop-vms-default', { op: 'remove', path });
    const elsewhere = ['-n', 'elsewhere'];
    assert.deepEqual(changesOf(await apply(...elsewhere, '--json')), []);
    await stored(kind, 'vmop-vms-default');
    assert.deepEqual(changesOf(await apply('--json')), [`${kind} changed`]);
    await clean();
  });

  test('a policy that cannot be evaluated refuses in one line', async () => {
    const validation = { expression: 'int(request.name + "x") ==\n1', reason: 'Forbidden' };
    const alice = await api.kubeconfigFor('alice');
    await patched('ValidatingAdmissionPolicy', 'vmop-vms', {
      op: 'add',
      path: '/spec/validations/0',
      value: validation,
    });
    await eventually(async () => {
      const { code, stderr } = await vmop(home, ['start', 'desk', '--dry-run'], { kubeconfig: alice });
      if (!/cannot evaluate/.test(stderr)) return false;
      assert.equal(code, 4, stderr);
      assert.match(
        stderr,
        /^error: desk: the API server cannot evaluate the policy vmop-vms: [^\n]+\n {2}vmop access/m,
      );
      assert.doesNotMatch(stderr, /int\(/);
      return true;
    });
    await apply();
    await clean();
  });

  test('generate knows with which options the cluster’s policies were made', async () => {
    const made = await asAdmin('generate', '--user-prefix', 'oidc:');
    assert.equal(made.code, 0);
    assert.match(made.stderr, /made with other options: --user-prefix: "", not "oidc:"/);
    await apply('--user-prefix', 'corp:', '--replace-options');
    const kept = await asAdmin('generate');
    assert.match(kept.stdout, /name: corp:alice/);
    assert.doesNotMatch(kept.stderr, /other options/);
    await apply('--user-prefix', '', '--replace-options');
  });

  test('what generate prints, kubectl applies to what apply made', async (t) => {
    if ('reason' in kubectl) return t.skip(kubectl.reason);
    const file = path.join(home, 'access.json');
    await writeFile(file, (await asAdmin('generate', '-o', 'json')).stdout);
    const args = ['apply', '--server-side', '-f', file];
    const { failed, stderr } = await ran(kubectl.path, args, api.adminKubeconfig);
    assert.equal(failed, false, stderr);
    await clean();
  });
});
