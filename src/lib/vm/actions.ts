import type { AccessAttributes } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { sanitize } from '../text.ts';
import { permissionHint, permissionsOn, type Subject } from './permissions.ts';
import { GROUP, PERMISSIONS, type Permission, type Vm, type VmPool } from './types.ts';

/** A request that an action makes about the VM, its pod, its ConfigMap (all of its name) or its display Secret. */
interface Need {
  verb: 'get' | 'patch';
  group: string;
  resource: 'vms' | 'pods' | 'configmaps' | 'secrets';
  subresource?: 'status';
}

interface Action {
  /** One of each must be held; none: administrators only. */
  permissions: (readonly Permission[])[];
  needs: readonly Need[];
}

const READ_VM: Need = { verb: 'get', group: GROUP, resource: 'vms' };
const CHANGE_VM: Need = { verb: 'patch', group: GROUP, resource: 'vms' };
const SECRET: Need[] = [
  { verb: 'get', group: '', resource: 'secrets' },
  { verb: 'patch', group: '', resource: 'secrets' },
];
const CONSOLE: Need[] = [
  READ_VM,
  { ...CHANGE_VM, subresource: 'status' },
  { verb: 'get', group: '', resource: 'pods' },
  ...SECRET,
];
const RESET: Need[] = [
  READ_VM,
  { verb: 'get', group: '', resource: 'configmaps' },
  { verb: 'patch', group: '', resource: 'configmaps' },
  { verb: 'patch', group: '', resource: 'pods' },
];

/** What each action takes: of spec.permissions, and of the API server. */
const ACTIONS = {
  show: { permissions: [PERMISSIONS], needs: [READ_VM] },
  start: { permissions: [['start']], needs: [READ_VM, CHANGE_VM] },
  stop: { permissions: [['stop']], needs: [READ_VM, CHANGE_VM] },
  restart: { permissions: [['stop'], ['start']], needs: [READ_VM, CHANGE_VM] },
  reset: { permissions: [['reset']], needs: RESET },
  console: { permissions: [['accessConsole', 'takeConsole']], needs: CONSOLE },
  take: { permissions: [['takeConsole']], needs: CONSOLE },
  login: { permissions: [['accessConsole']], needs: [READ_VM, CHANGE_VM] },
  secret: { permissions: [['accessConsole']], needs: [READ_VM, ...SECRET] },
  permissions: { permissions: [], needs: [READ_VM, CHANGE_VM] },
} as const satisfies Record<string, Action>;

export type VmAction = keyof typeof ACTIONS;

export function vmActions(): VmAction[] {
  const names: VmAction[] = [];
  for (const name of Object.keys(ACTIONS)) if (isAction(name)) names.push(name);
  return names;
}

function isAction(name: string): name is VmAction {
  return Object.hasOwn(ACTIONS, name);
}

/** Also a permission's name, where that is not the action's. Error: `usage`. */
export function parseAction(text: string): VmAction {
  const name = text === 'accessConsole' ? 'console' : text === 'takeConsole' ? 'take' : text;
  if (isAction(name)) return name;
  throw new VmopError('usage', `not an action: ${JSON.stringify(text)}`, {
    hint: `there are: ${vmActions().join(', ')}`,
  });
}

/** What must be allowed for an action; `secret`: the VM's display Secret, where it has one. */
export function actionRequests(action: VmAction, vm: Vm, secret: string | undefined): AccessAttributes[] {
  const needs: readonly Need[] = ACTIONS[action].needs;
  return needs.flatMap((need) => {
    // Where the object says at which address the display is, nobody looks at the pod.
    if (need.resource === 'pods' && need.verb === 'get' && vm.spec.spice?.server !== undefined) return [];
    const name = need.resource === 'secrets' ? secret : vm.name;
    return name === undefined ? [] : [{ ...need, namespace: vm.namespace, name }];
  });
}

/** A request that the API server was asked about. */
export interface ReviewedRequest {
  verb: string;
  /** With its subresource: `vms/status`. */
  resource: string;
  name: string;
  allowed: boolean;
}

/** Whether somebody may do something with a VM: `vmop can-i`'s `--json` form. */
export interface ActionVerdict {
  name: string;
  namespace: string;
  action: VmAction;
  /** Both say yes. */
  allowed: boolean;
  permissions: {
    allowed: boolean;
    /** What is held, or what is missing. */
    because: string;
    /** Who holds what is missing, and who can give it. */
    hint?: string;
  };
  server: {
    allowed: boolean;
    because: string;
    requests: ReviewedRequest[];
  };
  /** spec.permissions and the API server's rules do not say the same. */
  differ: boolean;
  /** What that means; absent where they say the same. */
  difference?: string;
}

export interface Asker {
  vm: Vm;
  pool: VmPool | undefined;
  subject: Subject;
}

export function actionVerdict(action: VmAction, asker: Asker, requests: ReviewedRequest[]): ActionVerdict {
  const { name, namespace } = asker.vm;
  const permissions = permissionVerdict(action, asker);
  const refused = requests.filter(({ allowed }) => !allowed);
  const listed = refused.map(({ verb, resource, name }) => `${verb} ${resource} "${name}"`).join(', ');
  const server = {
    allowed: refused.length === 0,
    because: refused.length === 0 ? 'its rules allow all that it takes' : `its rules do not allow: ${listed}`,
    requests,
  };
  const differ = permissions.allowed !== server.allowed;
  const difference = permissions.allowed
    ? `an administrator of namespace ${namespace} can bring its rules in line: vmop access apply`
    : 'its admission policies, which no review shows, may refuse all the same; vmop does not ask for it';
  return {
    name,
    namespace,
    action,
    allowed: permissions.allowed && server.allowed,
    permissions,
    server,
    differ,
    ...(differ ? { difference } : {}),
  };
}

function permissionVerdict(action: VmAction, { vm, pool, subject }: Asker): ActionVerdict['permissions'] {
  const user = sanitize(subject.name);
  const needed: readonly (readonly Permission[])[] = ACTIONS[action].permissions;
  if (subject.administrator) {
    return { allowed: true, because: `${user} is an administrator of namespace ${vm.namespace}` };
  }
  if (needed.length === 0) {
    return {
      allowed: false,
      because: `no permission is for this: only administrators of namespace ${vm.namespace}`,
    };
  }
  const held = permissionsOn(vm, pool, subject);
  const missing = needed.find((choice) => !choice.some((one) => held.has(one)));
  if (missing === undefined) {
    const used = PERMISSIONS.filter((one) => held.has(one) && needed.flat().includes(one));
    return { allowed: true, because: `${user} holds ${used.join(', ')}` };
  }
  const [first = 'start'] = missing;
  const what =
    missing.length === PERMISSIONS.length ? 'holds no permission' : `does not hold ${missing.join(' or ')}`;
  const hint =
    missing.length === PERMISSIONS.length
      ? `an administrator of namespace ${vm.namespace} can change that`
      : permissionHint(vm, pool, first);
  return { allowed: false, because: `${user} ${what}`, hint };
}
