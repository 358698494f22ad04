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
  const uid = headers['impersonate-uid']?.[0];
  const extra = extraOf(headers);
  if (username === undefined) {
    const alone = groups.length > 0 || uid !== undefined || Object.keys(extra).length > 0;
    if (alone) throw badRequest('groups, a uid or extra are impersonated without a user');
    return identity;
  }
  const wanted = [
    { group: '', resource: 'users', name: username },
    ...groups.map((name) => ({ group: '', resource: 'groups', name })),
    ...(uid === undefined ? [] : [{ group: AUTHENTICATION, resource: 'uids', name: uid }]),
    ...Object.entries(extra).flatMap(([subresource, values]) =>
      values.map((name) => ({ group: AUTHENTICATION, resource: 'userextras', subresource, name })),
    ),
  ];
  for (const subject of wanted) {
    const attributes = { ...subject, verb: 'impersonate' };
    if (!isAllowed(rules, identity, attributes)) throw forbidden(identity, attributes);
  }
  return {
    ...authenticated({ username, groups: groups.length > 0 ? groups : serviceAccountGroups(username) }),
    ...(uid === undefined ? {} : { uid }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}

const AUTHENTICATION = 'authentication.k8s.io';
const EXTRA_HEADER = 'impersonate-extra-';

/** By key, which the header's name holds percent-encoded. */
function extraOf(headers: Headers): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, values]) =>
      name.startsWith(EXTRA_HEADER) && values ? [[decoded(name.slice(EXTRA_HEADER.length)), values]] : [],
    ),
  );
}

/** What is no encoding stands for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The groups of a service account, which go with its name. */
function serviceAccountGroups(username: string): string[] {
  const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(username) ?? [];
  if (namespace === undefined) return [];
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
}
