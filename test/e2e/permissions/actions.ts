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

/** What kubectl is to be told. */
export interface KubectlLine {
  args: string[];
  /** Its standard input. */
  input?: string;
}

/** How something is done; nothing is ever stored, so that no attempt disturbs another. */
export interface Way {
  /** With the client that vmop uses. */
  run: (attempt: Attempt) => Promise<unknown>;
  /** With kubectl, for several VMs in one process; absent where it cannot send the same. */
  kubectl?: (vms: readonly string[], user: string) => KubectlLine;
  /** kubectl does it for one VM at a time, and names none. */
  single?: true;
  /** How the API server says that it has let it through, and that there is no kubelet to do it. */
  unserved?: RegExp;
}

/** Something that a user may try. */
export interface Action extends Way {
  name: string;
  state: State;
  /** Each of these permissions lets it through; none: only administrators may. */
  by: readonly Permission[] | 'any';
}

const DRY: WriteOptions = { dryRun: true };
const DRY_RUN = '--dry-run=server';
const CONSOLE = ['accessConsole', 'takeConsole'] as const;

const refTo = (name: string): { namespace: string; name: string } => ({ namespace: NAMESPACE, name });

/** The names of VMs' objects of the kind. */
function namesOf(resource: Resource<unknown>, vms: readonly string[]): string[] {
  return resource === DISPLAY_SECRETS ? vms.map(secretName) : [...vms];
}

type Body = JsonObject | ((user: string) => JsonObject);

function patching(resource: Resource<unknown>, body: Body, subresource?: 'status'): Way {
  const bodyFor = (user: string): JsonObject => (typeof body === 'function' ? body(user) : body);
  const options: WriteOptions = subresource === undefined ? DRY : { ...DRY, subresource };
  return {
    run: ({ cluster, vm, user }) => {
      const [name = vm] = namesOf(resource, [vm]);
      return cluster.patch(resource, refTo(name), { type: 'merge', body: bodyFor(user) }, options);
    },
    kubectl: (vms, user) => ({
      args: [
        'patch',
        resource.plural,
        ...namesOf(resource, vms),
        ...(subresource === undefined ? [] : [`--subresource=${subresource}`]),
        '--type=merge',
        '-p',
        JSON.stringify(bodyFor(user)),
        DRY_RUN,
      ],
    }),
  };
}

function reading(resource: Resource<unknown>): Way {
  return {
    run: ({ cluster, vm }) => {
      const [name = vm] = namesOf(resource, [vm]);
      return cluster.get(resource, refTo(name));
    },
    kubectl: (vms) => ({ args: ['get', resource.plural, ...namesOf(resource, vms)] }),
  };
}

function deleting(resource: Resource<unknown>, options: WriteOptions & { graceSeconds?: number } = {}): Way {
  const { graceSeconds } = options;
  const atOnce = graceSeconds === undefined ? [] : ['--force', `--grace-period=${graceSeconds}`];
  return {
    run: ({ cluster, vm }) => cluster.delete(resource, refTo(vm), { ...DRY, ...options }),
    kubectl: (vms) => ({ args: ['delete', resource.plural, ...vms, ...atOnce, DRY_RUN] }),
  };
}

function applying(spec: JsonObject): Way {
  const objectOf = (vm: string): JsonObject => ({ ...headOf(RAW_VMS), metadata: { name: vm }, spec });
  return {
    run: ({ cluster, vm }) => {
      const patch = { type: 'apply', object: objectOf(vm), fieldManager: 'mine', force: true } as const;
      return cluster.patch(RAW_VMS, refTo(vm), patch, DRY);
    },
    kubectl: (vms) => ({
      args: ['apply', '--server-side', '--force-conflicts', '--validate=false', '-f', '-', DRY_RUN],
      input: vms.map((vm) => JSON.stringify(objectOf(vm))).join('\n---\n'),
    }),
  };
}

const spec = (body: JsonObject): Way => patching(RAW_VMS, { spec: body });
const status = (body: (user: string) => JsonObject): Way =>
  patching(RAW_VMS, (user) => ({ status: body(user) }), 'status');
const config = (text: string): Way => patching(CONFIG_MAPS, { data: { 'config.yaml': text } });
const raised = CONFIG.replace('resetCounter: 41', 'resetCounter: 42');
const cmVersion = { annotations: { 'vmrunner.jdrupes.org/cmVersion': 'vmop-1' } };
const password = patching(DISPLAY_SECRETS, {
  data: { 'display-password': 'bmV3', 'password-expiry': 'MTc4MDAwMDAwMA==' },
});
const alice = spec({ vm: { display: { loggedInUser: 'alice' } } });
const myself = status((user) => ({ consoleUser: user }));

const forwarding: Way = {
  run: async ({ cluster, vm }) => {
    const stream = await cluster.forward(refTo(vm), 5900, { signal: AbortSignal.timeout(30_000) });
    stream.destroy();
  },
  kubectl: (vms) => ({ args: ['port-forward', ...vms.map((vm) => `pod/${vm}`), ':5900'] }),
  single: true,
  unserved: /\bpod \S+ does not have a host assigned/,
};

/** Of a pod that no kubelet runs it is empty. */
const log: Way = {
  run: ({ cluster, vm }) => cluster.log(refTo(vm)),
  kubectl: (vms) => ({ args: ['logs', ...vms] }),
  single: true,
};

const use = (name: string, by: Action['by'], way: Way, state: State = 'running'): Action => ({
  name,
  by,
  state,
  ...way,
});

/** What each permission is for. */
export const USES: Action[] = [
  use('see the VM', 'any', reading(RAW_VMS)),
  use('see its pod', 'any', reading(PODS)),
  use('start', ['start'], spec({ vm: { state: 'Running' } }), 'stopped'),
  use('start, by server-side apply', ['start'], applying({ vm: { state: 'Running' } }), 'stopped'),
  use('stop', ['stop'], spec({ vm: { state: 'Stopped' } })),
  use('stop, by removing the state', ['stop'], spec({ vm: { state: null } })),
  use('stop by force (delete the pod)', ['stop'], deleting(PODS, { graceSeconds: 0 })),
  use('reset: raise the counter', ['reset'], config(raised)),
  use('reset: touch the pod', ['reset'], patching(PODS, { metadata: cmVersion })),
  use('read the runner’s configuration', ['reset'], reading(CONFIG_MAPS)),
  use('log a user in on the guest', CONSOLE, alice),
  use('read the display password', CONSOLE, reading(DISPLAY_SECRETS)),
  use('set the display password', CONSOLE, password),
  use('become the console’s user', CONSOLE, myself),
  use('forward a port to the runner', CONSOLE, forwarding),
  use('read the runner’s log', CONSOLE, log),
  use('set the display password while somebody is connected', ['takeConsole'], password, 'used'),
  use('log a user in on the guest while somebody is connected', ['takeConsole'], alice, 'used'),
  use('become the console’s user while somebody is connected', ['takeConsole'], myself, 'used'),
];

/** Server-side apply of what is there already: no value changes, but it has one owner more. */
const owning: Way['run'] = async ({ cluster, vm }) => {
  const { spec: whole } = await cluster.get(RAW_VMS, refTo(vm));
  const permissions = asArray(asObject(whole)['permissions']);
  const object = { ...headOf(RAW_VMS), metadata: { name: vm }, spec: { permissions } };
  await cluster.patch(RAW_VMS, refTo(vm), { type: 'apply', object, fieldManager: 'mine', force: true }, DRY);
};

/** Says that other programs own the fields, too. */
export function owned(
  resource: Resource<unknown>,
  fieldsV1: JsonObject,
  { managers = ['theirs'], operation = 'Apply', ...options }: Owning = {},
): Way {
  const { group, version } = resource;
  const operations = managers.map((manager): JsonPatchOperation => {
    const value = {
      manager,
      operation,
      apiVersion: group === '' ? version : `${group}/${version}`,
      time: '2026-11-22T00:00:00Z',
      fieldsType: 'FieldsV1',
      fieldsV1,
    };
    return { op: 'add', path: '/metadata/managedFields/-', value };
  });
  return {
    run: ({ cluster, vm }) => {
      const [name = vm] = namesOf(resource, [vm]);
      return cluster.patch(resource, refTo(name), { type: 'json', operations }, { ...DRY, ...options });
    },
  };
}

interface Owning extends WriteOptions {
  managers?: readonly string[];
  operation?: 'Apply' | 'Update';
}

export const STATE_FIELD: JsonObject = { 'f:spec': { 'f:vm': { 'f:state': {} } } };
export const LOGIN_FIELD: JsonObject = { 'f:spec': { 'f:vm': { 'f:display': { 'f:loggedInUser': {} } } } };
const MANY = { managers: Array.from({ length: 40 }, (_, index) => `theirs-${index}`) };

/** Whose the fields are may be said by whoever may change them. */
const OWNING: Action[] = [
  use('say that another program owns the state, too', ['start', 'stop'], owned(RAW_VMS, STATE_FIELD)),
  use('say that another program owns who is logged in', CONSOLE, owned(RAW_VMS, LOGIN_FIELD)),
];

/** What no permission is for. */
const FORBIDDEN: [name: string, way: Way, state?: State][] = [
  ['change spec.permissions', spec({ permissions: [{ user: 'u-none', may: ['*'] }] })],
  [
    'start it and change spec.permissions at once',
    patching(RAW_VMS, (user) => ({
      spec: { permissions: [{ user, may: ['*', 'start'] }], vm: { state: 'Running' } },
    })),
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
  ['own spec.permissions, too', { run: owning }],
  ['say that somebody else owns spec.permissions', owned(RAW_VMS, { 'f:spec': { 'f:permissions': {} } })],
  ['say that many own the state', owned(RAW_VMS, STATE_FIELD, MANY)],
  [
    'say that somebody owns what is below the state',
    owned(RAW_VMS, { 'f:spec': { 'f:vm': { 'f:state': { 'f:x': {} } } } }),
  ],
  ['say that somebody owns no more than spec itself', owned(RAW_VMS, { 'f:spec': { '.': {} } })],
  [
    'say that many own the display password',
    owned(DISPLAY_SECRETS, { 'f:data': { 'f:display-password': {} } }, MANY),
  ],
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
    {
      run: ({ cluster, vm }) =>
        cluster.patch(
          PODS,
          refTo(vm),
          { type: 'json', operations: [{ op: 'replace', path: '/spec/containers/0/image', value: 'x' }] },
          DRY,
        ),
    },
  ],
  ['change the pod’s labels', patching(PODS, { metadata: { labels: { team: 'x' } } })],
  ['change another annotation of the pod', patching(PODS, { metadata: { annotations: { a: 'x' } } })],
  ['delete the VM', deleting(RAW_VMS)],
  [
    'replace the VM',
    {
      run: async ({ cluster, vm }) => {
        const body: JsonObject = { metadata: { name: vm }, spec: { vm: { maximumCpus: 1 } } };
        return cluster.replace(RAW_VMS, refTo(vm), { ...body, ...headOf(RAW_VMS) }, DRY);
      },
    },
  ],
  [
    'make a VM',
    {
      run: ({ cluster }) =>
        cluster.create(
          RAW_VMS,
          NAMESPACE,
          { metadata: { name: 'new' }, spec: { vm: { maximumCpus: 1 } } },
          DRY,
        ),
    },
  ],
  ['list all VMs', { run: ({ cluster }) => cluster.list(RAW_VMS, { namespace: NAMESPACE }) }],
  ['list all Secrets', { run: ({ cluster }) => cluster.list(DISPLAY_SECRETS, { namespace: NAMESPACE }) }],
  [
    'change a pool',
    {
      run: ({ cluster, user }) =>
        cluster.patch(
          POOLS,
          refTo(`pool-${user}`),
          { type: 'merge', body: { spec: { retention: 'PT9h' } } },
          DRY,
        ),
    },
  ],
];

function headOf({ group, version, kind }: Resource<KubeObject>): JsonObject {
  return { apiVersion: `${group}/${version}`, kind };
}

export const ACTIONS: Action[] = [
  ...USES,
  ...OWNING,
  ...FORBIDDEN.map(([name, way, state]): Action => use(name, [], way, state)),
];
