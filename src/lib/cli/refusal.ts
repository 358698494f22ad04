import { ApiError } from '../cluster/api-error.ts';
import { governingPool } from '../vm/inventory.ts';
import { VMS } from '../vm/parse.ts';
import { explainRefusal, policyDenial } from '../vm/refusal.ts';
import type { Permission, Vm, VmPool } from '../vm/types.ts';
import { refOf } from '../vm/write.ts';
import type { Context } from './context.ts';

/** What was tried, and what was known of the VM then. */
export interface TriedAction {
  vm: Vm;
  pool: VmPool | undefined;
  /** What `spec.permissions` must give for it. */
  permissions: readonly Permission[];
}

/**
 * What was thrown, in a person's words where the API server refused it. A policy's refusal is told of the VM as it is
 * now, and by the name that the API server knows: the policy decided by these, whatever vmop had read or was told.
 */
export async function explainFor(context: Context, error: unknown, tried: TriedAction): Promise<unknown> {
  if (!(error instanceof ApiError)) return error;
  const { vm } = tried;
  const [{ name: user }, username] = await Promise.all([
    context.subject(vm.namespace),
    context.username(vm.namespace),
  ]);
  const now = policyDenial(error) === undefined ? tried : await presentState(context, tried);
  return explainRefusal(error, { ...now, user, username });
}

/** Where it cannot be read any more, what was known. */
async function presentState({ cluster }: Context, tried: TriedAction): Promise<TriedAction> {
  try {
    const vm = await cluster.get(VMS, refOf(tried.vm));
    return { ...tried, vm, pool: await governingPool(cluster, vm) };
  } catch {
    return tried;
  }
}
