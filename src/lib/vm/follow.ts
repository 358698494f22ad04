import { VmopError, type ErrorCode } from '../errors.ts';
import type { Cluster, ObjectRef, Resource } from '../cluster/types.ts';
import type { Vm } from './types.ts';
import { watchVms } from './watch.ts';

/** What is made of one VM's state: not yet (undefined), done, or failed for good. */
export type Verdict<R> = { done: R } | { failed: VmopError } | undefined;

/** What a VM shows that is late: a clause such as `still starting`, and whose fault it is (`timeout` unless known). */
export interface Lateness {
  state: string;
  hint?: string | undefined;
  code?: ErrorCode;
}

export interface FollowOptions<R, V extends Vm = Vm> {
  /** `VMS`, or one that parses more of the object. */
  resource: Resource<V>;
  decide: (vm: V) => Verdict<R>;
  /** undefined: the VM was never seen. */
  describe: (vm: V | undefined) => Lateness;
  /** 0: looks once. */
  timeoutMs: number;
  signal: AbortSignal;
  onChange?: ((vm: V) => void) | undefined;
}

export type FollowResult<R> = { value: R } | { error: VmopError };

/** A VM to follow; with a uid, that one and none made anew under its name. */
export interface FollowedRef extends ObjectRef {
  uid?: string;
}

/** Node's timers fire at once beyond this. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function refKey({ namespace, name }: ObjectRef): string {
  return `${namespace}/${name}`;
}

/**
 * Follows VMs until the verdict on each has fallen or the time is over (error `timeout`). One watch serves all the
 * VMs of a namespace, where they may be listed. A VM that is deleted meanwhile ends with `notFound`. Rejects only when the signal aborts or
 * the cluster refuses the watch; whatever happens to one VM is its own result.
 */
export async function followVms<R, V extends Vm>(
  cluster: Cluster,
  refs: readonly FollowedRef[],
  options: FollowOptions<R, V>,
): Promise<Map<string, FollowResult<R>>> {
  const results = new Map<string, FollowResult<R>>();
  const namespaces = Map.groupBy(refs, (ref) => ref.namespace);
  const ended = new AbortController();
  const { timeoutMs } = options;
  const timer =
    timeoutMs > 0 ? setTimeout(() => ended.abort(), Math.min(timeoutMs, LONGEST_TIMER_MS)) : undefined;
  try {
    await Promise.all(
      [...namespaces].map(([namespace, members]) =>
        followNamespace(cluster, namespace, members, options, ended.signal, results),
      ),
    );
  } finally {
    clearTimeout(timer);
    // One that failed takes the others with it.
    ended.abort();
  }
  options.signal.throwIfAborted();
  return results;
}

/** `followVms` for one VM: resolves to the verdict's value, rejects with its error. */
export async function followVm<R, V extends Vm>(
  cluster: Cluster,
  ref: FollowedRef,
  options: FollowOptions<R, V>,
): Promise<R> {
  const result = (await followVms(cluster, [ref], options)).get(refKey(ref));
  if (result === undefined)
    throw new VmopError('failed', `nothing is known of VM ${ref.name}`, { vm: ref.name });
  if ('error' in result) throw result.error;
  return result.value;
}

async function followNamespace<R, V extends Vm>(
  cluster: Cluster,
  namespace: string,
  refs: readonly FollowedRef[],
  options: FollowOptions<R, V>,
  ended: AbortSignal,
  results: Map<string, FollowResult<R>>,
): Promise<void> {
  const waiting = new Map(refs.map((ref) => [ref.name, ref]));
  const latest = new Map<string, V>();
  const finished = new AbortController();
  const settle = (ref: ObjectRef, result: FollowResult<R>): void => {
    waiting.delete(ref.name);
    results.set(refKey(ref), result);
    if (waiting.size === 0) finished.abort();
  };
  const look = (vm: V): void => {
    const ref = waiting.get(vm.name);
    if (ref === undefined) return;
    const uid = ref.uid ?? latest.get(vm.name)?.uid;
    if (uid !== undefined && vm.uid !== uid) return gone(vm.name);
    latest.set(vm.name, vm);
    options.onChange?.(vm);
    const verdict = options.decide(vm);
    if (verdict === undefined) return;
    settle(ref, 'done' in verdict ? { value: verdict.done } : { error: verdict.failed });
  };
  const gone = (name: string): void => {
    const ref = waiting.get(name);
    if (ref)
      settle(ref, { error: new VmopError('notFound', `VM ${name} was deleted meanwhile`, { vm: name }) });
  };
  const changes = watchVms(cluster, options.resource, {
    namespace,
    names: refs.map(({ name }) => name),
    signal: AbortSignal.any([options.signal, ended, finished.signal]),
  });
  for await (const change of changes) {
    if (change.type === 'synced') {
      const present = new Set(change.items.map((vm) => vm.name));
      change.items.forEach(look);
      for (const name of waiting.keys()) if (!present.has(name)) gone(name);
      if (options.timeoutMs <= 0) break;
    } else if (change.type === 'deleted') gone(change.item.name);
    else look(change.item);
    if (waiting.size === 0) return;
  }
  if (options.signal.aborted) return;
  for (const ref of waiting.values()) {
    const { state, hint, code = 'timeout' } = options.describe(latest.get(ref.name));
    const seconds = Math.round(options.timeoutMs / 100) / 10;
    settle(ref, {
      error: new VmopError(code, `${ref.name}: ${state} after ${seconds} s`, { hint, vm: ref.name }),
    });
  }
}
