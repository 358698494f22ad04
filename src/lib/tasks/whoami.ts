import { VmopError } from '../errors.ts';
import { labelledLines, labelledText, type LabelledLine } from '../output/labelled.ts';
import type { TextView } from '../output/render.ts';
import { loadInventory, type Inventory } from '../vm/inventory.ts';
import { grantedPermissions, grantsNaming, poolOf, type Subject } from '../vm/permissions.ts';
import { PERMISSIONS, type Permission } from '../vm/types.ts';
import { subjectOf } from '../cli/identity.ts';
import type { Context } from '../cli/context.ts';
import { mayText } from './views.ts';

/** A VM whose permissions name me. */
export interface WhoamiVm {
  name: string;
  namespace: string;
  may: Permission[];
  /** The users and roles that stand for me there: `user alice`, `role staff`. */
  through: string[];
  /** The pool whose permissions these are; absent: the VM's own. */
  pool?: string;
}

/** `vmop whoami`'s `--json` form. */
export interface Whoami {
  /** As the API server says. */
  username: string;
  groups: string[];
  /** As `spec.permissions` names me. */
  user: string;
  roles: string[];
  /** Which role each group stands for. */
  groupRoles: { group: string; role: string }[];
  /** May change any VM of the namespace. */
  administrator: boolean;
  namespace: string;
  context: string;
  server: string;
  /** Of the namespace, administrators' rights aside. */
  vms: WhoamiVm[];
  /** Why VMs may be missing. */
  incomplete?: string;
}

/** Prints who the cluster takes me for. */
export async function printWhoami(context: Context, userName: string | undefined): Promise<void> {
  await context.print(await whoAmI(context, userName), WHOAMI_VIEW);
}

async function whoAmI(context: Context, userName: string | undefined): Promise<Whoami> {
  const { cluster, namespace } = context;
  const [standing, settings, inventory] = await Promise.all([
    context.standing(namespace),
    context.settings,
    visibleVms(context),
  ]);
  const subject = subjectOf(standing, settings, userName);
  const { incomplete } = inventory;
  return {
    username: standing.username,
    groups: standing.groups,
    user: subject.name,
    roles: [...subject.roles],
    groupRoles: standing.groups.flatMap((group, index) => {
      const role = subject.roles[index];
      return role === undefined ? [] : [{ group, role }];
    }),
    administrator: subject.administrator,
    namespace,
    context: cluster.context.name,
    server: cluster.context.server,
    vms: vmsNaming(inventory, subject),
    ...(incomplete === undefined ? {} : { incomplete }),
  };
}

/** That VMs may not be listed is no reason not to know who one is. */
async function visibleVms({ cluster, namespace }: Context): Promise<Inventory> {
  try {
    return await loadInventory(cluster, namespace);
  } catch (error) {
    if (!(error instanceof VmopError) || (error.code !== 'forbidden' && error.code !== 'notFound'))
      throw error;
    return { vms: [], pools: [], incomplete: error.message };
  }
}

function vmsNaming({ vms, pools }: Inventory, subject: Subject): WhoamiVm[] {
  return vms.flatMap((vm) => {
    const pool = poolOf(vm, pools);
    const held = grantedPermissions(vm, pool, subject);
    if (held.size === 0) return [];
    const through = grantsNaming(vm, pool, subject)
      .filter((grant) => grant.may.length > 0)
      .map(({ user, role = '' }) => (user === undefined ? `role ${role}` : `user ${user}`));
    return [
      {
        name: vm.name,
        namespace: vm.namespace,
        may: PERMISSIONS.filter((one) => held.has(one)),
        through: [...new Set(through)],
        ...(pool === undefined ? {} : { pool: pool.name }),
      },
    ];
  });
}

function linesOf(me: Whoami): LabelledLine[] {
  const roles = me.groupRoles.map(({ group, role }) => (group === role ? role : `${role} (group ${group})`));
  const vms = me.vms.map(
    ({ name, may, through, pool }) =>
      `${name}: ${mayText(may) ?? 'nothing'} (${pool === undefined ? '' : `pool ${pool}, `}${through.join(', ')})`,
  );
  const user = me.user === me.username ? me.user : `${me.user} (for the API server ${me.username})`;
  return [
    { label: 'User', text: user },
    ...labelledLines('Roles', roles.length === 0 ? ['none'] : roles),
    { label: 'Administrator', text: `${me.administrator ? 'yes' : 'no'}, in namespace ${me.namespace}` },
    { label: 'Context', text: `${me.context} (${me.server})` },
    ...labelledLines('VMs', vms.length === 0 ? ['none names you'] : vms),
    ...(me.incomplete === undefined ? [] : [{ label: 'Incomplete', text: me.incomplete }]),
  ];
}

const WHOAMI_VIEW: TextView<Whoami> = {
  text: (me) => labelledText(linesOf(me)),
  name: (me) => me.user,
};
