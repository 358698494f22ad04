import {
  asArray,
  asBoolean,
  asDate,
  asInteger,
  asNumber,
  asObject,
  asString,
  asStrings,
  compact,
  isObject,
} from '../cluster/parse.ts';
import type { JsonObject, KubeObject, Resource } from '../cluster/types.ts';
import { parseQuantity } from './quantity.ts';
import { GROUP, PERMISSIONS, VERSION } from './types.ts';
import { argumentFrom } from './write.ts';
import type { Assignment, Condition, Grant, Spice, Vm, VmPool, VmSpec, VmStatus } from './types.ts';

export const VMS: Resource<Vm> = {
  group: GROUP,
  version: VERSION,
  plural: 'vms',
  kind: 'VirtualMachine',
  namespaced: true,
  parse: parseVm,
};

export const POOLS: Resource<VmPool> = {
  group: GROUP,
  version: VERSION,
  plural: 'vmpools',
  kind: 'VmPool',
  namespaced: true,
  parse: parsePool,
};

/** What is parsed together with the object that it was parsed from. */
export type WithObject<T> = T & { object: KubeObject };

export function withObject<T extends object>(resource: Resource<T>): Resource<WithObject<T>> {
  return { ...resource, parse: (object, home) => ({ ...resource.parse(object, home), object }) };
}

const DEFAULT_SPICE_PORT = 5900;
const DEFAULT_POWERDOWN_SECONDS = 900;

/** A `VirtualMachine` with VM-Operator's defaults; what cannot be understood is named in `problems`. */
export function parseVm(object: KubeObject, home = 'default'): Vm {
  const problems: string[] = [];
  const { metadata } = object;
  if (!isObject(object['spec'])) problems.push('spec is missing');
  else if (!isObject(object['spec']['vm'])) problems.push('spec.vm is missing');
  return compact({
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    argument: argumentFrom(home, { namespace: metadata.namespace ?? '', name: metadata.name }),
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    createdAt: asDate(metadata.creationTimestamp),
    conditionsWrittenAt: asDate(metadata.conditionsWrittenAt),
    deleting: metadata.deletionTimestamp !== undefined,
    annotations: metadata.annotations ?? {},
    labels: metadata.labels ?? {},
    spec: parseSpec(asObject(object['spec']), problems),
    status: parseStatus(asObject(object['status']), problems),
    problems,
  });
}

function parseSpec(spec: JsonObject, problems: string[]): VmSpec {
  const vm = asObject(spec['vm']);
  const state = vm['state'];
  if (state !== undefined && state !== 'Running' && state !== 'Stopped') {
    problems.push(`spec.vm.state is ${JSON.stringify(state)}, not Running or Stopped`);
  }
  const topology = asObject(vm['cpuTopology']);
  const size = (name: string): number | undefined => {
    const bytes = parseQuantity(vm[name]);
    if (vm[name] !== undefined && bytes === undefined) problems.push(`spec.vm.${name} is not a quantity`);
    return bytes;
  };
  const display = asObject(vm['display']);
  return compact({
    state: state === 'Running' ? ('Running' as const) : ('Stopped' as const),
    maximumCpus: asInteger(vm['maximumCpus']) ?? topologyCpus(topology),
    currentCpus: asInteger(vm['currentCpus']),
    maximumRamBytes: size('maximumRam'),
    currentRamBytes: size('currentRam'),
    powerdownTimeoutSeconds: asNumber(vm['powerdownTimeout']) ?? DEFAULT_POWERDOWN_SECONDS,
    pools: asArray(spec['pools']).filter((pool) => typeof pool === 'string'),
    permissions: parseGrants(
      spec['permissions'],
      ['start', 'stop', 'reset', 'accessConsole', 'takeConsole'],
      [],
      problems,
    ),
    // An empty name is what an earlier log-out may have left: nobody shall be logged in.
    loggedInUser: asString(display['loggedInUser']) || undefined,
    spice: isObject(display['spice']) ? parseSpice(display['spice'], problems) : undefined,
  });
}

function topologyCpus(topology: JsonObject): number | undefined {
  const factors = ['sockets', 'diesPerSocket', 'coresPerDie', 'coresPerSocket', 'threadsPerCore'].map(
    (name) => asInteger(topology[name]) ?? 1,
  );
  return Object.keys(topology).length === 0
    ? undefined
    : factors.reduce((product, factor) => product * factor, 1);
}

function parseSpice(spice: JsonObject, problems: string[]): Spice {
  const port = spice['port'];
  const valid = asInteger(port);
  if (port !== undefined && valid === undefined) problems.push('spec.vm.display.spice.port is not a number');
  return compact({
    port: valid ?? DEFAULT_SPICE_PORT,
    server: asString(spice['server']) || undefined,
    proxyUrl: asString(spice['proxyUrl']) || undefined,
    generateSecret: asBoolean(spice['generateSecret']) ?? true,
  });
}

function parseGrants(
  value: unknown,
  known: readonly string[],
  byDefault: Grant['may'],
  problems: string[],
): Grant[] {
  if (value !== undefined && !Array.isArray(value)) problems.push('spec.permissions is not a list');
  return asArray(value).flatMap((entry, index) => {
    const grant = asObject(entry);
    const user = asString(grant['user']);
    const role = asString(grant['role']);
    if ((user === undefined) === (role === undefined)) {
      problems.push(`spec.permissions[${index}] names neither or both of user and role`);
      return [];
    }
    const may = Array.isArray(grant['may']) ? parseMay(grant['may'], known) : byDefault;
    return [compact({ user, role, may })];
  });
}

function parseMay(may: unknown[], known: readonly string[]): Grant['may'] {
  return [...PERMISSIONS.filter((name) => known.includes(name)), '*' as const].filter((name) =>
    may.includes(name),
  );
}

function parseStatus(status: JsonObject, problems: string[]): VmStatus {
  if (status['conditions'] !== undefined && !Array.isArray(status['conditions'])) {
    problems.push('status.conditions is not a list');
  }
  return compact({
    runnerVersion: asString(status['runnerVersion']),
    cpus: asInteger(status['cpus']),
    ramBytes: parseQuantity(status['ram']),
    consoleClient: asString(status['consoleClient']) || undefined,
    consoleUser: asString(status['consoleUser']) || undefined,
    loggedInUser: asString(status['loggedInUser']) || undefined,
    displayPasswordSerial: asInteger(status['displayPasswordSerial']),
    osinfo: asStrings(status['osinfo']),
    assignment: parseAssignment(asObject(status['assignment'])),
    conditions: asArray(status['conditions']).map(parseCondition),
  });
}

/** `{}` is what the CRD's default leaves of a removed assignment: none. */
function parseAssignment(assignment: JsonObject): Assignment | undefined {
  const pool = asString(assignment['pool']);
  const user = asString(assignment['user']);
  if (pool === undefined || user === undefined) return undefined;
  return compact({ pool, user, lastUsed: asDate(assignment['lastUsed']) });
}

function parseCondition(value: unknown): Condition {
  const condition = asObject(value);
  const stated = condition['status'];
  const status: Condition['status'] = stated === 'True' || stated === 'False' ? stated : 'Unknown';
  return compact({
    type: asString(condition['type']) ?? '',
    status,
    reason: asString(condition['reason']) ?? '',
    message: asString(condition['message']) ?? '',
    lastTransitionTime: asDate(condition['lastTransitionTime']),
    observedGeneration: asInteger(condition['observedGeneration']),
  });
}

export function parsePool({ metadata, ...object }: KubeObject): VmPool {
  const problems: string[] = [];
  const spec = asObject(object['spec']);
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    // A pool knows no takeConsole of its own: only `*` gives it.
    permissions: parseGrants(
      spec['permissions'],
      ['start', 'stop', 'reset', 'accessConsole'],
      ['accessConsole'],
      problems,
    ),
    retention: asString(spec['retention']) ?? 'PT1h',
    loginOnAssignment: spec['loginOnAssignment'] === true,
    problems,
  };
}
