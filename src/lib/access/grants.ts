import type { KubeObject, Resource } from '../cluster/types.ts';
import { grantedPermissions, poolOf } from '../vm/permissions.ts';
import { generatedSecretName, VM_LABEL } from '../vm/runner-objects.ts';
import { PERMISSIONS, type Grant, type Permission, type Vm, type VmPool } from '../vm/types.ts';

/** Somebody whom spec.permissions names. */
export interface Grantee {
  kind: 'user' | 'role';
  name: string;
}

/** What somebody may do with one VM, and which Secrets that concerns. */
export interface VmGrant {
  vm: string;
  permissions: ReadonlySet<Permission>;
  secrets: string[];
}

/** What somebody may do in one namespace. */
export interface NamespaceGrants {
  namespace: string;
  grantee: Grantee;
  vms: VmGrant[];
  /** The pools whose permissions name the grantee. */
  pools: { pool: string; permissions: ReadonlySet<Permission> }[];
}

export interface AccessInput {
  vms: readonly Vm[];
  pools: readonly VmPool[];
  secrets: readonly LabelledSecret[];
}

export interface GrantOptions {
  /** Only these users and roles; undefined: all. */
  users?: readonly string[] | undefined;
  roles?: readonly string[] | undefined;
  /** A pool's permissions also reach the VMs that it may hand out, before they are assigned. */
  poolMembers: boolean;
}

/** A Secret that carries the labels of a display Secret. */
export interface LabelledSecret {
  namespace: string;
  name: string;
  /** The VM that it is for. */
  vm: string;
}

/** Its passwords are not kept. */
export const LABELLED_SECRETS: Resource<LabelledSecret> = {
  group: '',
  version: 'v1',
  plural: 'secrets',
  kind: 'Secret',
  namespaced: true,
  parse: ({ metadata }: KubeObject) => ({
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    vm: metadata.labels?.[VM_LABEL] ?? '',
  }),
};

const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;

/** Who may do what, by namespace, then users before roles, then names. Who may do nothing is left out. */
export function collectGrants(input: AccessInput, options: GrantOptions): NamespaceGrants[] {
  const secretNamesOf = secretsByVm(input.secrets);
  const collected = new Map<string, NamespaceGrants>();
  const grantsOf = (namespace: string, grantee: Grantee): NamespaceGrants => {
    const key = JSON.stringify([namespace, grantee.kind === 'user' ? 0 : 1, grantee.name]);
    const found = collected.get(key) ?? { namespace, grantee, vms: [], pools: [] };
    collected.set(key, found);
    return found;
  };
  for (const vm of input.vms) {
    const secretNames = secretNamesOf(vm);
    for (const [grantee, permissions] of vmPermissions(vm, input.pools, options))
      grantsOf(vm.namespace, grantee).vms.push({ vm: vm.name, permissions, secrets: secretNames });
  }
  for (const pool of input.pools) {
    for (const grantee of granteesOf(pool.permissions).filter((one) => isWanted(one, options))) {
      const permissions = poolPermissions(pool, grantee);
      if (permissions.size > 0)
        grantsOf(pool.namespace, grantee).pools.push({ pool: pool.name, permissions });
    }
  }
  return [...collected.entries()]
    .toSorted(([a], [b]) => compare(a, b))
    .map(([, grants]) => ({
      ...grants,
      vms: grants.vms.toSorted((a, b) => compare(a.vm, b.vm)),
      pools: grants.pools.toSorted((a, b) => compare(a.pool, b.pool)),
    }));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isWanted({ kind, name }: Grantee, { users, roles }: GrantOptions): boolean {
  if (users === undefined && roles === undefined) return true;
  return (kind === 'user' ? users : roles)?.includes(name) === true;
}

function granteesOf(grants: readonly Grant[]): Grantee[] {
  const grantees = grants.flatMap(({ user, role }): Grantee[] => {
    if (user !== undefined) return [{ kind: 'user', name: user }];
    return role === undefined ? [] : [{ kind: 'role', name: role }];
  });
  return [...new Map(grantees.map((one) => [JSON.stringify(one), one])).values()];
}

/**
 * What each grantee may do with a VM; who may do nothing is left out. Exactly what holds now: an assigned VM is
 * governed by its pool alone. With `poolMembers` also what may hold after the next assignment or release.
 */
function vmPermissions(
  vm: Vm,
  pools: readonly VmPool[],
  options: GrantOptions,
): [Grantee, ReadonlySet<Permission>][] {
  const { assignment, ...status } = vm.status;
  const governing = poolOf(vm, pools);
  const isMember = ({ namespace, name }: VmPool): boolean =>
    namespace === vm.namespace && vm.spec.pools.includes(name);
  const ruling = pools.filter((pool) => pool === governing || (options.poolMembers && isMember(pool)));
  const own = assignment === undefined || options.poolMembers ? [{ ...vm, status }] : [];
  return granteesOf([
    ...own.flatMap(({ spec }) => spec.permissions),
    ...ruling.flatMap((pool) => pool.permissions),
  ])
    .filter((grantee) => isWanted(grantee, options))
    .map((grantee): [Grantee, ReadonlySet<Permission>] => {
      const held = [
        ...own.map((unassigned) => grantedPermissions(unassigned, undefined, subjectOf(grantee))),
        ...ruling.map((pool) => poolPermissions(pool, grantee)),
      ];
      return [grantee, new Set(PERMISSIONS.filter((one) => held.some((set) => set.has(one))))];
    })
    .filter(([, permissions]) => permissions.size > 0);
}

/** A role is held by nobody in particular: its own grants only. */
function subjectOf({ kind, name }: Grantee): { name: string; roles: string[] } {
  return kind === 'user' ? { name, roles: [] } : { name: '', roles: [name] };
}

function poolPermissions({ permissions }: VmPool, grantee: Grantee): ReadonlySet<Permission> {
  const may = permissions
    .filter(({ user, role }) => (grantee.kind === 'user' ? user : role) === grantee.name)
    .flatMap((grant) => grant.may);
  return new Set(PERMISSIONS.filter((one) => may.includes('*') || may.includes(one)));
}

/** All that carry the labels; where there is none yet, the name that VM-Operator will give it, unless another VM has it. */
function secretsByVm(secrets: readonly LabelledSecret[]): (vm: Vm) => string[] {
  const byVm = Map.groupBy(secrets, ({ namespace, vm }) => keyOf(namespace, vm));
  const taken = new Set(secrets.map(({ namespace, name }) => keyOf(namespace, name)));
  return (vm) => {
    const labelled = byVm.get(keyOf(vm.namespace, vm.name)) ?? [];
    if (labelled.length > 0) return labelled.map(({ name }) => name).toSorted(compare);
    const name = generatedSecretName(vm);
    return name === undefined || taken.has(keyOf(vm.namespace, name)) ? [] : [name];
  };
}

/** The VMs without a display Secret of their own whose Secret's name one has that is labelled as another VM's. */
export function takenSecrets({ vms, secrets }: AccessInput): { vm: Vm; secret: LabelledSecret }[] {
  const byName = new Map(secrets.map((one) => [keyOf(one.namespace, one.name), one]));
  const served = new Set(secrets.map(({ namespace, vm }) => keyOf(namespace, vm)));
  return vms.flatMap((vm) => {
    const name = generatedSecretName(vm);
    const secret = name === undefined ? undefined : byName.get(keyOf(vm.namespace, name));
    return secret === undefined || served.has(keyOf(vm.namespace, vm.name)) ? [] : [{ vm, secret }];
  });
}
