import { PERMISSIONS, type Permission } from './types.ts';

/** What only administrators of the namespace may do, in the place of a permission. */
export const ADMINISTRATE = 'administrate' as const;

/** How an admission policy of `vmop access` refuses; the API server puts a sentence of its own before it. */
export const DENIAL_PREFIX = 'vmop: needs permission ';

/** A refusal by an admission policy of `vmop access`. */
export interface AccessDenial {
  /** The permission that is missing; `administrate`: no permission is for this, only administrators may. */
  permission: Permission | typeof ADMINISTRATE;
  vm: string;
  /** What was refused, e.g. `to change spec.permissions`. */
  what: string;
}

const DENIAL = new RegExp(`${DENIAL_PREFIX}([A-Za-z]+) on VM ([a-z0-9.-]+) (to [^\\n]*)`);

/**
 * Finds a policy's refusal in the message of a 403: `vmop: needs permission start on VM desktop-1 to start it`.
 * undefined: it was refused for another reason, by RBAC for instance.
 */
export function parseAccessDenial(message: string): AccessDenial | undefined {
  const [, word, vm, what] = DENIAL.exec(message) ?? [];
  const permission = [...PERMISSIONS, ADMINISTRATE].find((known) => known === word);
  if (permission === undefined || vm === undefined || what === undefined) return undefined;
  return { permission, vm, what };
}

/** An admission policy of `vmop access` that could not be evaluated, and so refused. */
export interface PolicyFailure {
  policy: string;
  /** Of which object, as kubectl takes it: `configmaps desk`. */
  object: string;
  /** In the API server's words, without the expression. */
  reason: string;
  /** The object has become too large for it. */
  costly: boolean;
}

const FAILURE =
  /([a-z][a-z0-9.-]*) "([^"]+)" is forbidden: ValidatingAdmissionPolicy '(vmop-[^']*)' with binding '[^']*' denied request: [^]*\bresulted in error: ([^]*)$/;

/** undefined: it was refused for another reason. */
export function parsePolicyFailure(message: string): PolicyFailure | undefined {
  const [, resource, name, policy, words] = FAILURE.exec(message) ?? [];
  if (resource === undefined || name === undefined || policy === undefined || words === undefined)
    return undefined;
  return {
    policy,
    object: `${resource} ${name}`,
    reason: words.trim(),
    costly: /\bcost\b/.test(words),
  };
}
