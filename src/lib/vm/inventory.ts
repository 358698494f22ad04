import { isStatus } from '../cluster/api-error.ts';
import { matchesLabels, parseLabelSelector } from '../cluster/label-selector.ts';
import type { Cluster, ObjectRef, Resource } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { inParallel } from '../parallel.ts';
import { refKey } from './follow.ts';
import { namedVms } from './named.ts';
import { POOLS, VMS } from './parse.ts';
import type { Vm, VmPool } from './types.ts';

/** VMs and, where any of them is assigned, the pools that govern them. */
export interface Inventory {
  vms: Vm[];
  pools: VmPool[];
  /** Why VMs may be missing, a sentence; absent: none is. */
  incomplete?: string;
}

/** How many objects are read at once where they may not be listed. */
const READS = 16;

/**
 * `namespace` undefined: all. Where the API server forbids to list them, those that it lets one read, each on its own.
 * Whatever else it refuses rejects, except pools that may not be read.
 */
export async function loadInventory(
  cluster: Cluster,
  namespace: string | undefined,
  labelSelector = '',
): Promise<Inventory> {
  const found = await findVms(cluster, namespace, labelSelector);
  return { ...found, pools: await poolsFor(cluster, namespace, found.vms) };
}

async function findVms(
  cluster: Cluster,
  namespace: string | undefined,
  labelSelector: string,
): Promise<Omit<Inventory, 'pools'>> {
  try {
    return { vms: (await cluster.list(VMS, { namespace, labelSelector })).items };
  } catch (error) {
    if (isStatus(error, 404)) throw notInstalled(cluster, error);
    if (!isStatus(error, 403)) throw error;
    const { names, ...rest } = await namedVms(cluster, namespace, error);
    const refs = names.map((name) => ({ namespace: namespace ?? '', name }));
    const labels = parseLabelSelector(labelSelector);
    const vms = await readEach(cluster, VMS, refs);
    return { vms: vms.filter((vm) => matchesLabels(labels, vm.labels)), ...rest };
  }
}

/** Those of the objects that are there and may be read. */
async function readEach<T>(
  cluster: Cluster,
  resource: Resource<T>,
  refs: readonly ObjectRef[],
): Promise<T[]> {
  const found = await inParallel(refs, READS, async (ref) => {
    try {
      return await cluster.get(resource, ref);
    } catch (error) {
      if (isStatus(error, 404) || isStatus(error, 403)) return undefined;
      throw error;
    }
  });
  return found.filter((object) => object !== undefined);
}

/** A list is not found only where its kind is unknown. */
function notInstalled({ context }: Cluster, cause: unknown): VmopError {
  return new VmopError('notFound', `cluster "${context.cluster}" knows no virtual machines of VM-Operator`, {
    hint: 'VM-Operator is not installed there; --context chooses another cluster',
    cause,
  });
}

/** The pools, where any of the VMs is governed by one; where they may not be listed, those that may be read. */
export async function poolsFor(
  cluster: Cluster,
  namespace: string | undefined,
  vms: readonly Vm[],
): Promise<VmPool[]> {
  const refs = vms.flatMap(({ namespace, status }) =>
    status.assignment ? [{ namespace, name: status.assignment.pool }] : [],
  );
  if (refs.length === 0) return [];
  try {
    return (await cluster.list(POOLS, { namespace })).items;
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    return readEach(cluster, POOLS, [...new Map(refs.map((ref) => [refKey(ref), ref])).values()]);
  }
}

/** The pool that governs the VM while it is assigned; undefined when it is not, or the pool is gone or hidden. */
export async function governingPool(
  cluster: Cluster,
  { namespace, status }: Vm,
): Promise<VmPool | undefined> {
  if (!status.assignment) return undefined;
  const [pool] = await readEach(cluster, POOLS, [{ namespace, name: status.assignment.pool }]);
  return pool;
}
