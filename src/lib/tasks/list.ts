import { matchesLabels, parseLabelSelector } from '../cluster/label-selector.ts';
import { refKey } from '../vm/follow.ts';
import { poolsFor } from '../vm/inventory.ts';
import { VMS } from '../vm/parse.ts';
import { inScope, poolOf, type Scope, type Subject } from '../vm/permissions.ts';
import { watchVms } from '../vm/watch.ts';
import { summarize, type VmSummary } from '../vm/summary.ts';
import type { Vm, VmPool } from '../vm/types.ts';
import { createLiveView } from '../output/live.ts';
import type { View } from '../output/render.ts';
import type { Context } from '../cli/context.ts';
import { readInventory } from '../cli/inventory.ts';
import { AlreadyTold, asVmopError } from '../cli/report.ts';
import { vmListView } from './views.ts';

export interface ListFlags {
  selector?: string | undefined;
  'all-namespaces': boolean;
  'all-vms': boolean;
  mine: boolean;
  watch: boolean;
}

/** Prints the VMs that one may use, once or from now on. */
export async function runList(context: Context, flags: ListFlags): Promise<void> {
  const everywhere = flags['all-namespaces'];
  const request: ListRequest = {
    namespace: everywhere ? undefined : context.namespace,
    labelSelector: flags.selector,
    scope: flags['all-vms'] ? 'all' : flags.mine ? 'mine' : 'usable',
  };
  const view = vmListView(() => context.runtime.now(), everywhere, context.nameOf);
  if (flags.watch) {
    await watchUsable(context, request, view);
    return;
  }
  const { rows, emptyBecause } = await listUsable(context, request);
  await context.print(rows, view);
  if (emptyBecause !== undefined) context.terminal.info(emptyBecause);
}

interface ListRequest {
  /** undefined: all. */
  namespace: string | undefined;
  labelSelector: string | undefined;
  scope: Scope;
}

async function listUsable(
  context: Context,
  { namespace, labelSelector, scope }: ListRequest,
): Promise<{ rows: VmSummary[]; emptyBecause: string | undefined }> {
  const { vms, pools, subject } = await readInventory(context, namespace, labelSelector);
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
async function watchUsable(context: Context, request: ListRequest, view: View<VmSummary>): Promise<void> {
  const { cluster, terminal, format } = context;
  const { namespace, labelSelector, scope } = request;
  const labels = parseLabelSelector(labelSelector ?? '');
  const subject = await context.subject(namespace);
  let pools: VmPool[] = [];
  const live = createLiveView<VmSummary>({
    format,
    view,
    target: terminal,
    key: refKey,
    gone: (vm) => ({ ...vm, state: 'gone' }),
    compare: (a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name),
  });
  const signal = AbortSignal.any([context.signal, terminal.outputClosed]);
  const belongs = (vm: Vm): boolean => matchesLabels(labels, vm.labels) && inScope(vm, pools, subject, scope);
  const changes = watchVms(cluster, VMS, {
    namespace,
    labelSelector,
    signal,
    onNotice: (sentence) => terminal.detail(`the watch goes on: ${sentence}`),
    onIncomplete: (sentence) => terminal.warn(sentence),
  });
  let first = true;
  try {
    for await (const change of changes) {
      if (change.type === 'synced') {
        pools = await poolsFor(cluster, namespace, change.items);
        const rows = change.items.filter(belongs).map((vm) => summarize(vm, pools, subject));
        if (first && rows.length === 0) {
          terminal.info(whyEmpty(change.items.length, namespace, labelSelector, subject));
        }
        first = false;
        await live.update(rows);
        continue;
      }
      // Assigned meanwhile from a pool that was not asked for before.
      if (change.item.status.assignment && !poolOf(change.item, pools)) {
        pools = await poolsFor(cluster, namespace, [change.item]);
      }
      if (change.type === 'deleted' || !belongs(change.item)) {
        await live.remove(refKey(change.item));
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
