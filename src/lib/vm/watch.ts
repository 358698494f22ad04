import { isStatus } from '../cluster/api-error.ts';
import { pause } from '../cluster/retry.ts';
import type { Change, Cluster, ObjectRef, Resource } from '../cluster/types.ts';
import { messageOf } from '../errors.ts';
import { merged } from '../parallel.ts';
import { namedVms } from './named.ts';
import type { Vm } from './types.ts';

export interface VmWatchOptions {
  /** undefined: all. */
  namespace: string | undefined;
  labelSelector?: string | undefined;
  /** Only these. */
  names?: readonly string[] | undefined;
  signal: AbortSignal;
  /** Told of what is not as usual: interruptions, and slow reads in place of a watch. */
  onNotice?: ((sentence: string) => void) | undefined;
  /** Told that VMs may be missing, and why. */
  onIncomplete?: ((sentence: string) => void) | undefined;
  /** How often a VM is read that may not be watched. */
  pollMs?: number | undefined;
}

const POLL_MS = 3000;
/** Each has a connection of its own; what is beyond is read slowly. */
const WATCHES = 100;
/** Reads of many are spread over a longer time: a hundred per second at most. */
const POLL_MS_EACH = 10;

/**
 * The changes of many VMs by one watch; where the API server forbids that, by a watch for each that it lets one read,
 * and by slow reads of those that may not even be watched. Labels are the caller's to look at then. Rejects as
 * `Cluster.watch` and `namedVms` do.
 */
export async function* watchVms<V extends Vm>(
  cluster: Cluster,
  resource: Resource<V>,
  options: VmWatchOptions,
): AsyncIterable<Change<V>> {
  const { namespace, labelSelector, names, signal, onNotice: onInterruption } = options;
  const fieldSelector = names?.length === 1 ? `metadata.name=${names[0] ?? ''}` : undefined;
  try {
    yield* cluster.watch(resource, { namespace, labelSelector, fieldSelector, signal, onInterruption });
    return;
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    const found = names ? { names } : await namedVms(cluster, namespace, error);
    if ('incomplete' in found) options.onIncomplete?.(found.incomplete);
    yield* watchNamedVms(cluster, resource, { ...options, namespace: namespace ?? '', names: found.names });
  }
}

async function* watchNamedVms<V extends Vm>(
  cluster: Cluster,
  resource: Resource<V>,
  options: VmWatchOptions & { namespace: string; names: readonly string[] },
): AsyncIterable<Change<V>> {
  const { namespace, names } = options;
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const pollMs = Math.max(options.pollMs ?? POLL_MS, names.length * POLL_MS_EACH);
  const sources = names.map((name, index) => {
    const follow = {
      cluster,
      resource,
      ref: { namespace, name },
      signal,
      pollMs,
      onNotice: options.onNotice,
    };
    return index < WATCHES ? watchNamedVm(follow) : readSlowly(follow);
  });
  const latest = new Map<string, V | undefined>();
  let synced = false;
  try {
    for await (const { name, vm } of merged(sources)) {
      const before = latest.get(name);
      latest.set(name, vm);
      if (!synced) {
        // All of them are known when each has been heard of.
        if (latest.size < names.length) continue;
        synced = true;
        // In the order of their names, whichever answered first.
        yield { type: 'synced', items: names.flatMap((name) => latest.get(name) ?? []) };
      } else if (vm) yield { type: before ? 'modified' : 'added', item: vm };
      else if (before) yield { type: 'deleted', item: before };
    }
  } finally {
    ended.abort();
  }
}

/** How a VM stands, first and after each change. */
interface Sight<V> {
  name: string;
  /** undefined: there is none of that name. */
  vm: V | undefined;
}

interface Follow<V> extends Pick<VmWatchOptions, 'signal' | 'onNotice'> {
  cluster: Cluster;
  resource: Resource<V>;
  ref: ObjectRef;
  pollMs: number;
}

async function* watchNamedVm<V extends Vm>(follow: Follow<V>): AsyncIterable<Sight<V>> {
  const { cluster, resource, ref, signal, onNotice: onInterruption } = follow;
  let seen: Sight<V> | undefined;
  try {
    for await (const change of cluster.watch(resource, { ...ref, signal, onInterruption })) {
      const vm =
        change.type === 'synced' ? change.items[0] : change.type === 'deleted' ? undefined : change.item;
      seen = { name: ref.name, vm };
      yield seen;
    }
    return;
  } catch (error) {
    // What could not even be read is not read slowly either.
    if (seen === undefined || !isStatus(error, 403)) throw error;
  }
  yield* readSlowly(follow, seen);
}

async function* readSlowly<V extends Vm>(follow: Follow<V>, first?: Sight<V>): AsyncIterable<Sight<V>> {
  const { ref, signal, pollMs, onNotice } = follow;
  onNotice?.(`VM ${ref.name} is not watched but read every ${pollMs / 1000} s`);
  let seen = first;
  for (;;) {
    if (seen) await pause(pollMs, signal);
    if (signal.aborted) return;
    try {
      const vm = await readIfThere(follow);
      if (seen && vm?.resourceVersion === seen.vm?.resourceVersion) continue;
      seen = { name: ref.name, vm };
      yield seen;
    } catch (error) {
      // As a watch: what was there once is waited for, unless the refusal is final.
      if (seen === undefined || isStatus(error, 403) || isStatus(error, 401)) throw error;
      onNotice?.(messageOf(error));
    }
  }
}

async function readIfThere<V>({ cluster, resource, ref }: Follow<V>): Promise<V | undefined> {
  try {
    return await cluster.get(resource, ref);
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    throw error;
  }
}
