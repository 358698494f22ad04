import { collectGrants, type AccessInput, type GrantOptions } from './grants.ts';
import { accessPolicies, type PolicyOptions } from './policies.ts';
import { rolesFor, type RoleOptions } from './roles.ts';
import type { AccessObject } from './types.ts';

export interface AccessOptions extends GrantOptions, RoleOptions, PolicyOptions {
  /** With the admission policies, which are cluster-scoped. */
  policies: boolean;
}

/** The objects that make the API server enforce spec.permissions, in an order that only they decide. */
export function accessObjects(input: AccessInput, options: AccessOptions): AccessObject[] {
  return [
    ...(options.policies ? accessPolicies(options) : []),
    ...collectGrants(input, options).flatMap((grants) => rolesFor(grants, options)),
  ];
}
