import { list, text } from './cel.ts';

/** Fields of an object that somebody may change, as a tree; `true` is a whole field, without fields of its own. */
export interface ChangeableFields {
  [field: string]: ChangeableFields | true;
}

const NOW = 'object.metadata.?managedFields.orValue([])';
const BEFORE = 'oldObject.metadata.?managedFields.orValue([])';

/**
 * How many may own one field by server-side apply, which shares fields. An update takes the field from all others, so
 * that who changes its value never meets this limit, and there is one owner by update.
 */
const MOST_OWNERS = { Apply: 16, Update: 1 };

/**
 * CEL: whether `metadata.managedFields` says of every field but these that it belongs to whom it belonged before.
 * Otherwise one patch could make its sender an owner of spec.permissions, so that no other owner's withdrawal removes
 * anything, or nobody an owner of anything. Times do not count, and entries for these fields alone may come and go: one
 * at a time, and only so many that nobody can make the list too long for others, or for the policy itself.
 */
export function ownersKept(changeable: ChangeableFields): string {
  const each = (some: string, others: string, own: string): string =>
    `${some}.all(one, (${own})\n  || ${others}.exists(other, ${SAME_OWNER}\n    && ${same('one', 'other', changeable)}))`;
  const nothing = nothingBut('one', changeable);
  const something = leaves(changeable).map((path) => has('one', path));
  return [
    `size(${NOW}) <= size(${BEFORE}) + 1`,
    ...leaves(changeable).map(fewOwners),
    each(NOW, BEFORE, `${nothing} && (${something.join(' || ')})`),
    each(BEFORE, NOW, nothing),
  ].join('\n  && ');
}

/** CEL: whether one of the fields, e.g. `['spec', 'vm', 'state']`, belongs to whom it belonged before. */
export function ownersOfFieldKept(field: readonly string[]): string {
  const path = field.map((name) => `f:${name}`);
  const each = (some: string, others: string): string =>
    `${some}.all(one, !${has('one', path)} || ${others}.exists(other, ${SAME_OWNER} && ${has('other', path)}))`;
  return `${each(NOW, BEFORE)}\n  && ${each(BEFORE, NOW)}`;
}

const SAME_OWNER = ['manager', 'operation', 'subresource', 'apiVersion']
  .map((field) => `one.?${field} == other.?${field}`)
  .join(' && ');

/** The paths of the changeable fields. */
function leaves(fields: ChangeableFields, path: readonly string[] = []): string[][] {
  return Object.entries(fields).flatMap(([field, below]) => {
    const here = [...path, `f:${field}`];
    return below === true ? [here] : leaves(below, here);
  });
}

/** Each struct on the way to a changeable field, and which of its fields are looked at by themselves. */
function levels(
  fields: ChangeableFields,
  path: readonly string[] = [],
): { path: readonly string[]; isFree: string }[] {
  const children = Object.entries(fields).map(([field, below]) => ({ key: `f:${field}`, below }));
  return [
    { path, isFree: `key in ${list(['.', ...children.map(({ key }) => key)])}` },
    ...children.flatMap(({ key, below }) => (below === true ? [] : levels(below, [...path, key]))),
  ];
}

/** Whether a struct comes or goes as a whole: only then does it get another owner. */
function comesOrGoes(path: readonly string[]): string {
  const field = path.map((key) => `.?${key.slice('f:'.length)}`).join('');
  return `!object${field}.hasValue() || !oldObject${field}.hasValue()`;
}

/** Whether an entry has the struct itself: "." beside fields of it, and nothing at all where it has none of them. */
function hasStruct(entry: string, path: readonly string[]): string {
  return `("." in ${at(entry, path)} || (${has(entry, path)} && size(${at(entry, path)}) == 0))`;
}

const optionalAt = (entry: string, path: readonly string[]): string =>
  `${entry}.?fieldsV1${path.map((key) => `[?${text(key)}]`).join('')}`;
const at = (entry: string, path: readonly string[]): string => `${optionalAt(entry, path)}.orValue({})`;
const has = (entry: string, path: readonly string[]): string => `${optionalAt(entry, path)}.hasValue()`;

function fewOwners(path: readonly string[]): string {
  const owners = (some: string, operation: string): string =>
    `size(${some}.filter(one, one.?operation.orValue("") == ${text(operation)} && ${has('one', path)}))`;
  return [
    // What would be below it no update would take away.
    `${NOW}.all(one, size(${at('one', path)}) == 0)`,
    ...Object.entries(MOST_OWNERS).map(
      ([operation, most]) =>
        `(${owners(NOW, operation)} <= ${most} || ${owners(NOW, operation)} <= ${owners(BEFORE, operation)})`,
    ),
  ].join('\n  && ');
}

function nothingBut(entry: string, fields: ChangeableFields): string {
  const others = levels(fields).flatMap(({ path, isFree }) => [
    `${at(entry, path)}.all(key, ${isFree})`,
    ...(path.length === 0 ? [] : [`(${comesOrGoes(path)} || !${hasStruct(entry, path)})`]),
  ]);
  return `has(${entry}.fieldsV1) && ${others.join('\n    && ')}`;
}

function same(one: string, other: string, fields: ChangeableFields): string {
  return levels(fields)
    .flatMap(({ path, isFree }) => {
      const [a, b] = [at(one, path), at(other, path)];
      return [
        `${a}.all(key, ${isFree} || (key in ${b} && ${a}[key] == ${b}[key]))`,
        `${b}.all(key, ${isFree} || key in ${a})`,
        ...(path.length === 0
          ? []
          : [`(${comesOrGoes(path)} || ${hasStruct(one, path)} == ${hasStruct(other, path)})`]),
      ];
    })
    .join('\n    && ');
}
