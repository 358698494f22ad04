import { isStatus } from '../cluster/api-error.ts';
import type { Cluster, KubeObject, ObjectMeta } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { inParallel } from '../parallel.ts';
import { accessDifferences } from './compare.ts';
import { accessPolicies, namespaceBindingName, VMS_POLICY } from './policies/index.ts';
import { policyOptionsOf, type PolicyOptions } from './policies/options.ts';
import {
  ACCESS_KINDS,
  ACCESS_RESOURCES,
  GRANTEE_ANNOTATION,
  NAMESPACE_LABEL,
  OWNED_LABELS,
  type AccessObject,
} from './types.ts';

/** What is to be done to one object so that the API server enforces spec.permissions. */
export interface AccessStep {
  kind: AccessObject['kind'];
  /** Empty for a cluster-scoped object. */
  namespace: string;
  name: string;
  /** For whom a Role is: `user alice`. */
  grantee: string | undefined;
  /** `foreign`: somebody else's object has the name, and says something else. */
  state: 'missing' | 'different' | 'same' | 'unwanted' | 'foreign';
  /** Where it is different. */
  differences: string[];
  /** undefined: it is to go. */
  wanted: AccessObject | undefined;
}

export interface AccessScope {
  /** undefined: all namespaces. */
  namespace: string | undefined;
  /** Whether the admission policies are part of it. */
  policies: boolean;
  /** Prune only what is for these grantees; undefined: all that is not wanted. */
  grantees: ReadonlySet<string> | undefined;
}

type Kind = AccessObject['kind'];

const keyOf = (kind: Kind, namespace: string, name: string): string => `${kind}/${namespace}/${name}`;

/** What the cluster has that vmop owns, compared with what it should have. Errors: see `readKind`. */
export async function planAccess(
  cluster: Cluster,
  wanted: readonly AccessObject[],
  scope: AccessScope,
): Promise<AccessStep[]> {
  const kinds = ACCESS_KINDS.filter((kind) => scope.policies || ACCESS_RESOURCES[kind].namespaced);
  const there = new Map<string, { kind: Kind; object: KubeObject }>();
  for (const { kind, items } of await Promise.all(kinds.map((kind) => readKind(cluster, kind, scope)))) {
    for (const object of items) {
      const { name, namespace = '' } = object.metadata;
      there.set(keyOf(kind, namespace, name), { kind, object });
    }
  }
  const steps = wanted.map((object): AccessStep => {
    const { name, namespace = '', annotations = {} } = object.metadata;
    const actual = there.get(keyOf(object.kind, namespace, name))?.object;
    there.delete(keyOf(object.kind, namespace, name));
    const differences = actual === undefined ? [] : accessDifferences(object, actual);
    const state = stateOf(object.kind, actual, differences);
    const grantee = annotations[GRANTEE_ANNOTATION];
    return { kind: object.kind, namespace, name, grantee, state, differences, wanted: object };
  });
  const unwanted = [...there.values()].flatMap(({ kind, object: { metadata } }): AccessStep[] => {
    const { name, namespace = '', annotations = {} } = metadata;
    const grantee = annotations[GRANTEE_ANNOTATION];
    if (!isOwned(metadata) || !isInScope(kind, metadata, scope)) return [];
    return [{ kind, namespace, name, grantee, state: 'unwanted', differences: [], wanted: undefined }];
  });
  return [...steps, ...unwanted];
}

function isOwned({ labels = {} }: ObjectMeta): boolean {
  return Object.entries(OWNED_LABELS).every(([key, value]) => labels[key] === value);
}

/** What allows is not taken over where it allows something else; what limits can only limit more. */
function stateOf(kind: Kind, actual: KubeObject | undefined, differences: string[]): AccessStep['state'] {
  if (actual === undefined) return 'missing';
  if (differences.length === 0) return 'same';
  const saysElse = differences.some((one) => !one.startsWith('metadata.'));
  const foreign = ACCESS_RESOURCES[kind].namespaced && saysElse && !isOwned(actual.metadata);
  return foreign ? 'foreign' : 'different';
}

/** Whether the wanted objects would name this one, were it wanted. */
function isInScope(kind: Kind, { labels = {}, annotations = {} }: ObjectMeta, scope: AccessScope): boolean {
  if (scope.grantees !== undefined) return scope.grantees.has(annotations[GRANTEE_ANNOTATION] ?? '');
  const namespace = labels[NAMESPACE_LABEL];
  const everywhere = scope.namespace === undefined || namespace === undefined;
  return ACCESS_RESOURCES[kind].namespaced || everywhere || namespace === scope.namespace;
}

/** The options with which the cluster's policies were made; undefined where there are none, or none may be read. */
export async function readPolicyOptions(cluster: Cluster): Promise<PolicyOptions | undefined> {
  const ref = { namespace: '', name: VMS_POLICY };
  try {
    return policyOptionsOf(await cluster.get(ACCESS_RESOURCES.ValidatingAdmissionPolicy, ref));
  } catch (error) {
    if (isStatus(error, 404) || isStatus(error, 403)) return undefined;
    throw error;
  }
}

/** Whether the policies limit anybody in the namespace; false where one may not look. */
export async function isAccessApplied(cluster: Cluster, namespace: string): Promise<boolean> {
  const ref = { namespace: '', name: namespaceBindingName(namespace) };
  try {
    await cluster.get(ACCESS_RESOURCES.ValidatingAdmissionPolicyBinding, ref);
    return true;
  } catch {
    return false;
  }
}

/**
 * What of the policies that limit the namespaces is missing or different; undefined where one may not look. Without
 * them a Role lets its user change every field of what it names.
 */
export async function missingLimits(
  cluster: Cluster,
  namespaces: readonly string[],
  options: PolicyOptions,
): Promise<string[] | undefined> {
  try {
    const found = await inParallel(accessPolicies([], namespaces, options), 8, async (object) => {
      const { kind, metadata } = object;
      const { name } = metadata;
      const what = `${kind} ${name}`;
      try {
        const actual = await cluster.get(ACCESS_RESOURCES[kind], { namespace: '', name });
        return accessDifferences(object, actual).length > 0 ? [`${what} is different`] : [];
      } catch (error) {
        if (isStatus(error, 404)) return [`${what} is missing`];
        throw error;
      }
    });
    return found.flat();
  } catch (error) {
    if (isStatus(error, 403)) return undefined;
    throw error;
  }
}

/**
 * All of a kind, since a name may be somebody else's already. Errors: `notFound` when the API server does not know the
 * kind, `forbidden` when it may not be read.
 */
async function readKind(
  cluster: Cluster,
  kind: Kind,
  scope: AccessScope,
): Promise<{ kind: Kind; items: KubeObject[] }> {
  const resource = ACCESS_RESOURCES[kind];
  const namespace = resource.namespaced ? scope.namespace : undefined;
  try {
    const { items } = await cluster.list(resource, { namespace });
    return { kind, items };
  } catch (error) {
    throw explainAccessError(cluster, kind, error);
  }
}

/** What keeps somebody from the objects, in words that say what to do. */
export function explainAccessError(cluster: Cluster, kind: Kind, error: unknown): unknown {
  const clusterScoped = !ACCESS_RESOURCES[kind].namespaced;
  const hint = clusterScoped
    ? '--no-policies leaves the admission policies to somebody who may change the cluster; without them a Role lets its user change every field of a VM'
    : 'whoever applies Roles must be an administrator of the namespace';
  if (isStatus(error, 404)) {
    const what = `cluster "${cluster.context.cluster}" knows no ${ACCESS_RESOURCES[kind].plural}`;
    const since = clusterScoped ? ': they came with Kubernetes 1.30' : '';
    return new VmopError('notFound', `${what}${since}`, { hint, cause: error });
  }
  if (!isStatus(error, 403)) return error;
  return new VmopError('forbidden', error.message, { hint, cause: error });
}
