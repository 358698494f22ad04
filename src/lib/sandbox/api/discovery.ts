import type { JsonObject } from '../../cluster/types.ts';
import { apiVersionOf, KINDS, VERBS, type Kind } from './kinds.ts';
import { REVIEWS } from './reviews.ts';
import { openapiV2, openapiV3, openapiV3Index } from './openapi.ts';

/** The Kubernetes version whose behaviour is followed; kubectl compares it with its own. */
const KUBERNETES_VERSION = { major: '1', minor: '35', gitVersion: 'v1.35.0+vmop-sandbox' };

/** The document at a path that is no resource; undefined where there is none. */
export function discoveryDocument(path: string): JsonObject | undefined {
  switch (path) {
    case '/version':
      return {
        ...KUBERNETES_VERSION,
        gitTreeState: 'clean',
        platform: `${process.platform}/${process.arch}`,
      };
    case '/api':
      return {
        kind: 'APIVersions',
        versions: ['v1'],
        serverAddressByClientCIDRs: [],
      };
    case '/apis':
      return { kind: 'APIGroupList', apiVersion: 'v1', groups: groupNames().map(apiGroup) };
    case '/openapi/v2':
      return openapiV2();
    case '/openapi/v3':
      return openapiV3Index(groupVersionPaths());
    default:
      return versionDocument(path);
  }
}

function versionDocument(path: string): JsonObject | undefined {
  const openapi = path.startsWith('/openapi/v3/') ? path.slice('/openapi/v3/'.length) : undefined;
  if (openapi !== undefined) {
    return groupVersionPaths().includes(openapi) ? openapiV3(kindsAt(openapi)) : undefined;
  }
  const [, root, group = '', version] = path.split('/');
  if (root === 'apis' && version === undefined) {
    return groupNames().includes(group) ? { apiVersion: 'v1', ...apiGroup(group) } : undefined;
  }
  const at = path.slice(1);
  return groupVersionPaths().includes(at) ? resourceList(at) : undefined;
}

/** Without the core group; in a stable order, VM-Operator's first. */
function groupNames(): string[] {
  const groups = [...KINDS.toReversed(), ...REVIEWS].map(({ group }) => group);
  return [...new Set(groups)].filter((group) => group !== '');
}

const VERSION = 'v1';

function groupVersionPaths(): string[] {
  return ['api/v1', ...groupNames().map((group) => `apis/${group}/${VERSION}`)];
}

function groupAt(path: string): string {
  return path === 'api/v1' ? '' : (path.split('/')[1] ?? '');
}

function kindsAt(path: string): Kind[] {
  return KINDS.filter(({ group }) => group === groupAt(path));
}

function apiGroup(group: string): JsonObject {
  const version = { groupVersion: `${group}/${VERSION}`, version: VERSION };
  return { kind: 'APIGroup', name: group, versions: [version], preferredVersion: version };
}

function resourceList(path: string): JsonObject {
  const group = groupAt(path);
  const reviews = REVIEWS.filter((review) => review.group === group).map(({ kind, plural }) => ({
    name: plural,
    singularName: kind.toLowerCase(),
    namespaced: false,
    kind,
    verbs: ['create'],
  }));
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version: VERSION }),
    resources: [...kindsAt(path).flatMap(apiResources), ...reviews],
  };
}

function apiResources({
  plural,
  singular,
  namespaced,
  kind,
  shortNames,
  categories,
  ...rest
}: Kind): JsonObject[] {
  const resources: JsonObject[] = [
    {
      name: plural,
      singularName: singular,
      namespaced,
      kind,
      verbs: VERBS,
      ...(shortNames.length > 0 ? { shortNames } : {}),
      ...(categories.length > 0 ? { categories } : {}),
    },
  ];
  const part = { singularName: '', namespaced, kind };
  if (rest.hasStatus)
    resources.push({ ...part, name: `${plural}/status`, verbs: ['get', 'patch', 'update'] });
  if (rest.hasLog) resources.push({ ...part, name: `${plural}/log`, verbs: ['get'] });
  if (rest.hasPortForward) {
    resources.push({
      ...part,
      name: `${plural}/portforward`,
      kind: 'PodPortForwardOptions',
      verbs: ['create', 'get'],
    });
  }
  return resources;
}
