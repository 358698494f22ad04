import { asObject, asString, isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { sameJson } from './json.ts';
import { disowned, entriesOf, fieldsTree, includesPath, ownableFields, ownedBy } from './managed-fields.ts';
import { valueAt, type Owners, type Path } from './managed-fields.ts';
import { ApiFailure } from './status.ts';

/**
 * Server-side apply, as far as a sandbox needs it: each manager owns the fields that it applied; what it no longer
 * applies goes, and what another one has written with another value is a conflict. Lists are replaced whole.
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
  owners: Owners;
}

/** `live` is `{}` for an object that is not there yet. Throws a 409 for conflicts. */
export function applyConfiguration(
  live: JsonObject,
  configuration: JsonObject,
  { manager, force, now }: Application,
): Applied {
  const entries = knownEntries(live, now);
  const mine = entries.find((entry) => entry['manager'] === manager && entry['operation'] === 'Apply');
  const others = entries.filter((entry) => entry !== mine);
  const fields = ownableFields(configuration);
  const conflicts = others.flatMap((entry) =>
    ownedBy(entry)
      .filter(
        (path) => includesPath(fields, path) && !sameJson(valueAt(live, path), valueAt(configuration, path)),
      )
      .map((path) => ({ entry, path })),
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
  const owners: Owners = (before, after) => [
    mine && sameJson(mine['fieldsV1'], entry.fieldsV1) && sameJson(before, after) ? mine : entry,
    ...disowned(others, (path) => includesPath(lost, path)),
  ];
  return { object: asObject(object), owners };
}

/** What nobody is known to have written is in conflict as well. */
function knownEntries(live: JsonObject, now: string): JsonObject[] {
  const entries = entriesOf(live);
  if (entries.length > 0 || Object.keys(live).length === 0) return entries;
  const fields = ownableFields(live).filter(([first]) => first !== 'status');
  return [
    {
      manager: 'before-first-apply',
      operation: 'Update',
      apiVersion: live['apiVersion'],
      time: now,
      fieldsType: 'FieldsV1',
      fieldsV1: fieldsTree(fields),
    },
  ];
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

function conflictFailure(conflicts: readonly { entry: JsonObject; path: Path }[]): ApiFailure {
  const causes = conflicts.map(({ entry, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${writerText(entry)}`,
    field: `.${path.join('.')}`,
  }));
  const list = causes.map(({ message, field }) => `${message}: ${field}`).join('\n');
  const message = `Apply failed with ${causes.length} conflict${causes.length === 1 ? '' : 's'}: ${list}`;
  return new ApiFailure(409, 'Conflict', message, { causes });
}

function writerText(entry: JsonObject): string {
  const text = (field: string): string => asString(entry[field]) ?? '';
  const subresource = text('subresource');
  const who = `"${text('manager')}"${subresource === '' ? '' : ` with subresource "${subresource}"`}`;
  return text('operation') === 'Update' ? `${who} using ${text('apiVersion')}` : who;
}
