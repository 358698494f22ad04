import type { Change, Cluster, Resource, Selection } from '../../cluster/types.ts';
import type { Observable } from './resources.ts';

export function keyOf({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}

/** Whether `a` is an older version than `b`; versions that are no numbers are never older. */
function isOlder(a: string, b: string): boolean {
  return /^\d+$/.test(a) && /^\d+$/.test(b) && BigInt(a) < BigInt(b);
}

/** The last known state of a selection of objects, by namespace and name. */
export class ObjectCache<T extends Observable> {
  readonly #objects = new Map<string, T>();
  /** The uid of the last object of each name that has gone: the answer to a write may come after the watch's word of its end. */
  readonly #gone = new Map<string, string>();

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** Takes over one's own write at once, before the watch brings it. */
  put(object: T): void {
    const key = keyOf(object);
    if (this.#gone.get(key) === object.uid) return;
    const known = this.#objects.get(key);
    if (known === undefined || !isOlder(object.resourceVersion, known.resourceVersion)) {
      this.#objects.set(key, object);
    }
  }

  /** Resolves to the objects that the change concerns, as they were last known. */
  apply(change: Change<T>): T[] {
    if (change.type === 'synced') {
      const gone = [...this.#objects.values()];
      const uids = new Set(change.items.map(({ uid }) => uid));
      for (const object of gone) if (!uids.has(object.uid)) this.#gone.set(keyOf(object), object.uid);
      this.#objects.clear();
      for (const item of change.items) this.#objects.set(keyOf(item), item);
      return [...gone, ...change.items];
    }
    const { item } = change;
    const key = keyOf(item);
    if (change.type !== 'deleted') this.put(item);
    else if (!isOlder(item.resourceVersion, this.#objects.get(key)?.resourceVersion ?? '')) {
      this.#objects.delete(key);
      this.#gone.set(key, item.uid);
    }
    return [item];
  }
}

export interface Following<T> extends Selection {
  signal: AbortSignal;
  /** After the first listing, and then for each change. */
  onChange: (change: Change<T>) => void;
  onTrouble: (reason: string) => void;
}

/** Watches until the signal aborts; rejects when the first listing fails. */
export async function follow<T>(
  cluster: Cluster,
  resource: Resource<T>,
  following: Following<T>,
): Promise<void> {
  const { namespace, labelSelector, signal, onChange, onTrouble } = following;
  const watch = { namespace, labelSelector, signal, onInterruption: onTrouble };
  for await (const change of cluster.watch(resource, watch)) onChange(change);
}
