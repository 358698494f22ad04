import { collectGrants, type AccessInput, type GrantOptions } from './grants.ts';
import { accessPolicies } from './policies/index.ts';
import type { PolicyOptions } from './policies/options.ts';
import { rolesFor, type RoleOptions } from './roles.ts';
import type { AccessObject } from './types.ts';

export interface AccessOptions extends GrantOptions, RoleOptions, PolicyOptions {
  /** With the admission policies, which are cluster-scoped. */
  policies: boolean;
}

/** The objects that make the API server enforce spec.permissions, in an order that only they decide. */
export function accessObjects(input: AccessInput, options: AccessOptions): AccessObject[] {
  // What limits is for everybody, also where only some are to be granted something now.
  const everybody = collectGrants(input, { poolMembers: options.poolMembers });
  return [
    ...(options.policies ? accessPolicies(everybody, namespacesOf(input), options) : []),
    ...collectGrants(input, options).flatMap((one) => rolesFor(one, options)),
  ];
}

/** Where there is anything whose permissions could be enforced. */
function namespacesOf({ vms, pools }: AccessInput): string[] {
  return [...new Set([...vms, ...pools].map(({ namespace }) => namespace))].toSorted();
}
