import { asArray, asObject } from '../../../src/lib/cluster/parse.ts';
import type {
  Cluster,
  JsonObject,
  JsonPatchOperation,
  KubeObject,
  Resource,
  WriteOptions,
} from '../../../src/lib/cluster/types.ts';
import { DISPLAY_SECRETS } from '../../../src/lib/console/secret/display-secret.ts';
import { POOLS } from '../../../src/lib/vm/parse.ts';
import type { Permission } from '../../../src/lib/vm/types.ts';
import { CONFIG, CONFIG_MAPS, NAMESPACE, PODS, RAW_VMS, secretName, type State } from './world.ts';

/** Who does it, and to which VM. */
export interface Attempt {
  cluster: Cluster;
  user: string;
  vm: string;
}

/** Something that a user may try; nothing is ever stored, so that no attempt disturbs another. */
export interface Action {
  name: string;
  state: State;
  /** Each of these permissions lets it through; none: only administrators may. */
  by: readonly Permission[] | 'any';
  run: (attempt: Attempt) => Promise<unknown>;
}

const DRY: WriteOptions = { dryRun: true };
const CONSOLE = ['accessConsole', 'takeConsole'] as const;

const refTo = (name: string): { namespace: string; name: string } => ({ namespace: NAMESPACE, name });

function patching(resource: Resource<unknown>, body: JsonObject, options = DRY): Action['run'] {
  return ({ cluster, vm }) => {
    const name = resource === DISPLAY_SECRETS ? secretName(vm) : vm;
    return cluster.patch(resource, refTo(name), { type: 'merge', body }, options);
  };
}

const spec = (body: JsonObject): Action['run'] => patching(RAW_VMS, { spec: body });
const status = (body: (user: string) => JsonObject): Action['run'] => {
  const options: WriteOptions = { ...DRY, subresource: 'status' };
  return (attempt) => patching(RAW_VMS, { status: body(attempt.user) }, options)(attempt);
};
const config = (text: string): Action['run'] => patching(CONFIG_MAPS, { data: { 'config.yaml': text } });
const raised = CONFIG.replace('resetCounter: 41', 'resetCounter: 42');
const cmVersion = { annotations: { 'vmrunner.jdrupes.org/cmVersion': 'vmop-1' } };
const password = { data: { 'display-password': 'bmV3', 'password-expiry': 'MTc4MDAwMDAwMA==' } };

const forwarding: Action['run'] = async ({ cluster, vm }) => {
  const stream = await cluster.forward(refTo(vm), 5900, { signal: AbortSignal.timeout(30_000) });
  stream.destroy();
};

/** What each permission is for. */
const USES: Action[] = [
  {
    name: 'see the VM',
    state: 'running',
    by: 'any',
    run: ({ cluster, vm }) => cluster.get(RAW_VMS, refTo(vm)),
  },
  {
    name: 'see its pod',
    state: 'running',
    by: 'any',
    run: ({ cluster, vm }) => cluster.get(PODS, refTo(vm)),
  },
  { name: 'start', state: 'stopped', by: ['start'], run: spec({ vm: { state: 'Running' } }) },
  {
    name: 'start, by server-side apply',
    state: 'stopped',
    by: ['start'],
    run: ({ cluster, vm }) => {
      const spec = { vm: { state: 'Running' } };
      const object = { ...headOf(RAW_VMS), metadata: { name: vm }, spec };
      return cluster.patch(
        RAW_VMS,
        refTo(vm),
        { type: 'apply', object, fieldManager: 'mine', force: true },
        DRY,
      );
    },
  },
  { name: 'stop', state: 'running', by: ['stop'], run: spec({ vm: { state: 'Stopped' } }) },
  { name: 'stop, by removing the state', state: 'running', by: ['stop'], run: spec({ vm: { state: null } }) },
  {
    name: 'stop by force (delete the pod)',
    state: 'running',
    by: ['stop'],
    run: ({ cluster, vm }) => cluster.delete(PODS, refTo(vm), { ...DRY, graceSeconds: 0 }),
  },
  { name: 'reset: raise the counter', state: 'running', by: ['reset'], run: config(raised) },
  {
    name: 'reset: touch the pod',
    state: 'running',
    by: ['reset'],
    run: patching(PODS, { metadata: cmVersion }),
  },
  {
    name: 'read the runner’s configuration',
    state: 'running',
    by: ['reset'],
    run: ({ cluster, vm }) => cluster.get(CONFIG_MAPS, refTo(vm)),
  },
  {
    name: 'log a user in on the guest',
    state: 'running',
    by: CONSOLE,
    run: spec({ vm: { display: { loggedInUser: 'alice' } } }),
  },
  {
    name: 'read the display password',
    state: 'running',
    by: CONSOLE,
    run: ({ cluster, vm }) => cluster.get(DISPLAY_SECRETS, refTo(secretName(vm))),
  },
  {
    name: 'set the display password',
    state: 'running',
    by: CONSOLE,
    run: patching(DISPLAY_SECRETS, password),
  },
  {
    name: 'become the console’s user',
    state: 'running',
    by: CONSOLE,
    run: status((user) => ({ consoleUser: user })),
  },
  { name: 'forward a port to the runner', state: 'running', by: CONSOLE, run: forwarding },
  {
    name: 'read the runner’s log',
    state: 'running',
    by: CONSOLE,
    run: ({ cluster, vm }) => cluster.log(refTo(vm)),
  },
  {
    name: 'set the display password while somebody is connected',
    state: 'used',
    by: ['takeConsole'],
    run: patching(DISPLAY_SECRETS, password),
  },
  {
    name: 'log a user in on the guest while somebody is connected',
    state: 'used',
    by: ['takeConsole'],
    run: spec({ vm: { display: { loggedInUser: 'alice' } } }),
  },
  {
    name: 'become the console’s user while somebody is connected',
    state: 'used',
    by: ['takeConsole'],
    run: status((user) => ({ consoleUser: user })),
  },
];

/** Server-side apply of what is there already: no value changes, but it has one owner more. */
const owning: Action['run'] = async ({ cluster, vm }) => {
  const { spec: whole } = await cluster.get(RAW_VMS, refTo(vm));
  const permissions = asArray(asObject(whole)['permissions']);
  const object = { ...headOf(RAW_VMS), metadata: { name: vm }, spec: { permissions } };
  await cluster.patch(RAW_VMS, refTo(vm), { type: 'apply', object, fieldManager: 'mine', force: true }, DRY);
};

const owned: Action['run'] = ({ cluster, vm }) => {
  const entry = {
    manager: 'theirs',
    operation: 'Apply',
    apiVersion: headOf(RAW_VMS)['apiVersion'],
    time: '2026-11-22T00:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:spec': { 'f:permissions': {} } },
  };
  const operations: JsonPatchOperation[] = [{ op: 'add', path: '/metadata/managedFields/-', value: entry }];
  return cluster.patch(RAW_VMS, refTo(vm), { type: 'json', operations }, DRY);
};

/** What no permission is for. */
const FORBIDDEN: [name: string, run: Action['run'], state?: State][] = [
  ['change spec.permissions', spec({ permissions: [{ user: 'u-none', may: ['*'] }] })],
  [
    'start it and change spec.permissions at once',
    ({ cluster, user, vm }) =>
      cluster.patch(
        RAW_VMS,
        refTo(vm),
        {
          type: 'merge',
          body: { spec: { permissions: [{ user, may: ['*', 'start'] }], vm: { state: 'Running' } } },
        },
        DRY,
      ),
    'stopped',
  ],
  ['change the image', spec({ image: { source: 'example.org/other' } })],
  ['change disks', spec({ vm: { disks: [{ volumeClaimName: 'theirs' }] } })],
  ['change cloud-init', spec({ cloudInit: { userData: { runcmd: ['id'] } } })],
  ['change CPUs', spec({ vm: { currentCpus: 1 } })],
  ['change the pools that it is in', spec({ pools: ['elsewhere'] })],
  ['change the display beside the log-in', spec({ vm: { display: { spice: { generateSecret: false } } } })],
  ['remove the display', spec({ vm: { display: null } })],
  ['log in root', spec({ vm: { display: { loggedInUser: 'root' } } })],
  ['log in a name that the guest would misread', spec({ vm: { display: { loggedInUser: 'a\nlogout' } } })],
  ['log in nobody, by an empty name', spec({ vm: { display: { loggedInUser: '' } } })],
  ['change the VM’s labels', patching(RAW_VMS, { metadata: { labels: { team: 'x' } } })],
  ['change the VM’s annotations', patching(RAW_VMS, { metadata: { annotations: { a: 'x' } } })],
  ['add a finalizer', patching(RAW_VMS, { metadata: { finalizers: ['example.org/x'] } })],
  ['own spec.permissions, too', owning],
  ['say that somebody else owns spec.permissions', owned],
  ['leave nobody an owner of anything', patching(RAW_VMS, { metadata: { managedFields: [{}] } })],
  ['write an unknown field', patching(RAW_VMS, { extra: { a: 1 } })],
  ['say that somebody else uses the console', status(() => ({ consoleUser: 'bob' }))],
  ['assign the VM', status((user) => ({ assignment: { pool: 'elsewhere', user } }))],
  ['change the conditions', status(() => ({ conditions: [] }))],
  ['say who is logged in', status(() => ({ loggedInUser: 'bob' }))],
  ['put something else into the Secret', patching(DISPLAY_SECRETS, { data: { other: 'eA==' } })],
  ['change the Secret’s labels', patching(DISPLAY_SECRETS, { metadata: { labels: { team: 'x' } } })],
  [
    'give the Secret to another VM',
    patching(DISPLAY_SECRETS, { metadata: { labels: { 'app.kubernetes.io/instance': 'foreign-used' } } }),
  ],
  ['remove the display password', patching(DISPLAY_SECRETS, { data: { 'display-password': null } })],
  ['empty the display password', patching(DISPLAY_SECRETS, { data: { 'display-password': '' } })],
  ['empty the Secret', patching(DISPLAY_SECRETS, { data: null })],
  ['leave nobody an owner of the Secret', patching(DISPLAY_SECRETS, { metadata: { managedFields: [{}] } })],
  ['leave nobody an owner of the pod', patching(PODS, { metadata: { managedFields: [{}] } })],
  ['leave nobody an owner of the ConfigMap', patching(CONFIG_MAPS, { metadata: { managedFields: [{}] } })],
  ['change the rest of the configuration', config(raised.replace('maximumCpus: 2', 'maximumCpus: 9'))],
  ['change only the rest of the configuration', config(CONFIG.replace('vm-data', 'other'))],
  ['write the configuration anew', config('"/Runner": { resetCounter: 42 }\n')],
  ['lower the reset counter', config(CONFIG.replace('resetCounter: 41', 'resetCounter: 40'))],
  ['add a second reset counter', config(CONFIG.replace('  # made', '  resetCounter: 1\n  # made'))],
  ['raise the reset counter without a blank', config(CONFIG.replace(': 41', ':42'))],
  ['raise the reset counter with a leading zero', config(CONFIG.replace(': 41', ': 052'))],
  ['raise the reset counter beyond all measure', config(CONFIG.replace(': 41', ': 999999999999999'))],
  ['raise the reset counter far', config(CONFIG.replace(': 41', ': 999999999'))],
  ['put more after the reset counter', config(CONFIG.replace(': 41', ': 42\n  dataDir: /etc'))],
  ['put something else into the ConfigMap', patching(CONFIG_MAPS, { data: { other: 'x' } })],
  [
    'change the pod’s image',
    ({ cluster, vm }) =>
      cluster.patch(
        PODS,
        refTo(vm),
        { type: 'json', operations: [{ op: 'replace', path: '/spec/containers/0/image', value: 'x' }] },
        DRY,
      ),
  ],
  ['change the pod’s labels', patching(PODS, { metadata: { labels: { team: 'x' } } })],
  ['change another annotation of the pod', patching(PODS, { metadata: { annotations: { a: 'x' } } })],
  ['delete the VM', ({ cluster, vm }) => cluster.delete(RAW_VMS, refTo(vm), DRY)],
  [
    'replace the VM',
    async ({ cluster, vm }) => {
      const body: JsonObject = { metadata: { name: vm }, spec: { vm: { maximumCpus: 1 } } };
      return cluster.replace(RAW_VMS, refTo(vm), { ...body, ...headOf(RAW_VMS) }, DRY);
    },
  ],
  [
    'make a VM',
    ({ cluster }) =>
      cluster.create(
        RAW_VMS,
        NAMESPACE,
        { metadata: { name: 'new' }, spec: { vm: { maximumCpus: 1 } } },
        DRY,
      ),
  ],
  ['list all VMs', ({ cluster }) => cluster.list(RAW_VMS, { namespace: NAMESPACE })],
  ['list all Secrets', ({ cluster }) => cluster.list(DISPLAY_SECRETS, { namespace: NAMESPACE })],
  [
    'change a pool',
    ({ cluster, user }) =>
      cluster.patch(
        POOLS,
        refTo(`pool-${user}`),
        { type: 'merge', body: { spec: { retention: 'PT9h' } } },
        DRY,
      ),
  ],
];

function headOf({ group, version, kind }: Resource<KubeObject>): JsonObject {
  return { apiVersion: `${group}/${version}`, kind };
}

export const ACTIONS: Action[] = [
  ...USES,
  ...FORBIDDEN.map(([name, run, state = 'running']): Action => ({ name, state, by: [], run })),
];
