import { isStatus } from '../cluster/api-error.ts';
import type { Cluster } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { POOLS, VMS } from './parse.ts';
import type { Vm, VmPool } from './types.ts';

/** VMs and, where any of them is assigned, the pools that govern them. */
export interface Inventory {
  vms: Vm[];
  pools: VmPool[];
}

/** `namespace` undefined: all. Whatever the API server refuses rejects, except pools that may not be read. */
export async function loadInventory(
  cluster: Cluster,
  namespace: string | undefined,
  labelSelector?: string,
): Promise<Inventory> {
  const { items } = await cluster.list(VMS, { namespace, labelSelector }).catch((error: unknown) => {
    throw isStatus(error, 404) ? notInstalled(cluster, error) : error;
  });
  return { vms: items, pools: await poolsFor(cluster, namespace, items) };
}

/** A list is not found only where its kind is unknown. */
function notInstalled({ context }: Cluster, cause: unknown): VmopError {
  return new VmopError('notFound', `cluster "${context.cluster}" knows no virtual machines of VM-Operator`, {
    hint: 'VM-Operator is not installed there; --context chooses another cluster',
    cause,
  });
}

/** The pools, where any of the VMs is governed by one; none where they may not be read. */
export async function poolsFor(
  cluster: Cluster,
  namespace: string | undefined,
  vms: readonly Vm[],
): Promise<VmPool[]> {
  if (!vms.some((vm) => vm.status.assignment)) return [];
  try {
    return (await cluster.list(POOLS, { namespace })).items;
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    return [];
  }
}

/** The pool that governs the VM while it is assigned; undefined when it is not, or the pool is gone or hidden. */
export async function governingPool(cluster: Cluster, vm: Vm): Promise<VmPool | undefined> {
  const name = vm.status.assignment?.pool;
  if (name === undefined) return undefined;
  try {
    return await cluster.get(POOLS, { namespace: vm.namespace, name });
  } catch (error) {
    if (isStatus(error, 404) || isStatus(error, 403)) return undefined;
    throw error;
  }
}
