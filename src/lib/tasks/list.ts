import { POOLS, VMS } from '../vm/parse.ts';
import { grantedPermissions, permissionsOn, poolOf, type Subject } from '../vm/permissions.ts';
import { summarize, type VmSummary } from '../vm/summary.ts';
import type { Vm, VmPool } from '../vm/types.ts';
import { createLiveView } from '../output/live.ts';
import type { View } from '../output/render.ts';
import type { Context } from '../cli/context.ts';
import { AlreadyTold, asVmopError } from '../cli/report.ts';
import { listVms } from '../cli/targets.ts';

export interface ListRequest {
  /** undefined: all. */
  namespace: string | undefined;
  labelSelector: string | undefined;
  /** All VMs, those that one may use, or those whose permissions name one. */
  scope: 'all' | 'usable' | 'mine';
}

/** Whether a VM belongs into the list. */
export function inScope(
  vm: Vm,
  pools: readonly VmPool[],
  subject: Subject,
  scope: ListRequest['scope'],
): boolean {
  if (scope === 'all') return true;
  const permissions = scope === 'mine' ? grantedPermissions : permissionsOn;
  return permissions(vm, poolOf(vm, pools), subject).size > 0;
}

export async function listUsable(
  context: Context,
  { namespace, labelSelector, scope }: ListRequest,
): Promise<{ rows: VmSummary[]; emptyBecause: string | undefined }> {
  const [{ vms, pools }, subject] = await Promise.all([
    listVms(context, namespace, labelSelector),
    context.subject(namespace),
  ]);
  const rows = vms
    .filter((vm) => inScope(vm, pools, subject, scope))
    .map((vm) => summarize(vm, pools, subject));
  return {
    rows,
    emptyBecause: rows.length > 0 ? undefined : whyEmpty(vms.length, namespace, labelSelector, subject),
  };
}

/** An empty list says what it lacks. */
export function whyEmpty(
  all: number,
  namespace: string | undefined,
  labelSelector: string | undefined,
  { name, roles }: Subject,
): string {
  const where = namespace === undefined ? 'any namespace' : `namespace "${namespace}"`;
  const which = labelSelector === undefined ? '' : ` with the labels ${labelSelector}`;
  if (all === 0) {
    const elsewhere = namespace === undefined ? '' : '; vmop list -A looks in all namespaces';
    return `There is no VM${which} in ${where}${elsewhere}.`;
  }
  const groups = roles.length === 0 ? '' : ` or the roles ${roles.join(', ')}`;
  const count = all === 1 ? 'One VM is' : `${all} VMs are`;
  return `${count} in ${where}${which}, but none gives the user "${name}"${groups} a permission; vmop list --all-vms shows them.`;
}

/** Follows the list until interrupted or nobody reads any more. */
export async function watchUsable(
  context: Context,
  request: ListRequest,
  view: View<VmSummary>,
): Promise<void> {
  const { cluster, terminal, format } = context;
  const { namespace, labelSelector, scope } = request;
  const subject = await context.subject(namespace);
  const pools = (await cluster.list(POOLS, { namespace }).catch(() => ({ items: [] }))).items;
  const live = createLiveView<VmSummary>({
    format,
    view,
    target: terminal,
    key: (vm) => `${vm.namespace}/${vm.name}`,
    gone: (vm) => ({ ...vm, state: 'gone' }),
    compare: (a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name),
  });
  const signal = AbortSignal.any([context.signal, terminal.outputClosed]);
  const belongs = (vm: Vm): boolean => inScope(vm, pools, subject, scope);
  const onInterruption = (reason: string): void => terminal.detail(`watch interrupted, resuming: ${reason}`);
  try {
    for await (const change of cluster.watch(VMS, { namespace, labelSelector, signal, onInterruption })) {
      if (change.type === 'synced') {
        await live.update(change.items.filter(belongs).map((vm) => summarize(vm, pools, subject)));
      } else if (change.type === 'deleted' || !belongs(change.item)) {
        await live.remove(`${change.item.namespace}/${change.item.name}`);
      } else {
        await live.upsert(summarize(change.item, pools, subject));
      }
    }
  } finally {
    live.end();
  }
  if (!context.signal.aborted) return;
  // A signal is how a watch is meant to end: no word about it among the rows.
  const { code, message } = asVmopError(context.signal.reason);
  throw new AlreadyTold(code, message);
}
