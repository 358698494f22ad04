import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { loadKubeconfig, openCluster } from '../../src/lib/cluster/index.ts';
import { ACCESS_RESOURCES } from '../../src/lib/access/types.ts';
import { asArray, asObject, asString } from '../../src/lib/cluster/parse.ts';
import type { Cluster, JsonObject, KubeObject, Resource } from '../../src/lib/cluster/types.ts';
import { inParallel } from '../../src/lib/parallel.ts';
import { parseAccessDenial } from '../../src/lib/vm/access-denial.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import { consoleUse } from '../../src/lib/vm/state.ts';
import { startApiProxy } from '../commands/api-proxy.ts';
import { findKubeBinaries, startKubeApiserver, type KubeApiserver } from '../helpers/kube-apiserver.ts';
import { findKubectl } from '../helpers/kubectl.ts';
import { vmop, type VmopRun } from '../helpers/vmop.ts';
import { startFakeSpice, type FakeSpice } from './fake-spice.ts';
import { ACTIONS, LOGIN_FIELD, owned, STATE_FIELD, USES, type Action } from './permissions/actions.ts';
import { eventually, kubectlOutcomes, outcomeOf, type Seen } from './permissions/attempt.ts';
import { permissionsDocument, permissionTables, type Outcome } from './permissions/table.ts';
import { CONSOLE_LINES, expectedCode, VMOP_LINES, type VmopLine } from './permissions/vmop-lines.ts';
import { WITHDRAWN } from './permissions/withdrawn.ts';
import {
  buildWorld,
  CONFIG,
  CONFIG_MAPS,
  GIVEN,
  groupsOf,
  heldPermissions,
  NAMESPACE,
  PLACES,
  PODS,
  RAW_VMS,
  STOPPERS_GROUP,
  userOf,
  vmName,
  type Given,
  type Place,
} from './permissions/world.ts';

const binaries = await findKubeBinaries();
const kubectl = await findKubectl();
const skip = 'reason' in binaries ? binaries.reason : false;
const PATIENCE_MS = 30_000;
const NAMESPACES: Resource<KubeObject> = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
  parse: (object) => object,
};

interface Person {
  user: string;
  kubeconfig: string;
  cluster: Cluster;
}

suite('spec.permissions on a real API server, for real users', { skip }, () => {
  let api: KubeApiserver;
  let admin: Cluster;
  let home: string;
  let spice: FakeSpice;
  const people = new Map<Given, Person>();

  const open = (kubeconfig: string): Cluster =>
    openCluster(loadKubeconfig({ env: {}, file: kubeconfig }), {
      userAgent: 'vmop-test',
      timeoutMs: PATIENCE_MS,
    });
  const asAdmin = (...args: string[]): Promise<VmopRun> =>
    vmop(home, args, {
      kubeconfig: api.adminKubeconfig,
      env: { VMOP_CONFIG: path.join(home, 'config.yaml') },
    });
  const personOf = (given: Given): Person => {
    const person = people.get(given);
    assert.ok(person);
    return person;
  };

  before(async () => {
    home = await mkdtemp(path.join(os.tmpdir(), 'vmop-permissions-'));
    await writeFile(path.join(home, 'config.yaml'), `roles: { '${STOPPERS_GROUP}': stoppers }\n`);
    api = await startKubeApiserver();
    admin = open(api.adminKubeconfig);
    spice = await startFakeSpice('accepts');
    await buildWorld(admin, spice.port);
    for (const given of GIVEN) {
      const user = userOf(given);
      const kubeconfig = await api.kubeconfigFor(user, groupsOf(given));
      people.set(given, { user, kubeconfig, cluster: open(kubeconfig) });
    }
    const applied = await asAdmin('access', 'apply');
    assert.equal(applied.code, 0, applied.stderr);
    await policiesInForce();
  });

  after(async () => {
    for (const { cluster } of people.values()) cluster.close();
    admin.close();
    await api.close();
    await spice.close();
    await rm(home, { recursive: true, force: true });
  });

  /** Until the API server obeys: for a moment it knows a new policy, but not yet the objects that it asks for. */
  async function policiesInForce(): Promise<void> {
    const probes = ['change spec.permissions', 'put something else into the Secret'];
    await eventually(async () => {
      const seen = await Promise.all(probes.map((name) => tried(actionOf(name), '*', 'own')));
      return seen.every(({ outcome }) => outcome === 'P');
    });
  }

  function actionOf(name: string): Action {
    const action = ACTIONS.find((one) => one.name === name);
    assert.ok(action, name);
    return action;
  }

  function tried(action: Action, given: Given, place: Place): Promise<Seen> {
    const { user, cluster } = personOf(given);
    return outcomeOf(action, { cluster, user, vm: vmName(given, place, action.state) });
  }

  function isFor(action: Action, given: Given, place: Place): boolean {
    const held = heldPermissions(given, place);
    return action.by === 'any' ? held.length > 0 : action.by.some((permission) => held.includes(permission));
  }

  const key = (...parts: string[]): string => JSON.stringify(parts);

  /** Every action of every user on every VM, with vmop's client. */
  let table: Promise<Map<string, Seen>> | undefined;
  function seenByClient(): Promise<Map<string, Seen>> {
    table ??= (async () => {
      const cells = ACTIONS.flatMap((action) =>
        GIVEN.flatMap((given) => PLACES.map((place) => ({ action, given, place }))),
      );
      const seen = await inParallel(cells, 8, async ({ action, given, place }) => {
        return [key(action.name, given, place), await tried(action, given, place)] as const;
      });
      return new Map(seen);
    })();
    return table;
  }

  /** Where what became of an action is not what the permissions say. */
  function wrongOf(action: Action, given: Given, place: Place, { outcome, message }: Seen): string[] {
    const right = isFor(action, given, place) === (outcome === '✓');
    const needs = parseAccessDenial(message)?.permission;
    const named =
      needs === undefined ||
      action.by === 'any' ||
      action.by.length === 0 ||
      action.by.some((one) => one === needs);
    return right && named ? [] : [`${action.name}, ${given} on ${place}: ${outcome} ${message}`];
  }

  test('each permission lets through its own actions, and no other', async () => {
    const seen = await seenByClient();
    const seenAs = (name: string, given: Given, place: Place): Seen => {
      const one = seen.get(key(name, given, place));
      assert.ok(one);
      return one;
    };
    const wrong = ACTIONS.flatMap((action) =>
      GIVEN.flatMap((given) =>
        PLACES.flatMap((place) => wrongOf(action, given, place, seenAs(action.name, given, place))),
      ),
    );
    assert.deepEqual(wrong, []);
    const tables = permissionTables(
      ACTIONS.map(({ name }) => name),
      (...cell) => seenAs(...cell).outcome,
    );
    const { is, should } = await permissionsDocument(tables);
    assert.equal(is, should, 'docs/permissions.md; UPDATE_GOLDEN=1 accepts what is new');
  });

  test('kubectl gets through where vmop’s client does, and is refused alike', async (t) => {
    if ('reason' in kubectl) return t.skip(kubectl.reason);
    const seen = await seenByClient();
    // Whoever has no permission for it at all is refused alike: what nobody may is tried by who may most.
    const lines = ACTIONS.flatMap((action) =>
      GIVEN.flatMap((given) =>
        action.kubectl !== undefined && (given === '*' || USES.includes(action)) ? [{ action, given }] : [],
      ),
    );
    const wrong = await inParallel(lines, 4, async ({ action, given }) => {
      const vms = PLACES.map((place) => vmName(given, place, action.state));
      const outcomes = await kubectlOutcomes(kubectl.path, action, personOf(given), vms);
      return PLACES.flatMap((place) => {
        const one = outcomes.get(vmName(given, place, action.state));
        assert.ok(one);
        const alike = one.outcome === seen.get(key(action.name, given, place))?.outcome;
        const more = alike ? [] : [`${action.name}, ${given} on ${place}: ${one.outcome} ${one.message}`];
        return [...wrongOf(action, given, place, one), ...more];
      });
    });
    assert.deepEqual(wrong.flat(), []);
  });

  /** Runs vmop for every user on every VM; each has the exit code that the permissions held say. */
  async function assertExitCodes(lines: readonly VmopLine[]): Promise<void> {
    const env = { VMOP_CONFIG: path.join(home, 'config.yaml') };
    const cells = lines.flatMap((line) =>
      GIVEN.flatMap((given) => PLACES.map((place) => ({ line, given, place }))),
    );
    const wrong = await inParallel(cells, 4, async ({ line, given, place }) => {
      const { kubeconfig } = personOf(given);
      const args = line.args(vmName(given, place, line.state ?? 'running'));
      const input = line.input === undefined ? {} : { input: line.input };
      const { code, stdout, stderr } = await vmop(home, args, { kubeconfig, env, ...input });
      const expected = expectedCode(line, heldPermissions(given, place));
      const right = code === expected;
      return right
        ? []
        : [`${given} on ${place}: vmop ${args.join(' ')}: ${code}, not ${expected}: ${stdout}${stderr}`];
    });
    assert.deepEqual(wrong.flat(), []);
  }

  test('vmop gets through where the table says so, and exits with 4 elsewhere', () =>
    assertExitCodes(VMOP_LINES));

  test('vmop opens a console for who may, takes one over for who may, and exits with 4 for others', async () => {
    // One after the other: a console leaves its user’s name behind.
    for (const line of CONSOLE_LINES) await assertExitCodes([line]);
  });

  /** The VM's entries in spec.permissions, as an administrator writes them. */
  function setPermissions(vm: string, permissions: JsonObject[]): Promise<unknown> {
    const body = { spec: { permissions } };
    return admin.patch(VMS, { namespace: NAMESPACE, name: vm }, { type: 'merge', body });
  }

  for (const { given, state, line, left = [], probe } of WITHDRAWN) {
    test(`withdrawn while vmop is at it: ${line} tells which permission is missing, and who gives it`, async () => {
      const vm = vmName(given, 'own', state);
      const ref = { namespace: NAMESPACE, name: vm };
      const before = asArray(asObject((await admin.get(RAW_VMS, ref))['spec'])['permissions']).map(asObject);
      const status = { consoleUser: 'sitter' };
      await admin.patch(RAW_VMS, ref, { type: 'merge', body: { status } }, { subresource: 'status' });
      const attempt = { ...personOf(given), vm };
      const withdraw = async (): Promise<void> => {
        await setPermissions(vm, [...left, { user: 'boss', may: [given] }]);
        await eventually(async () => (await outcomeOf(actionOf(probe), attempt)).outcome === 'P');
      };
      const { code, stderr } = await whileAtIt(given, line.replace('VM', vm).split(' '), withdraw);
      await setPermissions(vm, before);
      assert.equal(code, 4, stderr);
      const user = userOf(given);
      assertTold(
        stderr,
        `${user} does not hold the permission ${given} on ${vm}`,
        `spec.permissions of VM ${vm} gives it to boss; an administrator of namespace ${NAMESPACE} can change that`,
      );
      if (line.startsWith('console')) {
        const what = `the permission takeConsole on ${vm} to take its console over from somebody who is connected`;
        const warning = `warning: others will not see that the console of ${vm} is yours: the API server asks for ${what}\n`;
        assert.ok(stderr.includes(warning), stderr);
      }
    });
  }

  test('who is no administrator any more is told that only administrators may', async () => {
    const vm = vmName('start', 'own', 'stopped');
    const user = userOf('start');
    await allow(user, [{ apiGroups: [VMS.group], resources: ['vms'], verbs: ['patch'] }]);
    const { cluster } = personOf('start');
    const everything = { group: VMS.group, resource: 'vms', verb: 'patch', namespace: NAMESPACE };
    const isAdministrator = async (): Promise<boolean> => (await cluster.canI(everything)).allowed;
    await eventually(isAdministrator);
    const line = ['permissions', 'grant', vm, '--user', 'eve', '--may', 'stop', '--dry-run'];
    const { code, stderr } = await whileAtIt('start', line, async () => {
      await admin.delete(ACCESS_RESOURCES.RoleBinding, { namespace: NAMESPACE, name: user });
      await eventually(async () => !(await isAdministrator()));
    });
    assert.equal(code, 4, stderr);
    assertTold(
      stderr,
      `${user} may not do that to ${vm}: only administrators of namespace ${NAMESPACE} are allowed to change spec.permissions`,
      'no entry of spec.permissions is for this: ask an administrator to do it',
    );
  });

  test('who claims another name in vmop is told the name that the API server knows', async () => {
    const vm = vmName('stop', 'own', 'stopped');
    const stoppers = { role: 'stoppers', may: ['stop'] };
    await setPermissions(vm, [stoppers, { user: 'boss', may: ['start'] }]);
    const { code, stderr } = await vmop(home, ['start', vm, '--dry-run', '--user-name', 'boss'], {
      kubeconfig: personOf('stop').kubeconfig,
    });
    await setPermissions(vm, [stoppers]);
    assert.equal(code, 4, stderr);
    assertTold(
      stderr,
      `u-stop does not hold the permission start on ${vm}`,
      `spec.permissions of VM ${vm} gives it to boss; an administrator of namespace ${NAMESPACE} can change that; ` +
        'vmop was told that you are boss (--user-name, or userName of config.yaml), and the API server knows you as u-stop',
    );
  });

  test('what is refused after a session, and of a pool, is told in the same words', async () => {
    const { kubeconfig } = personOf('accessConsole');
    const vm = vmName('accessConsole', 'own', 'running');
    const { uid } = await admin.get(VMS, { namespace: NAMESPACE, name: vm });
    const finish = ['finish-session', '--on-disconnect=stop', `--uid=${uid}`, `${NAMESPACE}/${vm}`, '-'];
    const finished = await vmop(home, finish, { kubeconfig });
    assert.equal(
      finished.stderr,
      `${vm}: stop failed after its console was closed: the API server asks for the permission stop on ${vm} to stop it\n`,
    );
    const pool = `pool-${userOf('start')}`;
    await allow('vm-admin', [
      { apiGroups: [VMS.group], resources: ['vms'], verbs: ['patch'] },
      { apiGroups: [VMS.group], resources: ['vmpools'], verbs: ['get'] },
    ]);
    const granted = await vmop(
      home,
      ['permissions', 'grant', '--pool', pool, '--user', 'eve', '--may', 'stop'],
      {
        kubeconfig: await api.kubeconfigFor('vm-admin'),
      },
    );
    assert.equal(granted.code, 4);
    assertTold(
      granted.stderr,
      `the API server does not let vm-admin patch vmpools "${pool}"`,
      `an administrator of namespace ${NAMESPACE} can allow it in a Role`,
    );
  });

  /** Runs vmop, and does something before its first write gets to the API server. */
  async function whileAtIt(given: Given, line: string[], meanwhile: () => Promise<void>): Promise<VmopRun> {
    const { kubeconfig } = personOf(given);
    let done: Promise<void> | undefined;
    const proxy = await startApiProxy({
      kubeconfig,
      async meet(method) {
        if (method === 'PATCH' || method === 'DELETE') await (done ??= meanwhile());
        return undefined;
      },
    });
    try {
      // Nothing is remembered there of who was an administrator.
      const folder = await mkdtemp(path.join(home, 'while-'));
      const env = { VMOP_CONFIG: path.join(home, 'config.yaml') };
      const run = await vmop(folder, [...line, '--server', proxy.url], { kubeconfig, env });
      assert.ok(done, 'nothing was written');
      return run;
    } finally {
      await proxy.close();
    }
  }

  /** The error and its hint, whole, and last of all. */
  function assertTold(stderr: string, message: string, hint: string): void {
    const told = stderr.slice(stderr.indexOf('error: '));
    assert.equal(told, `error: ${message}\n  ${hint}\n`);
  }

  test('a permission that is withdrawn ends at once, before access is applied again', async () => {
    const action = actionOf('start');
    const ref = { namespace: NAMESPACE, name: vmName('start', 'own', 'stopped') };
    const grant = (may: string[]): Promise<unknown> => {
      const body = { spec: { permissions: [{ user: userOf('start'), may }] } };
      return admin.patch(VMS, ref, { type: 'merge', body });
    };
    await grant(['stop']);
    assert.equal((await tried(action, 'start', 'own')).outcome, 'P');
    await grant(['start']);
    assert.equal((await tried(action, 'start', 'own')).outcome, '✓');
  });

  test('whose console counts as connected is the same for vmop and the policies, also on a dead VM', async () => {
    const ref = { namespace: NAMESPACE, name: vmName('accessConsole', 'own', 'used') };
    const status = (running: string, runnerVersion: string | null): JsonObject => {
      const condition = (type: string, text: string): JsonObject => {
        const [value, reason = ''] = text.split('/');
        const lastTransitionTime = '2026-11-22T00:00:00Z';
        return { type, status: value, reason, message: '', observedGeneration: 1, lastTransitionTime };
      };
      const conditions = [condition('ConsoleConnected', 'True/Connected')];
      if (running !== '') conditions.push(condition('Running', running));
      return { runnerVersion, consoleUser: 'sitter', conditions };
    };
    const cases: [running: string, runnerVersion: string | null, connected: boolean][] = [
      // Killed by force, and left like that for good.
      ['True/VmTerminating', null, false],
      ['True/VmTerminating', '4', true],
      ['False/VmStopped', '4', false],
      ['True/VmStarted', null, true],
      ['Unknown/Lost', '4', false],
      ['True/VmStarted', '4', true],
      ['', null, false],
    ];
    const names = ['set the display password', 'log a user in on the guest', 'become the console’s user'];
    const { cluster, user } = personOf('accessConsole');
    for (const [running, runnerVersion, connected] of cases) {
      const body = { status: status(running, runnerVersion) };
      const vm = await admin.patch(VMS, ref, { type: 'merge', body }, { subresource: 'status' });
      assert.equal(consoleUse(vm).connected, connected, running);
      for (const name of names) {
        const outcome = connected ? 'P' : '✓';
        const action = actionOf(name);
        // The Secret's policy has the VM from a cache.
        await eventually(
          async () => (await outcomeOf(action, { cluster, user, vm: ref.name })).outcome === outcome,
          `${name}, ${running} ${runnerVersion}`,
        );
      }
    }
  });

  test('what GitOps applies, users may still change within their permissions, and GitOps may withdraw', async () => {
    const ref = { namespace: NAMESPACE, name: vmName('start', 'own', 'stopped') };
    const { cluster, user } = personOf('start');
    const applied = (permissions: JsonObject[]): Promise<KubeObject> => {
      const spec = { permissions, vm: { state: 'Stopped', maximumCpus: 2, currentCpus: 2 } };
      const { group, version, kind } = RAW_VMS;
      const object = { apiVersion: `${group}/${version}`, kind, metadata: { name: ref.name }, spec };
      return admin.patch(RAW_VMS, ref, { type: 'apply', object, fieldManager: 'gitops', force: true });
    };
    const permissions = [
      { user, may: ['start'] },
      { user: 'boss', may: ['*'] },
    ];
    await applied(permissions);
    const body = { spec: { vm: { state: 'Running' } } };
    await cluster.patch(RAW_VMS, ref, { type: 'merge', body });
    const object = { ...(await applied(permissions.slice(0, 1))) };
    assert.deepEqual(asObject(object['spec'])['permissions'], permissions.slice(0, 1));
  });

  test('what has a VM’s name and the VM as its owner, but not the label, is nobody’s to change', async () => {
    const vm = vmName('reset', 'own', 'used');
    const { cluster, user } = personOf('reset');
    const labelled = (value: string | null): Promise<unknown> => {
      const body = { metadata: { labels: { 'app.kubernetes.io/name': value } } };
      return inParallel([CONFIG_MAPS, PODS], 2, (resource) =>
        admin.patch(resource, { namespace: NAMESPACE, name: vm }, { type: 'merge', body }),
      );
    };
    const outcomes = (): Promise<Seen[]> =>
      inParallel(['reset: raise the counter', 'reset: touch the pod'], 2, (name) =>
        outcomeOf(actionOf(name), { cluster, user, vm }),
      );
    await labelled(null);
    for (const { outcome, message } of await outcomes()) {
      assert.equal(outcome, 'P', message);
      assert.match(message, /to change what is not of its runner/);
    }
    await labelled('vm-runner');
    for (const { outcome, message } of await outcomes()) assert.equal(outcome, '✓', message);
  });

  test('who says that very many programs own a field is stopped, and locks nobody out', async () => {
    const { cluster, user } = personOf('*');
    const vm = vmName('*', 'own', 'stopped');
    const attempt = { cluster, user, vm };
    const flood = async (fields: JsonObject, operation: 'Apply' | 'Update'): Promise<number> => {
      for (let count = 0; count < 40; count += 1) {
        const one = { managers: [`flood-${operation}-${count}`], operation, dryRun: false };
        const { outcome, message } = await outcomeOf(
          { name: 'flood', state: 'stopped', by: 'any', ...owned(RAW_VMS, fields, one) },
          attempt,
        );
        if (outcome === '✓') continue;
        assert.match(message, /to change who owns its fields/);
        return count;
      }
      return 40;
    };
    assert.equal(await flood(STATE_FIELD, 'Apply'), 16);
    assert.ok((await flood(STATE_FIELD, 'Update')) <= 1);
    assert.equal(await flood(LOGIN_FIELD, 'Apply'), 16);
    assert.ok((await flood(LOGIN_FIELD, 'Update')) <= 1);
    for (const name of ['start', 'log a user in on the guest', 'become the console’s user']) {
      const { outcome, message } = await outcomeOf(actionOf(name), attempt);
      assert.equal(outcome, '✓', `${name}: ${message}`);
    }
    // Stored, it takes the field from all of them, and there is room again.
    const ref = { namespace: NAMESPACE, name: vm };
    const state = (value: string): Promise<KubeObject> =>
      cluster.patch(RAW_VMS, ref, { type: 'merge', body: { spec: { vm: { state: value } } } });
    await state('Running');
    assert.equal(await flood(STATE_FIELD, 'Apply'), 16);
    await state('Stopped');
  });

  test('a reset counter that is absent was 0, for vmop and the policy alike', async () => {
    const vm = vmName('reset', 'own', 'running');
    const ref = { namespace: NAMESPACE, name: vm };
    const { kubeconfig, cluster } = personOf('reset');
    const patch = (by: Cluster, text: string, dryRun: boolean): Promise<unknown> =>
      by.patch(CONFIG_MAPS, ref, { type: 'merge', body: { data: { 'config.yaml': text } } }, { dryRun });
    const absent = '"/Runner":\n  dataDir: /x\n  vm:\n    maximumCpus: 2\n';
    await patch(admin, absent, false);
    const env = { VMOP_CONFIG: path.join(home, 'config.yaml') };
    const { code, stderr } = await vmop(home, ['reset', vm, '--yes', '--dry-run'], { kubeconfig, env });
    assert.equal(code, 0, stderr);
    for (const line of ['resetCounter: 2', 'resetCounter: 1\n  x: 1'])
      await assert.rejects(
        patch(cluster, absent.replace('  dataDir', `  ${line}\n  dataDir`), true),
        /raise/,
      );
    await patch(admin, CONFIG, false);
  });

  test('check finds what others changed, apply puts it right and prunes, --dry-run changes nothing', async () => {
    const clean = await asAdmin('access', 'check');
    assert.equal(clean.code, 0, clean.stdout);
    await admin.delete(VMS, { namespace: NAMESPACE, name: vmName('reset', 'own', 'stopped') });
    const drift = await asAdmin('access', 'check', '--json');
    assert.equal(drift.code, 5);
    const rows = asArray(drift.json()).map(asObject);
    const row = rows.find(({ kind }) => kind === 'Role');
    const { name, differences, ...rest } = row ?? {};
    assert.match(asString(name) ?? '', /^vmop-user-u-reset-[0-9a-f]{8}$/);
    assert.ok(asArray(differences).length > 0);
    assert.deepEqual(rest, {
      kind: 'Role',
      namespace: NAMESPACE,
      grantee: 'user u-reset',
      drift: 'different',
    });
    assert.deepEqual(
      rows.filter((one) => one !== row).map((one) => [one['kind'], one['drift']]),
      [
        ['ValidatingAdmissionPolicyBinding', 'different'],
        ['ValidatingAdmissionPolicyBinding', 'unwanted'],
      ],
    );
    const told = await asAdmin('access', 'check');
    assert.match(
      told.stdout,
      /^different {2}Role default\/vmop-user-u-reset-\w+ \(user u-reset\)\n {4}rules/m,
    );
    assert.equal((await asAdmin('access', 'apply', '--dry-run')).code, 0);
    assert.equal((await asAdmin('access', 'check')).code, 5);
    const applied = await asAdmin('access', 'apply');
    assert.match(applied.stdout, /^changed +Role +default +vmop-user-u-reset-/m);
    assert.match(applied.stdout, /^pruned +ValidatingAdmissionPolicyBinding /m);
    assert.equal((await asAdmin('access', 'check')).code, 0);
  });

  test('--pool-members: Roles go beyond what holds now, and the policies still do not', async () => {
    const applied = await asAdmin('access', 'apply', '--pool-members');
    assert.equal(applied.code, 0, applied.stderr);
    // What only reads is RBAC's alone.
    const reads = /^(see|read|forward) /;
    for (const action of ACTIONS) {
      const { outcome, message } = await tried(action, '*', 'leased');
      if (!reads.test(action.name)) assert.notEqual(outcome, '✓', `${action.name}: ${message}`);
    }
    assert.equal((await tried(actionOf('stop'), '*', 'leased')).outcome, 'P');
  });

  test('an administrator of the namespace applies Roles, and is told who may apply policies', async () => {
    await allow('local-admin', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }]);
    const kubeconfig = await api.kubeconfigFor('local-admin');
    const env = { VMOP_CONFIG: path.join(home, 'config.yaml') };
    const whole = await vmop(home, ['access', 'apply'], { kubeconfig, env });
    assert.equal(whole.code, 4);
    assert.match(whole.stderr, /validatingadmissionpolic.* is forbidden/);
    assert.match(whole.stderr, /--no-policies leaves/);
    const roles = await vmop(home, ['access', 'apply', '--no-policies'], { kubeconfig, env });
    assert.equal(roles.code, 0, roles.stderr);
    // Whoever may patch any VM is an administrator, and the policies do not limit them.
    const cluster = open(kubeconfig);
    const change = actionOf('change the image').run;
    await change({ cluster, user: 'local-admin', vm: 'foreign-running' });
    cluster.close();
  });

  test('another verb for administrators, exemptions, and names with a prefix', async () => {
    await allow('operator', [
      { apiGroups: ['vmoperator.jdrupes.org'], resources: ['vms'], verbs: ['patch'] },
    ]);
    const flags = ['--user-prefix', 'corp:', '--administrator-verb', 'administrate', '--replace-options'];
    const image = async (user: string): Promise<Outcome> => {
      const cluster = open(await api.kubeconfigFor(user));
      const vm = vmName('start', 'own', 'stopped');
      try {
        return (await outcomeOf(actionOf('change the image'), { cluster, user, vm })).outcome;
      } finally {
        cluster.close();
      }
    };
    assert.equal(await image('operator'), '✓');
    assert.equal((await asAdmin('access', 'apply', ...flags)).code, 0);
    await eventually(async () => (await image('operator')) === 'P');
    assert.equal((await asAdmin('access', 'apply', ...flags, '--exempt-user', 'operator')).code, 0);
    await eventually(async () => (await image('operator')) === '✓');
    // The Role is now of corp:u-start, and so is the permission.
    const prefixed = open(await api.kubeconfigFor(`corp:${userOf('start')}`));
    const start = { cluster: prefixed, user: userOf('start'), vm: vmName('start', 'own', 'stopped') };
    assert.equal((await outcomeOf(actionOf('start'), start)).outcome, '✓');
    assert.equal((await outcomeOf(actionOf('change the image'), start)).outcome, 'P');
    prefixed.close();
    assert.equal((await tried(actionOf('start'), 'start', 'own')).outcome, 'R');
    // They stay until somebody says so: for who says nothing, and against who says something else.
    assert.equal((await asAdmin('access', 'check')).code, 0);
    for (const command of ['check', 'apply']) {
      const other = await asAdmin('access', command, '--user-prefix', 'oidc:');
      assert.equal(other.code, 5);
      assert.match(other.stderr, /made with other options: --user-prefix: "corp:", not "oidc:"\n/);
      assert.match(other.stderr, /--replace-options/);
    }
    assert.equal((await asAdmin('access', 'check')).code, 0);
  });

  test('policies hold only in the namespaces in which access was applied, and are pruned by namespace', async () => {
    const elsewhere = 'elsewhere';
    await admin.create(NAMESPACES, '', { metadata: { name: elsewhere } });
    const user = userOf('start');
    const spec = { permissions: [{ user, may: ['start'] }], vm: { maximumCpus: 1, display: { spice: {} } } };
    await admin.create(VMS, elsewhere, { metadata: { name: 'vm' }, spec });
    const namespaced = { namespace: elsewhere, name: 'vm' };
    const rules = [
      { apiGroups: [VMS.group], resources: ['vms'], resourceNames: ['vm'], verbs: ['get', 'patch'] },
    ];
    await allow(user, rules, elsewhere);
    const { cluster } = personOf('start');
    // RBAC takes a moment, too.
    const mayPatch = { group: VMS.group, resource: 'vms', verb: 'patch', ...namespaced };
    await eventually(async () => (await cluster.canI(mayPatch)).allowed);
    const body = { spec: { image: { source: 'example.org/other' } } };
    const refused = async (): Promise<boolean> => {
      try {
        await cluster.patch(VMS, namespaced, { type: 'merge', body }, { dryRun: true });
        return false;
      } catch (error) {
        assert.ok(error instanceof Error && parseAccessDenial(error.message), String(error));
        return true;
      }
    };
    assert.equal(await refused(), false, 'access was never applied there');
    assert.equal((await asAdmin('access', 'apply', '-n', elsewhere)).code, 0);
    await eventually(refused);
    assert.equal((await asAdmin('access', 'check')).code, 0, 'the other namespace is as it was');
    await admin.delete(VMS, namespaced);
    assert.equal((await asAdmin('access', 'apply', '-n', elsewhere)).code, 0);
    const left = await admin.list(ACCESS_RESOURCES.ValidatingAdmissionPolicyBinding, {
      namespace: undefined,
    });
    const namespaces = new Set(left.items.map(({ metadata }) => metadata.labels?.['vmop/namespace']));
    assert.deepEqual([...namespaces], [NAMESPACE]);
  });

  /** A Role of its own for a user whom no spec.permissions names. */
  async function allow(user: string, rules: object[], namespace = NAMESPACE): Promise<void> {
    const apiGroup = 'rbac.authorization.k8s.io';
    await admin.create(ACCESS_RESOURCES.Role, namespace, { metadata: { name: user }, rules });
    await admin.create(ACCESS_RESOURCES.RoleBinding, namespace, {
      metadata: { name: user },
      roleRef: { apiGroup, kind: 'Role', name: user },
      subjects: [{ apiGroup, kind: 'User', name: user }],
    });
  }
});
