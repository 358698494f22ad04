import { ApiError, isStatus } from '../cluster/api-error.ts';
import type { ObjectRef } from '../cluster/types.ts';
import { messageOf, VmopError } from '../errors.ts';
import { sanitize } from '../text.ts';
import {
  ADMINISTRATE,
  parseAccessDenial,
  parsePolicyFailure,
  type AccessDenial,
  type PolicyFailure,
} from './access-denial.ts';
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

/** A policy's refusal in short: `the API server asks for the permission start on desk to start it`. Sanitized. */
function denialSentence({ permission, vm, what }: AccessDenial): string {
  const asked = permission === ADMINISTRATE ? 'an administrator' : `the permission ${permission} on ${vm}`;
  return sanitize(`the API server asks for ${asked} ${what}`);
}

/** In short, without the expression: `the API server cannot evaluate the policy vmop-vms: …`. Sanitized. */
function failureSentence({ policy, reason }: PolicyFailure): string {
  return sanitize(`the API server cannot evaluate the policy ${policy}: ${reason}`);
}

/** An error's message, in short where it is a refusal by RBAC or a policy: for sentences that go on. */
export function briefMessage(error: unknown): string {
  const denial = policyDenial(error);
  if (denial) return denialSentence(denial);
  const failure = error instanceof ApiError ? parsePolicyFailure(error.message) : undefined;
  if (failure) return failureSentence(failure);
  const refusal = isStatus(error, 403) ? parseRbacRefusal(error.message) : undefined;
  return refusal ? rbacSentence(refusal) : messageOf(error);
}

/** What an admission policy of `vmop access` refused; undefined: it was nothing of the kind. */
export function policyDenial(error: unknown): AccessDenial | undefined {
  return error instanceof ApiError ? parseAccessDenial(error.message) : undefined;
}

/** Who wanted what of which VM. */
export interface RefusedAction {
  /** As it is now: what was read before may be what somebody has just withdrawn. */
  vm: Vm;
  /** The pool that governs the VM while it is assigned. */
  pool: VmPool | undefined;
  /** As vmop names the user in `spec.permissions`. */
  user: string;
  /** As the API server knows the user, whom its policies look for in `spec.permissions`. */
  username: string;
  /** What `spec.permissions` must give for it. */
  permissions: readonly Permission[];
}

/**
 * The API server's refusal of an action as a person is told it: which permission is missing, and who can give it.
 * Anything else that was thrown comes back as it is.
 */
export function explainRefusal(error: unknown, action: RefusedAction): unknown {
  if (!(error instanceof ApiError)) return error;
  const denial = policyDenial(error);
  if (denial) return deniedByPolicy(denial, action, error);
  const failure = parsePolicyFailure(error.message);
  if (failure) return failedPolicy(failure, action.vm, error);
  const refusal = error.status.code === 403 ? parseRbacRefusal(error.message) : undefined;
  return refusal ? deniedByRbac(refusal, action.vm, action.permissions, error) : error;
}

/** As `explainRefusal`, of a change of a pool, which no permission is for. */
export function explainPoolRefusal(error: unknown, pool: ObjectRef): unknown {
  const refusal = isStatus(error, 403) ? parseRbacRefusal(error.message) : undefined;
  if (refusal === undefined) return error;
  const hint = `an administrator of namespace ${pool.namespace} can allow it in a Role`;
  return new VmopError('forbidden', rbacSentence(refusal), { hint, cause: error });
}

function deniedByPolicy(
  { permission, what }: AccessDenial,
  { vm, pool, user, username }: RefusedAction,
  cause: ApiError,
): VmopError {
  const denied =
    permission === ADMINISTRATE
      ? onlyForAdministrators(vm, username, what, cause)
      : missingPermission(vm, pool, username, permission, cause);
  if (user === username) return denied;
  const told = `vmop was told that you are ${user} (--user-name, or userName of config.yaml), and the API server knows you as ${username}`;
  const hint = `${denied.hint ?? ''}; ${sanitize(told)}`;
  return new VmopError(denied.code, denied.message, { hint, vm: vm.name, cause });
}

function failedPolicy(failure: PolicyFailure, { name, namespace }: ObjectRef, cause: ApiError): VmopError {
  const reset = `kubectl patch ${failure.object} -n ${namespace} --type=merge -p '{"metadata":{"managedFields":[{}]}}'`;
  const hint = failure.costly
    ? `perhaps too many programs own its fields; an administrator of namespace ${namespace} can reset that: ${reset}`
    : 'vmop access check tells an administrator whether it is the policy that vmop made';
  return new VmopError('forbidden', `${name}: ${failureSentence(failure)}`, {
    hint: sanitize(hint),
    vm: name,
    cause,
  });
}

function deniedByRbac(
  refusal: RbacRefusal,
  { name, namespace }: ObjectRef,
  permissions: readonly Permission[],
  cause: ApiError,
): VmopError {
  const whose = refusal.name === name ? '' : `${name}: `;
  const hint =
    permissions.length === 0
      ? `an administrator of namespace ${namespace} can allow it in a Role`
      : `no Role allows what ${permissions.join(' and ')} on ${name} takes; ` +
        `an administrator of namespace ${namespace} can change that: vmop access apply`;
  const message = `${whose}${rbacSentence(refusal)}`;
  return new VmopError('forbidden', message, { hint, vm: name, cause });
}
