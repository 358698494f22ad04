import { asArray, asObject, asString, isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { sameJson } from './json.ts';
import { metadataOf } from './metadata.ts';
import { ApiFailure } from './status.ts';

/**
 * Server-side apply, as far as a sandbox needs it: each manager owns the fields that it applied; what it no longer
 * applies goes, and what another manager applied with another value is a conflict. Lists are replaced whole, and
 * ordinary writes own nothing.
 */
export interface Application {
  manager: string;
  /** Takes over fields in conflict. */
  force: boolean;
  /** RFC 3339. */
  now: string;
}

export interface Applied {
  object: JsonObject;
  managedFields: JsonObject[];
}

/** The path of a field, as its names. */
type Path = readonly string[];

/** Names the object, so nobody owns them. */
const UNOWNED = ['apiVersion', 'kind', 'metadata.name', 'metadata.namespace'];

/** `live` is `{}` for an object that is not there yet. Throws a 409 for conflicts. */
export function applyConfiguration(
  live: JsonObject,
  configuration: JsonObject,
  { manager, force, now }: Application,
): Applied {
  const managers = asArray(metadataOf(live)['managedFields']).map(asObject);
  const mine = managers.find((entry) => entry['manager'] === manager);
  const others = managers.filter((entry) => entry !== mine);
  const fields = leavesOf(configuration).filter((path) => !UNOWNED.includes(path.join('.')));
  const conflicts = others.flatMap((entry) =>
    ownedBy(entry)
      .filter(
        (path) => includesPath(fields, path) && !sameJson(valueAt(live, path), valueAt(configuration, path)),
      )
      .map((path) => ({ manager: asString(entry['manager']) ?? '', path })),
  );
  if (conflicts.length > 0 && !force) throw conflictFailure(conflicts);
  const lost = conflicts.map(({ path }) => path);
  const stillOwned = others.flatMap(ownedBy);
  const dropped = ownedBy(mine).filter(
    (path) => !includesPath(fields, path) && !includesPath(stillOwned, path),
  );
  const object = mergeConfiguration(dropped.reduce(without, live), configuration);
  const entry = {
    manager,
    operation: 'Apply',
    apiVersion: configuration['apiVersion'],
    time: now,
    fieldsType: 'FieldsV1',
    fieldsV1: fieldsTree(fields),
  };
  const unchanged = mine && sameJson(mine['fieldsV1'], entry.fieldsV1) ? mine : entry;
  return { object: asObject(object), managedFields: [unchanged, ...disowned(others, lost)] };
}

function disowned(entries: readonly JsonObject[], lost: readonly Path[]): JsonObject[] {
  return entries
    .map((entry) => ({ entry, left: ownedBy(entry).filter((path) => !includesPath(lost, path)) }))
    .filter(({ left }) => left.length > 0)
    .map(({ entry, left }) => ({ ...entry, fieldsV1: fieldsTree(left) }));
}

/** Paths of all values that are no objects with something in them. */
function leavesOf(value: unknown, path: Path = []): Path[] {
  const entries = isObject(value) ? Object.entries(value) : [];
  if (entries.length === 0) return path.length === 0 ? [] : [path];
  return entries.flatMap(([name, child]) => leavesOf(child, [...path, name]));
}

function ownedBy(entry: JsonObject | undefined): Path[] {
  return leavesOf(entry?.['fieldsV1']).map((path) => path.map((name) => name.slice('f:'.length)));
}

function fieldsTree(paths: readonly Path[]): JsonObject {
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

function includesPath(paths: readonly Path[], path: Path): boolean {
  return paths.some((other) => sameJson(other, path));
}

function valueAt(object: JsonObject, path: Path): unknown {
  let value: unknown = object;
  for (const name of path) value = asObject(value)[name];
  return value;
}

function without(object: JsonObject, [name = '', ...rest]: Path): JsonObject {
  const { [name]: child, ...others } = object;
  if (rest.length === 0 || !isObject(child)) return others;
  return { ...others, [name]: without(child, rest) };
}

function mergeConfiguration(live: unknown, configuration: unknown): unknown {
  if (!isObject(configuration) || !isObject(live)) return configuration;
  const merged = Object.entries(configuration).map(
    ([name, value]) => [name, mergeConfiguration(live[name], value)] as const,
  );
  return { ...live, ...Object.fromEntries(merged) };
}

function conflictFailure(conflicts: readonly { manager: string; path: Path }[]): ApiFailure {
  const causes = conflicts.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with "${manager}"`,
    field: `.${path.join('.')}`,
  }));
  const list = causes.map(({ message, field }) => `${message}: ${field}`).join('\n');
  const message = `Apply failed with ${causes.length} conflict${causes.length === 1 ? '' : 's'}: ${list}`;
  return new ApiFailure(409, 'Conflict', message, { causes });
}
