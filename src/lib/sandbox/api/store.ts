import { asObject, asString } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';

/** One version of one object. Never changed: a write makes a new one. */
export interface StoredObject {
  /** `<namespace>/<name>`; the order of lists. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly version: number;
  readonly object: JsonObject;
  /** The object as JSON: made once, sent many times. */
  readonly text: string;
}

export interface StoreEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  version: number;
  /** The object after the change; for DELETED as it was last, with the version of its deletion. */
  current: StoredObject;
  /** What it was before; undefined for ADDED. */
  previous: StoredObject | undefined;
}

/** What is appended to the journal for one change. `object` is the whole object, with its new resourceVersion. */
export interface StoreRecord {
  collection: string;
  type: 'put' | 'delete';
  current: StoredObject;
}

interface Collection {
  /** Sorted by key. */
  objects: StoredObject[];
  /** Oldest first. */
  history: StoreEvent[];
  /** Version of the newest event that is no longer in `history`. */
  forgotten: number;
  listeners: Set<() => void>;
}

export interface StoreOptions {
  /** Events kept per collection. */
  history: number;
  /** Called before a change takes effect; when it throws, there is no change. */
  append?: ((record: StoreRecord) => void) | undefined;
  /** Where the version counter starts. */
  version?: number;
  /** What is there at the start, by collection. */
  objects?: ReadonlyMap<string, readonly JsonObject[]>;
}

/**
 * Objects by collection with one rising version for all, and the latest changes of each collection. Knows nothing of
 * kinds, HTTP or files.
 */
export class Store {
  readonly #collections = new Map<string, Collection>();
  readonly #historyLimit: number;
  readonly #append: StoreOptions['append'];
  /** Changes up to here are not known: they are from before the start. */
  readonly #start: number;
  #version: number;

  constructor({ history, append, version = 1, objects = new Map() }: StoreOptions) {
    this.#historyLimit = history;
    this.#append = append;
    this.#start = version;
    this.#version = version;
    for (const [collection, found] of objects) {
      const sorted = found.map(toStored).sort((a, b) => (a.key < b.key ? -1 : 1));
      this.#collection(collection).objects.push(...sorted);
    }
  }

  /** Version of the latest change anywhere. */
  get version(): number {
    return this.#version;
  }

  get(collection: string, namespace: string, name: string): StoredObject | undefined {
    const { objects } = this.#collection(collection);
    const key = keyOf(namespace, name);
    const found = objects[position(objects, key)];
    return found?.key === key ? found : undefined;
  }

  /** All objects, or those of a namespace, sorted by namespace and name. */
  list(collection: string, namespace?: string): StoredObject[] {
    return inNamespace(this.#collection(collection).objects, namespace);
  }

  /** The list as it was at a version; undefined when the changes since then are no longer known. */
  listAt(collection: string, version: number, namespace?: string): StoredObject[] | undefined {
    const events = this.eventsAfter(collection, version);
    if (events === undefined) return undefined;
    const objects = this.list(collection, namespace);
    for (const { current, previous } of events.toReversed()) {
      if (namespace !== undefined && current.namespace !== namespace) continue;
      const at = position(objects, current.key);
      const present = objects[at]?.key === current.key ? 1 : 0;
      objects.splice(at, present, ...(previous ? [previous] : []));
    }
    return objects;
  }

  /** Changes after a version, oldest first; undefined when some of them are no longer known. */
  eventsAfter(collection: string, version: number): StoreEvent[] | undefined {
    const { history, forgotten } = this.#collection(collection);
    if (version < forgotten || version > this.#version) return undefined;
    let from = history.length;
    while (from > 0 && (history[from - 1]?.version ?? 0) > version) from--;
    return history.slice(from);
  }

  /** Version of the collection's latest known change. */
  lastChange(collection: string): number {
    const { history, forgotten } = this.#collection(collection);
    return history.at(-1)?.version ?? forgotten;
  }

  /** Creates or replaces; the object gets the next resourceVersion. */
  put(collection: string, object: JsonObject): StoredObject {
    return this.#commit(collection, 'put', object);
  }

  /** Removes; the returned last state carries the version of the removal. */
  delete(collection: string, namespace: string, name: string): StoredObject | undefined {
    const existing = this.get(collection, namespace, name);
    return existing && this.#commit(collection, 'delete', existing.object);
  }

  /** Calls `listener` after each change of the collection until the returned function is called. */
  listen(collection: string, listener: () => void): () => void {
    const { listeners } = this.#collection(collection);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  #collection(name: string): Collection {
    let collection = this.#collections.get(name);
    if (collection === undefined) {
      collection = { objects: [], history: [], forgotten: this.#start, listeners: new Set() };
      this.#collections.set(name, collection);
    }
    return collection;
  }

  #commit(name: string, type: 'put' | 'delete', object: JsonObject): StoredObject {
    const version = this.#version + 1;
    const metadata = { ...asObject(object['metadata']), resourceVersion: String(version) };
    const current = toStored({ ...object, metadata });
    this.#append?.({ collection: name, type, current });
    this.#version = version;
    const collection = this.#collection(name);
    const at = position(collection.objects, current.key);
    const found = collection.objects[at];
    const previous = found?.key === current.key ? found : undefined;
    collection.objects.splice(at, previous ? 1 : 0, ...(type === 'put' ? [current] : []));
    const eventType = type === 'delete' ? 'DELETED' : previous ? 'MODIFIED' : 'ADDED';
    collection.history.push({ type: eventType, version, current, previous });
    if (collection.history.length > this.#historyLimit) {
      collection.forgotten = collection.history.shift()?.version ?? version;
    }
    for (const listener of collection.listeners) listener();
    return current;
  }
}

export function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** Index of the first object whose key is not less. */
function position(objects: readonly StoredObject[], key: string): number {
  let low = 0;
  let high = objects.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((objects[middle]?.key ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function inNamespace(objects: readonly StoredObject[], namespace: string | undefined): StoredObject[] {
  if (namespace === undefined) return [...objects];
  // '0' is the character after '/'.
  return objects.slice(position(objects, `${namespace}/`), position(objects, `${namespace}0`));
}

function toStored(object: JsonObject): StoredObject {
  const metadata = asObject(object['metadata']);
  const namespace = asString(metadata['namespace']) ?? '';
  const name = asString(metadata['name']) ?? '';
  const version = Number(metadata['resourceVersion']);
  return { key: keyOf(namespace, name), namespace, name, version, object, text: JSON.stringify(object) };
}
