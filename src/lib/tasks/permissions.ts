import { isAccessApplied } from '../access/read.ts';
import { modify } from '../cluster/modify.ts';
import { asObject, compact } from '../cluster/parse.ts';
import type { KubeObject, ObjectRef, Patch, Resource } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import type { View } from '../output/render.ts';
import { sanitize } from '../text.ts';
import { resendDisturbance } from '../vm/disturbance.ts';
import { governingPool } from '../vm/inventory.ts';
import { POOLS, VMS, withObject } from '../vm/parse.ts';
import {
  entriesOf,
  permissionsPatch,
  refuseOnPool,
  type PermissionChange,
  type PermissionsOwner,
} from '../vm/permission-edit.ts';
import { inScope, onlyForAdministrators, poolOf } from '../vm/permissions.ts';
import { explainPoolRefusal } from '../vm/refusal.ts';
import type { Grant, Vm, VmPool } from '../vm/types.ts';
import type { Context } from '../cli/context.ts';
import { readInventory } from '../cli/inventory.ts';
import { onTargets } from '../cli/many.ts';
import { parseVmName, resolveVm, type TargetFlags } from '../cli/targets.ts';

/** One entry of `spec.permissions`: a row of `vmop permissions list`, and its `--json` form. */
export interface PermissionRow {
  name: string;
  namespace: string;
  user?: string;
  role?: string;
  may: Grant['may'];
  /** The pool in which the entry stands; absent: it stands in the VM. */
  pool?: string;
  /** false: a pool governs the VM now, and the entry waits until it is released. */
  inForce: boolean;
}

/** Who may do what with a VM: its own entries, and those of the pool that governs it while it is assigned. */
function rowsOf(vm: Vm, pool: VmPool | undefined): PermissionRow[] {
  const { name, namespace } = vm;
  const governed = vm.status.assignment !== undefined;
  const own = vm.spec.permissions.map((grant) => ({ name, namespace, ...grant, inForce: !governed }));
  const pools = pool?.permissions ?? [];
  return [
    ...own,
    ...pools.map((grant) => ({ name, namespace, ...grant, pool: pool?.name, inForce: true })),
  ].map(compact);
}

type ListFlags = Pick<TargetFlags, 'selector' | 'all-namespaces'>;

/** Prints the entries of one VM, or of all that one may use. */
export async function listPermissions(
  context: Context,
  name: string | undefined,
  flags: ListFlags,
): Promise<void> {
  const rows = await permissionRows(context, name, flags);
  await context.print(rows, permissionsView(context, flags['all-namespaces'] === true));
  if (rows.length === 0)
    context.terminal.info('There is no entry in spec.permissions: only administrators may do anything.');
}

async function permissionRows(
  context: Context,
  name: string | undefined,
  { selector, 'all-namespaces': everywhere }: ListFlags,
): Promise<PermissionRow[]> {
  if (name !== undefined) {
    if (selector !== undefined || everywhere === true) {
      throw new VmopError('usage', 'either a name, or --selector or --all-namespaces: not both');
    }
    const vm = await resolveVm(context, name);
    return rowsOf(vm, await governingPool(context.cluster, vm));
  }
  const namespace = everywhere === true ? undefined : context.namespace;
  const { vms, pools, subject } = await readInventory(context, namespace, selector);
  return vms
    .filter((vm) => inScope(vm, pools, subject, 'usable'))
    .flatMap((vm) => rowsOf(vm, poolOf(vm, pools)));
}

function permissionsView({ nameOf }: Context, allNamespaces: boolean): View<PermissionRow> {
  return {
    columns: [
      ...(allNamespaces ? [{ header: 'NAMESPACE', value: (row: PermissionRow) => row.namespace }] : []),
      { header: 'NAME', value: (row) => row.name },
      { header: 'USER', value: (row) => row.user },
      { header: 'ROLE', value: (row) => row.role },
      { header: 'MAY', value: (row) => row.may.join(',') || undefined, flexible: true },
      { header: 'FROM', value: (row) => (row.pool === undefined ? 'vm' : `pool ${row.pool}`) },
      {
        header: 'ACTIVE',
        value: (row) => (row.inForce ? 'yes' : 'no'),
        style: (_cell, row) => (row.inForce ? undefined : 'dim'),
      },
    ],
    name: nameOf,
  };
}

export interface PermissionFlags extends TargetFlags {
  pool?: string | undefined;
  'dry-run': boolean;
}

/** What became of one VM's, or a pool's, permissions: the `--json` form of `vmop permissions grant` and `revoke`. */
export interface PermissionResult {
  name: string;
  namespace: string;
  kind: 'VirtualMachine' | 'VmPool';
  action: PermissionChange['action'];
  user?: string;
  role?: string;
  /** What the user or role has afterwards from this object, as written. */
  may: string[];
  /** false: it was so already, or the server only checked (`dryRun`). */
  changed: boolean;
  dryRun: boolean;
  /** The pool whose permissions hold for the VM in place of these, for as long as it is assigned. */
  governedBy?: string;
}

/** Edits `spec.permissions` of VMs, or of one pool (`flags.pool`). Errors: `usage`, `forbidden`, what the server refuses. */
export async function changePermissions(
  context: Context,
  names: readonly string[],
  change: PermissionChange,
  flags: PermissionFlags,
): Promise<void> {
  if (flags.pool !== undefined) {
    await changePool(context, flags.pool, names, change, flags);
    return;
  }
  const changed = new Set<string>();
  try {
    await onTargets<PermissionResult>(context, names, flags, {
      permissions: [],
      act: async ({ vm, pool }) => {
        const { assignment } = vm.status;
        await requireAdministrator(context, vm);
        const edited = await edit(context, VMS, vm, change, {
          owner: 'vm',
          dryRun: flags['dry-run'],
          beforeWrite: warningOfResend(context, pool),
        });
        if (edited.changed) changed.add(edited.namespace);
        if (assignment !== undefined) {
          context.terminal.warn(
            `${vm.name} is assigned from pool ${sanitize(assignment.pool)}, whose permissions govern it now; ` +
              `this is about its own, which hold once it is released (--pool ${sanitize(assignment.pool)} is for the pool's)`,
          );
        }
        return compact({ ...edited, kind: 'VirtualMachine' as const, governedBy: assignment?.pool });
      },
      sentence,
    });
  } finally {
    for (const namespace of changed) await sayWhatIsLeft(context, namespace, change, 'vm');
  }
}

/** Where access was applied, a change of spec.permissions is not all of it. Who may not look there is told nothing. */
async function sayWhatIsLeft(
  { cluster, home, terminal }: Context,
  namespace: string,
  { action }: PermissionChange,
  owner: PermissionsOwner,
): Promise<void> {
  if (!(await isAccessApplied(cluster, namespace))) return;
  const apply = `vmop access apply${namespace === home ? '' : ` -n ${namespace}`}`;
  const left = {
    grant: 'the API server enforces permissions here, and lets nobody use what is new until it is applied',
    revoke:
      owner === 'vm'
        ? 'changing is over; reading (VM, display password, log, port-forward) goes on until it is applied'
        : 'the API server goes on with what the pool permitted until it is applied',
  };
  terminal.info(`${left[action]}: ${apply}`);
}

async function changePool(
  context: Context,
  pool: string,
  names: readonly string[],
  change: PermissionChange,
  flags: PermissionFlags,
): Promise<void> {
  if (
    names.length > 0 ||
    flags.selector !== undefined ||
    flags.all === true ||
    flags['all-namespaces'] === true
  ) {
    throw new VmopError(
      'usage',
      "--pool is for the pool's own permissions, which hold for all VMs assigned from it",
      {
        hint: 'name either VMs or a pool',
      },
    );
  }
  refuseOnPool(change);
  const ref = parseVmName(pool, context.namespace);
  await requireAdministrator(context, ref);
  const edited = await edit(context, POOLS, ref, change, { owner: 'pool', dryRun: flags['dry-run'] }).catch(
    (error: unknown) => {
      throw explainPoolRefusal(error, ref);
    },
  );
  await context.print<PermissionResult>(
    { ...edited, kind: 'VmPool' },
    { text: (result) => `${sanitize(sentence(result))}\n`, name: context.nameOf },
  );
  if (edited.changed) await sayWhatIsLeft(context, ref.namespace, change, 'pool');
}

/** A courtesy, as for every permission: whether it may be written is the API server's to say. */
async function requireAdministrator(context: Context, ref: ObjectRef): Promise<void> {
  const { name, administrator } = await context.subject(ref.namespace);
  if (!administrator) throw onlyForAdministrators(ref, name, 'to change spec.permissions');
}

/** Who is named in spec.permissions is nothing to the guest, and yet every change of the spec reaches its agent. */
function warningOfResend({ terminal }: Context, pool: VmPool | undefined): (vm: Vm) => void {
  const told = new Set<string>();
  return (vm) => {
    const disturbance = resendDisturbance(vm, pool, 'a change of spec.permissions');
    // A write that met another's is made once more.
    if (disturbance === undefined || told.has(disturbance)) return;
    told.add(disturbance);
    terminal.warn(disturbance);
  };
}

interface Edit<T> {
  owner: PermissionsOwner;
  dryRun: boolean;
  /** Told of the object as it is, once it is sure that there will be a write. */
  beforeWrite?: (object: T) => void;
}

async function edit<T extends object>(
  { cluster }: Context,
  resource: Resource<T>,
  { namespace, name }: ObjectRef,
  change: PermissionChange,
  { owner, dryRun, beforeWrite }: Edit<T>,
): Promise<Omit<PermissionResult, 'kind'>> {
  const decide = (current: T & { object: KubeObject }): Patch | undefined => {
    const patch = permissionsPatch(current.object, change, owner);
    if (patch !== undefined) beforeWrite?.(current);
    return patch;
  };
  const { object, written } = await modify(cluster, withObject(resource), { namespace, name }, decide, {
    dryRun,
  });
  const permissions = asObject(object.object['spec'])['permissions'];
  return {
    name,
    namespace,
    action: change.action,
    ...change.grantee,
    may: entriesOf(permissions, change.grantee, owner),
    changed: written && !dryRun,
    dryRun,
  };
}

function sentence({
  name,
  kind,
  action,
  user,
  role,
  may,
  changed,
  dryRun,
  ...rest
}: PermissionResult): string {
  const who = user === undefined ? `role ${role ?? ''}` : `user ${user}`;
  const where = kind === 'VmPool' ? `pool ${name}` : name;
  const what = may.length === 0 ? 'nothing' : may.join(', ');
  const later = rest.governedBy === undefined ? '' : ` once pool ${rest.governedBy} has released it`;
  if (dryRun) return `${where}: ${who} would be given ${what}${later} (dry run, nothing changed)`;
  if (changed) return `${where}: ${who} may now do ${what}${later}`;
  return `${where}: nothing to ${action}, ${who} may do ${what}${later}`;
}
