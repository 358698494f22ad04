import type { Cluster, JsonObject, KubeObject, Resource } from '../../../src/lib/cluster/types.ts';
import { DISPLAY_SECRETS } from '../../../src/lib/console/secret/display-secret.ts';
import { POOLS, VMS } from '../../../src/lib/vm/parse.ts';
import { PERMISSIONS, type Permission } from '../../../src/lib/vm/types.ts';

export const NAMESPACE = 'default';

/** What each user of the test is given; `none`: nothing. */
export const GIVEN = [...PERMISSIONS, '*', 'none'] as const;
export type Given = (typeof GIVEN)[number];

/**
 * Whose VM it is: given to the user; of a pool whose permissions are the user's; given to the user, but assigned by a
 * pool of somebody else's; somebody else's altogether.
 */
export const PLACES = ['own', 'pool', 'leased', 'foreign'] as const;
export type Place = (typeof PLACES)[number];

export const STATES = ['stopped', 'running', 'used'] as const;
export type State = (typeof STATES)[number];

const STRANGER = 'stranger';

export function userOf(given: Given): string {
  return given === '*' ? 'u-all' : `u-${given.toLowerCase()}`;
}

export function vmName(given: Given, place: Place, state: State): string {
  return place === 'foreign' ? `foreign-${state}` : `${place}-${state}-${userOf(given)}`;
}

/** Not the one that anybody would guess. */
export function secretName(vm: string): string {
  return `password-of-${vm}`;
}

/** What VM-Operator's rules give for it. */
export function heldPermissions(given: Given, place: Place): Permission[] {
  if (place === 'leased' || place === 'foreign' || given === 'none') return [];
  if (given === '*') return [...PERMISSIONS];
  // A pool knows no takeConsole of its own, and in a VM it implies accessConsole.
  if (given === 'takeConsole') return place === 'pool' ? [] : ['accessConsole', 'takeConsole'];
  return [given];
}

const whole = (object: KubeObject): KubeObject => object;
const core = { group: '', version: 'v1', namespaced: true, parse: whole };
export const PODS: Resource<KubeObject> = { ...core, plural: 'pods', kind: 'Pod' };
export const CONFIG_MAPS: Resource<KubeObject> = { ...core, plural: 'configmaps', kind: 'ConfigMap' };
export const RAW_VMS: Resource<KubeObject> = { ...VMS, parse: whole };

/** As VM-Operator writes it, or nearly: comments, and something that looks like the counter further down. */
export const CONFIG = `"/Runner":
  # made by the manager
  dataDir: /var/local/vm-data
  resetCounter: 41
  cloudInit:
    userData: "resetCounter: 7"
  vm:
    maximumCpus: 2
`;

function grantsOf(given: Given): JsonObject[] {
  if (given === 'none') return [];
  // One of them by its role.
  const who = given === 'stop' ? { role: 'stoppers' } : { user: userOf(given) };
  return [{ ...who, may: [given] }];
}

/** The group that `config.yaml` maps to the role `stoppers`. */
export const STOPPERS_GROUP = 'oidc:stoppers';

export function groupsOf(given: Given): string[] {
  return given === 'stop' ? [STOPPERS_GROUP] : [];
}

/** VMs, pools, Secrets, ConfigMaps and pods as VM-Operator leaves them, for every user, place and state. */
export async function buildWorld(admin: Cluster, spicePort: number): Promise<void> {
  const strangers = [{ user: STRANGER, may: ['*'] }];
  const build = (name: string, state: State, permissions: JsonObject[], assignment?: JsonObject) =>
    buildVm(admin, name, state, permissions, {
      spice: { server: '127.0.0.1', port: spicePort },
      ...(assignment && { assignment }),
    });
  await admin.create(POOLS, NAMESPACE, {
    metadata: { name: 'strangers' },
    spec: { permissions: strangers },
  });
  for (const state of STATES) await build(vmName('none', 'foreign', state), state, strangers);
  for (const given of GIVEN) {
    const pool = `pool-${userOf(given)}`;
    // A pool's CRD knows no takeConsole.
    const permissions = given === 'takeConsole' ? [] : grantsOf(given);
    await admin.create(POOLS, NAMESPACE, { metadata: { name: pool }, spec: { permissions } });
    await Promise.all(
      STATES.flatMap((state) => {
        const name = (place: Place): string => vmName(given, place, state);
        return [
          build(name('own'), state, grantsOf(given)),
          build(name('pool'), state, strangers, { pool, user: userOf(given) }),
          build(name('leased'), state, grantsOf(given), { pool: 'strangers', user: STRANGER }),
        ];
      }),
    );
  }
}

export interface BuiltVm {
  assignment?: JsonObject;
  serviceAccountName?: string;
  spice?: JsonObject;
}

export async function buildVm(
  admin: Cluster,
  name: string,
  state: State,
  permissions: JsonObject[],
  { assignment, serviceAccountName = 'default', spice = {} }: BuiltVm = {},
): Promise<void> {
  const running = state !== 'stopped';
  const used = state === 'used';
  const vm = await admin.create(VMS, NAMESPACE, {
    metadata: { name },
    spec: {
      permissions,
      image: { source: 'example.org/runner' },
      pools: assignment === undefined ? [] : [assignment['pool']],
      vm: {
        state: running ? 'Running' : 'Stopped',
        maximumCpus: 2,
        currentCpus: 2,
        display: { spice, ...(used && { loggedInUser: 'carol' }) },
      },
    },
  });
  const condition = (type: string, holds: boolean): JsonObject => ({
    type,
    status: holds ? 'True' : 'False',
    reason: 'Test',
    message: '',
    observedGeneration: 1,
    lastTransitionTime: '2026-11-22T00:00:00Z',
  });
  const status = {
    ...(assignment && { assignment }),
    ...(running && { runnerVersion: '4', displayPasswordSerial: 1 }),
    ...(used && { consoleUser: 'sitter', consoleClient: '10.0.0.9', loggedInUser: 'carol' }),
    conditions: [condition('Running', running), condition('ConsoleConnected', used)],
  };
  const ref = { namespace: NAMESPACE, name };
  await admin.patch(VMS, ref, { type: 'merge', body: { status } }, { subresource: 'status' });
  const owner = { apiVersion: 'vmoperator.jdrupes.org/v1', kind: 'VirtualMachine', name, uid: vm.uid };
  const labels = (component: string): Record<string, string> => ({
    'app.kubernetes.io/name': 'vm-runner',
    'app.kubernetes.io/instance': name,
    'app.kubernetes.io/component': component,
  });
  const data = { 'display-password': 'c2VjcmV0', 'password-expiry': 'bm93' };
  await Promise.all([
    admin.create(DISPLAY_SECRETS, NAMESPACE, {
      metadata: { name: secretName(name), labels: labels('display-secret') },
      data,
    }),
    admin.create(CONFIG_MAPS, NAMESPACE, {
      metadata: { name, labels: labels('vm-runner'), ownerReferences: [owner] },
      data: { 'config.yaml': CONFIG },
    }),
    admin.create(PODS, NAMESPACE, {
      metadata: { name, labels: labels('vm-runner'), ownerReferences: [owner] },
      spec: { serviceAccountName, containers: [{ name, image: 'example.org/runner:1' }] },
    }),
  ]);
  // kubectl forwards no port of a pod that does not run.
  const body = { status: { phase: 'Running' } };
  await admin.patch(PODS, ref, { type: 'merge', body }, { subresource: 'status' });
}
