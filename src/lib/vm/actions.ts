import type { AccessAttributes } from '../cluster/types.ts';
import { compact } from '../cluster/parse.ts';
import { VmopError } from '../errors.ts';
import { sanitize } from '../text.ts';
import { ACTION_REQUESTS, VM_ACTIONS, type VmAction } from './action-requests.ts';
import { permissionHint, permissionsOn, type Subject } from './permissions.ts';
import { PERMISSIONS, type Permission, type Vm, type VmPool } from './types.ts';

/** What each action takes of spec.permissions: one of each choice must be held; none: administrators only. */
export const ACTION_PERMISSIONS: Record<VmAction, readonly (readonly Permission[])[]> = {
  show: [PERMISSIONS],
  start: [['start']],
  stop: [['stop']],
  restart: [['stop'], ['start']],
  reset: [['reset']],
  console: [['accessConsole', 'takeConsole']],
  take: [['takeConsole']],
  login: [['accessConsole']],
  secret: [['accessConsole']],
  permissions: [],
};

export function vmActions(): VmAction[] {
  return [...VM_ACTIONS];
}

/** Also a permission's name, where that is not the action's. Error: `usage`. */
export function parseAction(text: string): VmAction {
  const name = text === 'accessConsole' ? 'console' : text === 'takeConsole' ? 'take' : text;
  const action = VM_ACTIONS.find((one) => one === name);
  if (action !== undefined) return action;
  throw new VmopError('usage', `not an action: ${JSON.stringify(text)}`, {
    hint: `there are: ${vmActions().join(', ')}`,
  });
}

/** What an action asks of the API server; `secret`: the VM's display Secret, where it has one. */
export function actionRequests(
  action: VmAction,
  vm: Vm,
  secret: string | undefined,
): { request: AccessAttributes; needed: boolean }[] {
  return ACTION_REQUESTS.flatMap(({ verbs, group, resource, subresource, needed, helpful }) => {
    const isNeeded = needed.includes(action);
    if (!isNeeded && !helpful.includes(action)) return [];
    const name = resource === 'secrets' ? secret : resource === 'events' ? undefined : vm.name;
    if (resource === 'secrets' && name === undefined) return [];
    return verbs.map((verb) => ({
      request: compact({ verb, group, resource, subresource, namespace: vm.namespace, name }),
      needed: isNeeded,
    }));
  });
}

/** A request that the API server was asked about. */
export interface ReviewedRequest {
  verb: string;
  /** With its subresource: `vms/status`. */
  resource: string;
  /** Empty: any of the namespace. */
  name: string;
  allowed: boolean;
  /** false: the action does less without it. */
  needed: boolean;
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
  const refused = requests.filter(({ allowed, needed }) => needed && !allowed);
  const missed = requests.filter(({ allowed, needed }) => !needed && !allowed);
  const without = missed.length === 0 ? '' : `, but not what helps: ${listed(missed)}`;
  const server = {
    allowed: refused.length === 0,
    because:
      refused.length === 0
        ? `its rules allow all that it takes${without}`
        : `its rules do not allow: ${listed(refused)}`,
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

function listed(requests: readonly ReviewedRequest[]): string {
  return requests
    .map(({ verb, resource, name }) => `${verb} ${resource}${name === '' ? '' : ` "${name}"`}`)
    .join(', ');
}

function permissionVerdict(action: VmAction, { vm, pool, subject }: Asker): ActionVerdict['permissions'] {
  const user = sanitize(subject.name);
  const needed = ACTION_PERMISSIONS[action];
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
