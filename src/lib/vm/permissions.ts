import { VmopError } from '../errors.ts';
import { sanitize } from '../text.ts';
import { PERMISSIONS, type Grant, type Permission, type Vm, type VmPool } from './types.ts';

/** Who asks: the name and roles as `spec.permissions` uses them. */
export interface Subject {
  name: string;
  roles: readonly string[];
  /** May change any VM of the namespace, says the API server: holds every permission. */
  administrator: boolean;
}

type Named = Pick<Subject, 'name' | 'roles'>;

const ALL: ReadonlySet<Permission> = new Set(PERMISSIONS);

function names(grant: Grant, { name, roles }: Named): boolean {
  return grant.user === name || (grant.role !== undefined && roles.includes(grant.role));
}

function permissionsFrom(grants: readonly Grant[], subject: Named): Set<Permission> {
  const may = grants.filter((grant) => names(grant, subject)).flatMap((grant) => grant.may);
  return may.includes('*') ? new Set(PERMISSIONS) : new Set(PERMISSIONS.filter((one) => may.includes(one)));
}

/** The entries that are in force for the VM and name the subject; `pool` is the assignment's. */
export function grantsNaming(vm: Vm, pool: VmPool | undefined, subject: Named): Grant[] {
  const grants = vm.status.assignment ? (pool?.permissions ?? []) : vm.spec.permissions;
  return grants.filter((grant) => names(grant, subject));
}

/**
 * What `spec.permissions` lets the subject do with the VM, administrators aside. A VM taken from a pool is governed
 * by the pool's permissions alone, where takeConsole does not imply accessConsole.
 * `pool` is the assignment's pool; undefined when it is unknown or gone: then nobody holds anything.
 */
export function grantedPermissions(
  vm: Vm,
  pool: VmPool | undefined,
  subject: Named,
): ReadonlySet<Permission> {
  if (vm.status.assignment) return permissionsFrom(pool?.permissions ?? [], subject);
  const permissions = permissionsFrom(vm.spec.permissions, subject);
  if (permissions.has('takeConsole')) permissions.add('accessConsole');
  return permissions;
}

/** What the subject may do with the VM. */
export function permissionsOn(vm: Vm, pool: VmPool | undefined, subject: Subject): ReadonlySet<Permission> {
  return subject.administrator ? ALL : grantedPermissions(vm, pool, subject);
}

/** The users and roles that hold the permission, for a message; each once. */
export function holdersOf(vm: Vm, pool: VmPool | undefined, permission: Permission): string[] {
  const assigned = vm.status.assignment !== undefined;
  const grants = assigned ? (pool?.permissions ?? []) : vm.spec.permissions;
  const implied = permission === 'accessConsole' && !assigned ? 'takeConsole' : permission;
  const holders = grants
    .filter(({ may }) => may.includes('*') || may.includes(permission) || may.includes(implied))
    .map((grant) => grant.user ?? `role ${grant.role ?? ''}`);
  return [...new Set(holders)];
}

/** Who holds the permission, and who can give it. */
export function permissionHint(vm: Vm, pool: VmPool | undefined, permission: Permission): string {
  const { assignment } = vm.status;
  if (assignment && pool === undefined) {
    return `pool ${sanitize(assignment.pool)} governs ${vm.name} now, and cannot be read or is gone: ask an administrator of namespace ${vm.namespace}`;
  }
  const holders = holdersOf(vm, pool, permission);
  const where = assignment ? `pool ${sanitize(assignment.pool)}` : `VM ${vm.name}`;
  const whom = holders.length === 0 ? 'nobody' : sanitize(holders.join(', '));
  return `spec.permissions of ${where} gives it to ${whom}; an administrator of namespace ${vm.namespace} can change that`;
}

/** The refusal of an action for want of a permission. */
export function missingPermission(
  vm: Vm,
  pool: VmPool | undefined,
  user: string,
  permission: Permission,
  cause?: unknown,
): VmopError {
  return new VmopError('forbidden', `${user} does not hold the permission ${permission} on ${vm.name}`, {
    hint: permissionHint(vm, pool, permission),
    vm: vm.name,
    cause,
  });
}

/** The refusal of what no permission gives. `what`: `to change spec.permissions`. */
export function onlyForAdministrators(
  { name, namespace }: Pick<Vm, 'name' | 'namespace'>,
  user: string,
  what: string,
  cause?: unknown,
): VmopError {
  return new VmopError(
    'forbidden',
    `${user} may not do that to ${name}: only administrators of namespace ${namespace} are allowed ${what}`,
    { hint: 'no entry of spec.permissions is for this: ask an administrator to do it', vm: name, cause },
  );
}

export function poolOf(vm: Vm, pools: readonly VmPool[]): VmPool | undefined {
  const name = vm.status.assignment?.pool;
  return pools.find((pool) => pool.name === name && pool.namespace === vm.namespace);
}

/** All VMs, those on which the subject may do anything, or those whose permissions name the subject. */
export type Scope = 'all' | 'usable' | 'mine';

export function inScope(vm: Vm, pools: readonly VmPool[], subject: Subject, scope: Scope): boolean {
  if (scope === 'all') return true;
  const permissions = scope === 'mine' ? grantedPermissions : permissionsOn;
  return permissions(vm, poolOf(vm, pools), subject).size > 0;
}
