import { list } from './cel.ts';

/** Fields of an object that somebody may change, as a tree; `true` is a whole field. */
export interface ChangeableFields {
  [field: string]: ChangeableFields | true;
}

/**
 * CEL: whether `metadata.managedFields` says of every field but these that it belongs to whom it belonged before.
 * Otherwise one patch could make its sender an owner of spec.permissions, so that no other owner's withdrawal removes
 * anything, or nobody an owner of anything. Times do not count, and entries for these fields alone may come and go.
 */
export function ownersKept(changeable: ChangeableFields): string {
  const now = 'object.metadata.?managedFields.orValue([])';
  const before = 'oldObject.metadata.?managedFields.orValue([])';
  const each = (some: string, others: string): string =>
    `${some}.all(one, ${nothingBut('one', changeable)}\n  || ${others}.exists(other, ${sameOwner}\n    && ${same('one', 'other', changeable)}))`;
  return `${each(now, before)}\n  && ${each(before, now)}`;
}

const sameOwner = ['manager', 'operation', 'subresource', 'apiVersion']
  .map((field) => `one.?${field} == other.?${field}`)
  .join(' && ');

/** Each struct on the way to a changeable field, with those of its fields that are looked at by themselves. */
function levels(
  fields: ChangeableFields,
  path: readonly string[] = [],
): { path: readonly string[]; but: string[] }[] {
  const children = Object.entries(fields).map(([field, below]) => ({ key: `f:${field}`, below }));
  return [
    // "." is the struct itself, which whoever first sets one of its fields comes to own.
    { path, but: ['.', ...children.map(({ key }) => key)] },
    ...children.flatMap(({ key, below }) => (below === true ? [] : levels(below, [...path, key]))),
  ];
}

const at = (entry: string, path: readonly string[]): string =>
  `${entry}.?fieldsV1${path.map((key) => `[?${JSON.stringify(key)}]`).join('')}.orValue({})`;

function nothingBut(entry: string, fields: ChangeableFields): string {
  const others = levels(fields).map(({ path, but }) => `${at(entry, path)}.all(key, key in ${list(but)})`);
  return `(has(${entry}.fieldsV1) && ${others.join(' && ')})`;
}

function same(one: string, other: string, fields: ChangeableFields): string {
  return levels(fields)
    .map(({ path, but }) => {
      const [a, b] = [at(one, path), at(other, path)];
      const free = `key in ${list(but)}`;
      return `${a}.all(key, ${free} || (key in ${b} && ${a}[key] == ${b}[key]))\n    && ${b}.all(key, ${free} || key in ${a})`;
    })
    .join('\n    && ');
}
