import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { POOLS } from '../../../../src/lib/vm/parse.ts';
import { CONDITIONS } from '../../../../src/lib/vm/types.ts';
import { reconcile, type Observed } from '../../../../src/lib/sandbox/operator/reconcile.ts';
import {
  CONFIG_MAPS,
  DP_VERSION,
  ENDING,
  OPERATED_VMS,
  PODS,
  REVISION,
  SECRETS,
} from '../../../../src/lib/sandbox/operator/resources.ts';

const NOW = new Date('2026-01-01T00:00:10Z');
const meta = (name: string, more: JsonObject = {}) => ({
  name,
  namespace: 'n',
  uid: `${name}-uid`,
  resourceVersion: '5',
  ...more,
});
const owner = (uid: string) => ({
  ownerReferences: [{ apiVersion: 'v', kind: 'VirtualMachine', name: 'vm', uid }],
});

interface VmShape {
  state?: string;
  generation?: number;
  user?: string;
  status?: JsonObject;
  spice?: JsonObject;
}

function vm({ state = 'Running', generation = 7, user, status, spice = {} }: VmShape = {}) {
  const conditions = CONDITIONS.map((type) => ({ type, status: 'False', reason: 'x', message: '' }));
  const display = { spice, ...(user === undefined ? {} : { loggedInUser: user }) };
  return OPERATED_VMS.parse({
    apiVersion: '',
    kind: '',
    metadata: meta('vm', { generation, uid: 'vm-uid' }),
    spec: { vm: { state, display } },
    status: { conditions, ...status },
  });
}

function pod({ status, ...metadata }: { status?: JsonObject } & JsonObject = {}) {
  const annotations = { [REVISION]: '7', [DP_VERSION]: '5' };
  return PODS.parse({
    apiVersion: '',
    kind: '',
    metadata: meta('vm', { ...owner('vm-uid'), annotations, ...metadata }),
    status: { phase: 'Running', ...status },
  });
}

function configMap(revision = '7', uid = 'vm-uid') {
  const annotations = { [REVISION]: revision };
  return CONFIG_MAPS.parse({
    apiVersion: '',
    kind: '',
    metadata: meta('vm', { ...owner(uid), annotations }),
    data: { 'config.yaml': '' },
  });
}

function secret(resourceVersion = '5') {
  const labels = { 'app.kubernetes.io/instance': 'vm' };
  return SECRETS.parse({
    apiVersion: '',
    kind: '',
    metadata: meta('any', { labels, resourceVersion }),
    data: {},
  });
}

const pool = (loginOnAssignment: boolean) =>
  POOLS.parse({ apiVersion: '', kind: '', metadata: meta('p'), spec: { loginOnAssignment } });

const steady = {
  vm: vm(),
  pool: undefined,
  pod: pod(),
  configMap: configMap(),
  secret: secret(),
  failures: 0,
};

/** The actions without their configuration. */
function actions(change: Partial<Observed>): unknown[] {
  return reconcile({ ...steady, ...change }, NOW).map((action) => {
    if (action.type !== 'writeConfig') return action;
    const { loggedInUser, hasDisplayPassword } = action.config;
    return { type: action.type, revision: action.revision, loggedInUser, hasDisplayPassword };
  });
}

const none = { pod: undefined, configMap: undefined, secret: undefined };
const written = (revision: string, loggedInUser?: string, hasDisplayPassword = true) => ({
  type: 'writeConfig',
  revision,
  loggedInUser,
  hasDisplayPassword,
});

const table: [string, Partial<Observed>, unknown[]][] = [
  ['nothing is to be done for a VM that runs as it shall', {}, []],
  [
    'a start makes the Secret, the ConfigMap and the pod, in this order',
    none,
    [{ type: 'createSecret' }, written('7'), { type: 'createPod', revision: '7' }],
  ],
  [
    'a Secret that is there already is used, whatever its name',
    { ...none, secret: secret() },
    [written('7'), { type: 'createPod', revision: '7' }],
  ],
  [
    'generateSecret=false: no Secret and no password',
    { ...none, vm: vm({ spice: { generateSecret: false } }) },
    [written('7', undefined, false), { type: 'createPod', revision: '7' }],
  ],
  ['a stopped VM without anything needs nothing', { ...none, vm: vm({ state: 'Stopped' }) }, []],
  [
    'a stop ends the pod and keeps ConfigMap and Secret',
    { vm: vm({ state: 'Stopped' }) },
    [{ type: 'endPod' }],
  ],
  [
    'a stop that is under way is waited for',
    { vm: vm({ state: 'Stopped' }), pod: pod({ deletionTimestamp: NOW.toISOString() }) },
    [],
  ],
  [
    'so is one that was asked for by annotation',
    { vm: vm({ state: 'Stopped' }), pod: pod({ annotations: { [ENDING]: 'x' } }) },
    [],
  ],
  [
    'a pod whose runner is over goes',
    { vm: vm({ state: 'Stopped' }), pod: pod({ status: { phase: 'Succeeded' } }) },
    [{ type: 'deletePod', failed: false }],
  ],
  [
    'a start while the last run ends does not take that end for the guest’s own',
    { pod: pod({ annotations: { [ENDING]: 'x' }, status: { phase: 'Succeeded' } }) },
    [{ type: 'deletePod', failed: false }],
  ],
  [
    'runnerVersion is removed when the pod has gone',
    { ...none, vm: vm({ state: 'Stopped', status: { runnerVersion: 'x' } }) },
    [{ type: 'clearRunnerVersion' }],
  ],
  [
    'a start while the old pod still ends waits for it',
    { pod: pod({ deletionTimestamp: NOW.toISOString() }) },
    [],
  ],
  [
    'any change of the spec writes the ConfigMap again and tells the pod',
    { vm: vm({ generation: 8 }) },
    [written('8'), { type: 'touchPod', revision: '8' }],
  ],
  [
    'a wanted user is part of the configuration',
    { vm: vm({ generation: 8, user: 'alice' }) },
    [written('8 login alice', 'alice'), { type: 'touchPod', revision: '8 login alice' }],
  ],
  [
    'an empty user is handed on as such',
    { vm: vm({ generation: 8, user: '' }) },
    [written('8 login ', ''), { type: 'touchPod', revision: '8 login ' }],
  ],
  [
    'loginOnAssignment overrides the user at once, without a change of the spec',
    { vm: vm({ status: { assignment: { pool: 'p', user: 'bob' } } }), pool: pool(true) },
    [written('7 login bob', 'bob'), { type: 'touchPod', revision: '7 login bob' }],
  ],
  [
    'an assignment from a pool without loginOnAssignment changes nothing',
    { vm: vm({ status: { assignment: { pool: 'p', user: 'bob' } } }), pool: pool(false) },
    [],
  ],
  [
    'removing the assignment, which leaves {}, logs out at once',
    { vm: vm({ status: { assignment: {} } }), pool: pool(true), configMap: configMap('7 login bob') },
    [written('7'), { type: 'touchPod', revision: '7' }],
  ],
  [
    'a ConfigMap that was written but not announced is announced',
    { pod: pod({ annotations: { [REVISION]: '6', [DP_VERSION]: '5' } }) },
    [{ type: 'touchPod', revision: '7' }],
  ],
  [
    'a write to the Secret is announced to the pod',
    { secret: secret('9') },
    [{ type: 'touchPod', secretVersion: '9' }],
  ],
  ['deleting the Secret of a running VM changes nothing', { secret: undefined }, []],
  [
    'the next change of the spec makes it again',
    { secret: undefined, vm: vm({ generation: 8 }) },
    [{ type: 'createSecret' }, written('8'), { type: 'touchPod', revision: '8' }],
  ],
  [
    'a guest that powered off leaves a stopped VM',
    { pod: pod({ status: { phase: 'Succeeded' } }) },
    [{ type: 'stopVm' }, { type: 'deletePod', failed: false }],
  ],
  [
    'a failed runner is tried again after a pause',
    { pod: failedAt('2026-01-01T00:00:10Z') },
    [{ type: 'lookAgain', afterMs: 250 }],
  ],
  [
    'and later the more often it failed',
    { pod: failedAt('2026-01-01T00:00:10Z'), failures: 3 },
    [{ type: 'lookAgain', afterMs: 2000 }],
  ],
  [
    'when the pause is over its pod goes',
    { pod: failedAt('2026-01-01T00:00:05Z') },
    [{ type: 'deletePod', failed: true }],
  ],
  [
    'a failed runner of a stopped VM is not tried again',
    { vm: vm({ state: 'Stopped' }), pod: failedAt('2026-01-01T00:00:10Z') },
    [{ type: 'deletePod', failed: false }],
  ],
  [
    'a deleted VM takes pod and ConfigMap with it, the Secret stays',
    { vm: undefined },
    [{ type: 'endPod' }, { type: 'deleteConfig' }],
  ],
  ['a VM created meanwhile waits for the old pod', { pod: pod(owner('old-uid')) }, [{ type: 'endPod' }]],
  [
    'a ConfigMap that an earlier VM of the name left is taken over',
    { ...none, configMap: configMap('7', 'old-uid'), secret: secret() },
    [written('7'), { type: 'createPod', revision: '7' }],
  ],
  [
    'conditions that are missing are added, whatever else is to be done',
    { ...none, vm: vm({ state: 'Stopped', status: { conditions: [] } }) },
    [{ type: 'initStatus' }],
  ],
];

function failedAt(finishedAt: string) {
  return pod({ status: { phase: 'Failed', containerStatuses: [{ state: { terminated: { finishedAt } } }] } });
}

for (const [name, change, expected] of table) {
  test(name, () => assert.deepEqual(actions(change), expected));
}

test('the manager’s own counter is written, so that adding one to it resets', () => {
  const [, write] = reconcile({ ...steady, ...none }, NOW);
  assert.ok(write?.type === 'writeConfig');
  assert.equal(write.config.resetCounter, 0);
});
