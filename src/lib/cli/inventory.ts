import { parseLabelSelector } from '../cluster/label-selector.ts';
import { loadInventory, type Inventory } from '../vm/inventory.ts';
import type { Subject } from '../vm/permissions.ts';
import type { Context } from './context.ts';

/**
 * The VMs of a namespace (undefined: of all) that may be read, and who asks; says on stderr when there may be more.
 * Error: `usage` for a selector that is none.
 */
export async function readInventory(
  context: Context,
  namespace: string | undefined,
  labelSelector?: string,
): Promise<Inventory & { subject: Subject }> {
  if (labelSelector !== undefined) parseLabelSelector(labelSelector);
  const [inventory, subject] = await Promise.all([
    loadInventory(context.cluster, namespace, labelSelector),
    context.subject(namespace),
  ]);
  if (inventory.incomplete !== undefined) context.terminal.warn(inventory.incomplete);
  return { ...inventory, subject };
}
