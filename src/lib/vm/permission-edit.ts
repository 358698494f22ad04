import { asArray, asObject, isObject } from '../cluster/parse.ts';
import type { JsonObject, KubeObject, Patch } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { isUnsafe } from '../text.ts';
import { PERMISSIONS, type Permission } from './types.ts';

/** Whom an entry of `spec.permissions` is for. */
export type Grantee = { user: string } | { role: string };

/** VMs and pools have the same list, but a pool knows takeConsole only as a part of `*`, and has a default for `may`. */
export type PermissionsOwner = 'vm' | 'pool';

export interface PermissionChange {
  action: 'grant' | 'revoke';
  grantee: Grantee;
  /** `*`: all of them. */
  may: readonly (Permission | '*')[];
}

const LONGEST_NAME = 253;

/** Exactly one of the two, as OIDC and LDAP name them. Error: `usage`. */
export function parseGrantee(user: string | undefined, role: string | undefined): Grantee {
  const name = user ?? role;
  if (name === undefined || (user !== undefined && role !== undefined)) {
    throw new VmopError('usage', 'a permission is for one user or one role: --user or --role');
  }
  if (name === '' || name !== name.trim() || name.length > LONGEST_NAME || isUnsafe(name)) {
    throw new VmopError('usage', `not the name of a user or a role: ${JSON.stringify(name)}`, {
      hint: `1 to ${LONGEST_NAME} characters, no control characters, no space at either end`,
    });
  }
  return user === undefined ? { role: name } : { user: name };
}

/** As `vmop list` shows them. */
const SHORT: Record<string, Permission> = { console: 'accessConsole', take: 'takeConsole' };

/** `start,stop`, `console`, `*`; several of them. Error: `usage`. */
export function parsePermissions(texts: readonly string[]): (Permission | '*')[] {
  const words = texts.flatMap((text) => text.split(',')).map((word) => word.trim());
  const known = [...PERMISSIONS, '*' as const];
  const unknown = words.find((word) => !known.some((one) => one === word) && !Object.hasOwn(SHORT, word));
  if (unknown !== undefined) {
    throw new VmopError('usage', `not a permission: ${JSON.stringify(unknown)}`, {
      hint: `there are: ${PERMISSIONS.join(', ')}, * for all; console and take for the last two`,
    });
  }
  return known.filter((one) => words.some((word) => word === one || SHORT[word] === one));
}

/** What can be granted on a VM, but not on a pool. Error: `usage`. */
export function refuseOnPool({ action, may }: PermissionChange): void {
  if (action === 'revoke' || !may.includes('takeConsole')) return;
  throw new VmopError('usage', 'a pool knows no takeConsole of its own', {
    hint: "only all permissions together include it: --may '*'",
  });
}

/** What the grantee's entries give, as written: also what vmop does not know. */
export function entriesOf(permissions: unknown, grantee: Grantee, owner: PermissionsOwner): string[] {
  const may = asArray(permissions)
    .filter((entry) => isFor(entry, grantee))
    .flatMap((entry) => mayOf(entry, owner));
  return [...new Set(may)];
}

/**
 * `spec.permissions` after the change; undefined when it changes nothing. The grantee's entries become one, and none
 * where nothing is left; those of others, their order, and fields that are not known here stay.
 */
export function editPermissions(
  permissions: unknown,
  change: PermissionChange,
  owner: PermissionsOwner,
): unknown[] | undefined {
  if (permissions !== undefined && !Array.isArray(permissions)) {
    throw new VmopError('failed', 'spec.permissions is not a list', { hint: 'mend it first: kubectl edit' });
  }
  const entries = asArray(permissions);
  const before = entriesOf(entries, change.grantee, owner);
  const after =
    change.action === 'grant' ? withGranted(before, change.may) : withoutRevoked(before, change.may, owner);
  const there = entries.some((entry) => isFor(entry, change.grantee));
  if (
    after.length === before.length &&
    after.every((one) => before.includes(one)) &&
    (there || after.length === 0)
  ) {
    return undefined;
  }
  const mine = entries.filter((entry) => isFor(entry, change.grantee)).map(asObject);
  // Of fields that are not known here the first entry's count.
  const others = mine.reduceRight<JsonObject>((all, entry) => ({ ...all, ...entry }), { ...change.grantee });
  const merged = { ...others, may: after };
  const first = entries.findIndex((entry) => isFor(entry, change.grantee));
  if (first === -1) return [...entries, merged];
  return entries.flatMap((entry, index) => {
    if (!isFor(entry, change.grantee)) return [entry];
    return index === first && after.length > 0 ? [merged] : [];
  });
}

/** The write of an edit, made only if nobody changed the object since it was read. */
export function permissionsPatch(
  { metadata, ...object }: KubeObject,
  change: PermissionChange,
  owner: PermissionsOwner,
): Patch | undefined {
  const permissions = editPermissions(asObject(object['spec'])['permissions'], change, owner);
  if (permissions === undefined) return undefined;
  const { resourceVersion } = metadata;
  return { type: 'merge', body: { metadata: { resourceVersion }, spec: { permissions } } };
}

function isFor(entry: unknown, grantee: Grantee): boolean {
  if (!isObject(entry)) return false;
  return 'user' in grantee
    ? entry['user'] === grantee.user && entry['role'] === undefined
    : entry['role'] === grantee.role && entry['user'] === undefined;
}

function mayOf(entry: unknown, owner: PermissionsOwner): string[] {
  const { may } = asObject(entry);
  if (may === undefined && owner === 'pool') return ['accessConsole'];
  return asArray(may).filter((one) => typeof one === 'string');
}

function withGranted(before: readonly string[], may: PermissionChange['may']): string[] {
  if (before.includes('*')) return [...before];
  return may.includes('*') ? ['*'] : [...new Set([...before, ...may])];
}

function withoutRevoked(
  before: readonly string[],
  may: PermissionChange['may'],
  owner: PermissionsOwner,
): string[] {
  if (may.includes('*')) return [];
  const revoked = new Set<string>(may);
  // Whoever may take a console over may open it: to end the one, both have to go.
  if (owner === 'vm' && revoked.has('accessConsole')) revoked.add('takeConsole');
  const touchesAll = before.includes('*') && revoked.size > 0;
  const all = PERMISSIONS.filter((one) => owner === 'vm' || one !== 'takeConsole');
  const held = touchesAll ? [...new Set([...before.filter((one) => one !== '*'), ...all])] : before;
  return held.filter((one) => !revoked.has(one));
}
