import { asArray, asObject, isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { sameJson } from './json.ts';
import { metadataOf, SERVER_FIELDS } from './metadata.ts';

/** The path of a field, as its names. */
export type Path = readonly string[];

/** Who owns which fields: what becomes of `metadata.managedFields` when `before` becomes `after`. */
export type Owners = (before: JsonObject, after: JsonObject) => JsonObject[];

/** They name the object, or are the server's: nobody owns them. */
const UNOWNED = new Set([
  'apiVersion',
  'kind',
  ...['name', ...SERVER_FIELDS].map((field) => `metadata.${field}`),
]);

/** The entries of an object's `managedFields`. */
export function entriesOf(object: JsonObject): JsonObject[] {
  return asArray(metadataOf(object)['managedFields']).filter(isObject);
}

export interface Writer {
  manager: string;
  subresource: 'status' | undefined;
  /** RFC 3339. */
  now: string;
}

/** An ordinary write owns what it changes, and takes that from whoever owned it. Lists are owned whole. */
export function ownersAfterWrite({ manager, subresource, now }: Writer): Owners {
  return (before, after) => {
    const changed = ownableFields(after).filter(
      (path) => !sameJson(valueAt(before, path), valueAt(after, path)),
    );
    const entries = disowned(
      entriesOf(after),
      (path) => valueAt(after, path) === undefined || includesPath(changed, path),
    );
    if (changed.length === 0) return entries;
    const isMine = (entry: JsonObject): boolean =>
      entry['manager'] === manager && entry['operation'] === 'Update' && entry['subresource'] === subresource;
    const mine = {
      manager,
      operation: 'Update',
      apiVersion: after['apiVersion'],
      time: now,
      fieldsType: 'FieldsV1',
      fieldsV1: fieldsTree([...ownedBy(entries.find(isMine)), ...changed]),
      ...(subresource === undefined ? {} : { subresource }),
    };
    return [...entries.filter((entry) => !isMine(entry)), mine];
  };
}

/** Without the fields that are lost, and without who owns nothing else. */
export function disowned(entries: readonly JsonObject[], isLost: (path: Path) => boolean): JsonObject[] {
  return entries.flatMap((entry) => {
    const owned = ownedBy(entry);
    const left = owned.filter((path) => !isLost(path));
    if (left.length === owned.length) return [entry];
    return left.length === 0 ? [] : [{ ...entry, fieldsV1: fieldsTree(left) }];
  });
}

/** The fields of a configuration that can be owned: all values that are no objects with something in them. */
export function ownableFields(configuration: JsonObject): Path[] {
  return leavesOf(configuration).filter((path) => !UNOWNED.has(path.join('.')));
}

function leavesOf(value: unknown, path: Path = []): Path[] {
  const entries = isObject(value) ? Object.entries(value) : [];
  if (entries.length === 0) return path.length === 0 ? [] : [path];
  return entries.flatMap(([name, child]) => leavesOf(child, [...path, name]));
}

export function ownedBy(entry: JsonObject | undefined): Path[] {
  return leavesOf(entry?.['fieldsV1']).map((path) => path.map((name) => name.slice('f:'.length)));
}

export function fieldsTree(paths: readonly Path[]): JsonObject {
  const tree: JsonObject = {};
  for (const path of paths) {
    let node = tree;
    for (const name of path) {
      const child = asObject(node[`f:${name}`]);
      node[`f:${name}`] = child;
      node = child;
    }
  }
  return tree;
}

export function includesPath(paths: readonly Path[], path: Path): boolean {
  return paths.some(
    (other) => other.length === path.length && other.every((name, index) => name === path[index]),
  );
}

export function valueAt(object: JsonObject, path: Path): unknown {
  let value: unknown = object;
  for (const name of path) value = asObject(value)[name];
  return value;
}
