import { createHash } from 'node:crypto';
import type { Identity } from '../../cluster/types.ts';
import { AUTHENTICATED, forbidden, isAllowed, type PolicyRule } from './authorize.ts';
import { badRequest, unauthorized } from './status.ts';

/** Headers as Node gives them in `headersDistinct`. */
export type Headers = Readonly<Record<string, string[] | undefined>>;

/** Finds who sent a request. */
export type Authenticator = (headers: Headers) => Identity;

/** Throws a 401 for a missing or unknown token, a 403 for an impersonation that the rules do not grant. */
export function authenticator(
  tokens: Readonly<Record<string, Identity>>,
  rules: readonly PolicyRule[],
): Authenticator {
  // Looked up by hash, so that the time taken says nothing about a token.
  const users = new Map(Object.entries(tokens).map(([token, identity]) => [hash(token), identity]));
  return (headers) => {
    const [, token] = /^bearer +(\S+)$/i.exec(headers['authorization']?.[0] ?? '') ?? [];
    const known = token === undefined ? undefined : users.get(hash(token));
    if (known === undefined) throw unauthorized();
    return impersonated(headers, rules, authenticated(known));
  };
}

function hash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function authenticated({ username, groups }: Identity): Identity {
  return { username, groups: [...new Set([...groups, AUTHENTICATED])] };
}

function impersonated(headers: Headers, rules: readonly PolicyRule[], identity: Identity): Identity {
  const username = headers['impersonate-user']?.[0];
  const groups = headers['impersonate-group'] ?? [];
  if (username === undefined) {
    if (groups.length > 0) throw badRequest('groups are impersonated without a user');
    return identity;
  }
  const wanted = [
    { resource: 'users', name: username },
    ...groups.map((name) => ({ resource: 'groups', name })),
  ];
  for (const subject of wanted) {
    const attributes = { ...subject, group: '', verb: 'impersonate' };
    if (!isAllowed(rules, identity, attributes)) throw forbidden(identity, attributes);
  }
  return authenticated({ username, groups: groups.length > 0 ? groups : serviceAccountGroups(username) });
}

/** The groups of a service account, which go with its name. */
function serviceAccountGroups(username: string): string[] {
  const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(username) ?? [];
  if (namespace === undefined) return [];
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
}
