import { ApiError, isStatus } from '../cluster/api-error.ts';
import { messageOf, VmopError } from '../errors.ts';
import { sanitize } from '../text.ts';
import { ADMINISTRATE, parseAccessDenial, type AccessDenial } from './access-denial.ts';
import { missingPermission, onlyForAdministrators } from './permissions.ts';
import type { Permission, Vm, VmPool } from './types.ts';

/** What RBAC refuses: a verb on a kind of objects, or on one of them. */
export interface RbacRefusal {
  user: string;
  verb: string;
  /** With its subresource: `vms/status`. */
  resource: string;
  /** Absent: not about one object. */
  name?: string;
  /** Absent: in all namespaces, or outside of any. */
  namespace?: string;
}

const RBAC =
  /(?: "(?<name>[^"]+)")? is forbidden: User "(?<user>.*)" cannot (?<verb>[a-z]+) resource "(?<resource>[^"]+)" in API group "[^"]*" (?:in the namespace "(?<namespace>[^"]+)"|at the cluster scope)/;

/** Finds RBAC's refusal in the message of a 403; undefined: it was refused for another reason. */
export function parseRbacRefusal(message: string): RbacRefusal | undefined {
  const { user, verb, resource, name, namespace } = RBAC.exec(message)?.groups ?? {};
  if (user === undefined || verb === undefined || resource === undefined) return undefined;
  return {
    user,
    verb,
    resource,
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
  };
}

/** RBAC's refusal in short: `the API server does not let alice patch vms "desk"`. Sanitized. */
function rbacSentence({ user, verb, resource, name }: RbacRefusal): string {
  const what = name === undefined ? resource : `${resource} "${name}"`;
  return sanitize(`the API server does not let ${user} ${verb} ${what}`);
}

/** An error's message, in short where it is RBAC's refusal: for sentences that go on. */
export function briefMessage(error: unknown): string {
  const refusal = isStatus(error, 403) ? parseRbacRefusal(error.message) : undefined;
  return refusal ? rbacSentence(refusal) : messageOf(error);
}

/** Who wanted what of which VM. */
export interface RefusedAction {
  vm: Vm;
  /** The pool that governs the VM while it is assigned. */
  pool: VmPool | undefined;
  /** As `spec.permissions` names the user. */
  user: string;
  /** What `spec.permissions` must give for it. */
  permissions: readonly Permission[];
}

/**
 * The API server's refusal of an action as a person is told it: which permission is missing, and who can give it.
 * Anything else that was thrown comes back as it is.
 */
export function explainRefusal(error: unknown, action: RefusedAction): unknown {
  if (!(error instanceof ApiError)) return error;
  const denial = parseAccessDenial(error.message);
  if (denial) return deniedByPolicy(denial, action, error);
  const refusal = error.status.code === 403 ? parseRbacRefusal(error.message) : undefined;
  return refusal ? deniedByRbac(refusal, action, error) : error;
}

function deniedByPolicy(
  { permission, what }: AccessDenial,
  { vm, pool, user }: RefusedAction,
  cause: ApiError,
): VmopError {
  return permission === ADMINISTRATE
    ? onlyForAdministrators(vm, user, what, cause)
    : missingPermission(vm, pool, user, permission, cause);
}

function deniedByRbac(refusal: RbacRefusal, { vm, permissions }: RefusedAction, cause: ApiError): VmopError {
  const whose = refusal.name === vm.name ? '' : `${vm.name}: `;
  const hint =
    permissions.length === 0
      ? `an administrator of namespace ${vm.namespace} can allow it in a Role`
      : `no Role allows what ${permissions.join(' and ')} on ${vm.name} takes; ` +
        `an administrator of namespace ${vm.namespace} can change that: vmop access apply`;
  const message = `${whose}${rbacSentence(refusal)}`;
  return new VmopError('forbidden', message, { hint, vm: vm.name, cause });
}
