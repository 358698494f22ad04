import type { AccessAttributes, Identity, JsonObject } from '../../cluster/types.ts';
import { ApiFailure, qualifiedName } from './status.ts';

/** Grants, as a Role and its binding in one. Nothing is forbidden by a rule. */
export interface PolicyRule {
  subjects: { users?: string[]; groups?: string[] };
  /** `*`: all. */
  verbs: string[];
  apiGroups: string[];
  /** `vms`, `vms/status`, `*` for all with their subresources. */
  resources: string[];
  /** Absent: all. Lists, watches and deletions of many then need a field selector for the name. */
  resourceNames?: string[];
  /** Absent: all, and what is in no namespace. */
  namespaces?: string[];
}

const MASTERS = 'system:masters';
export const AUTHENTICATED = 'system:authenticated';

/** What holds whatever the options say. */
const BASE_RULES: readonly PolicyRule[] = [
  { subjects: { groups: [MASTERS] }, verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  {
    subjects: { groups: [AUTHENTICATED] },
    verbs: ['create'],
    apiGroups: ['authentication.k8s.io'],
    resources: ['selfsubjectreviews'],
  },
  {
    subjects: { groups: [AUTHENTICATED] },
    verbs: ['create'],
    apiGroups: ['authorization.k8s.io'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
  },
];

/** Paths that everybody may read who is somebody. */
const DISCOVERY_PATHS = ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*', '/version'];
/** Paths that nobody needs a token for. */
export const PUBLIC_PATHS = ['/healthz', '/livez', '/readyz', '/version'];

function includes(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

function concerns({ subjects }: PolicyRule, { username, groups }: Identity): boolean {
  return (
    (subjects.users?.includes(username) ?? false) ||
    (subjects.groups?.some((group) => groups.includes(group)) ?? false)
  );
}

function grants(rule: PolicyRule, attributes: AccessAttributes): boolean {
  const { group, resource, subresource, verb, namespace, name } = attributes;
  const full = subresource ? `${resource}/${subresource}` : resource;
  return (
    includes(rule.verbs, verb) &&
    includes(rule.apiGroups, group) &&
    (includes(rule.resources, full) ||
      (subresource !== undefined && rule.resources.includes(`*/${subresource}`))) &&
    (rule.resourceNames === undefined || (name !== undefined && rule.resourceNames.includes(name))) &&
    (rule.namespaces === undefined || (namespace !== undefined && includes(rule.namespaces, namespace)))
  );
}

export function isAllowed(
  rules: readonly PolicyRule[],
  identity: Identity,
  attributes: AccessAttributes,
): boolean {
  return [...BASE_RULES, ...rules].some((rule) => concerns(rule, identity) && grants(rule, attributes));
}

/** Whether a path that is no resource may be read: discovery for everybody, the rest for administrators. */
export function isPathAllowed(identity: Identity, verb: string, path: string): boolean {
  if (identity.groups.includes(MASTERS)) return true;
  return (
    verb === 'get' &&
    [...DISCOVERY_PATHS, ...PUBLIC_PATHS].some((allowed) =>
      allowed.endsWith('/*') ? path.startsWith(allowed.slice(0, -1)) : path === allowed,
    )
  );
}

/** The `status` of a SelfSubjectRulesReview. */
export function rulesReview(rules: readonly PolicyRule[], identity: Identity, namespace: string): JsonObject {
  const holding = [...BASE_RULES, ...rules].filter(
    (rule) =>
      concerns(rule, identity) && (rule.namespaces === undefined || includes(rule.namespaces, namespace)),
  );
  return {
    resourceRules: holding.map(({ verbs, apiGroups, resources, resourceNames }) => ({
      verbs,
      apiGroups,
      resources,
      ...(resourceNames ? { resourceNames } : {}),
    })),
    nonResourceRules: [
      identity.groups.includes(MASTERS)
        ? { verbs: ['*'], nonResourceURLs: ['*'] }
        : { verbs: ['get'], nonResourceURLs: [...new Set([...DISCOVERY_PATHS, ...PUBLIC_PATHS])] },
    ],
    incomplete: false,
  };
}

/** The 403, in the words of Kubernetes' own authorizers. */
export function forbidden(identity: Identity, attributes: AccessAttributes): ApiFailure {
  const { group, resource, subresource, verb, namespace, name = '' } = attributes;
  const subject = { group, resource, name };
  const full = subresource ? `${resource}/${subresource}` : resource;
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  const what = qualifiedName(subject) + (name === '' ? '' : ` "${name}"`);
  const message =
    `${what} is forbidden: User "${identity.username}" cannot ${verb} resource "${full}" ` +
    `in API group "${group}" ${scope}`;
  return new ApiFailure(403, 'Forbidden', message, { subject });
}

export function forbiddenPath(identity: Identity, verb: string, path: string): ApiFailure {
  const message = `forbidden: User "${identity.username}" cannot ${verb} path "${path}"`;
  return new ApiFailure(403, 'Forbidden', message);
}
