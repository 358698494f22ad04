import { isStatus } from '../cluster/api-error.ts';
import type { Cluster, KubeObject, ObjectMeta } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { accessDifferences } from './compare.ts';
import { namespaceBindingName, VMS_POLICY } from './policies/index.ts';
import { policyOptionsOf, type PolicyOptions } from './policies/options.ts';
import {
  ACCESS_KINDS,
  ACCESS_RESOURCES,
  FIELD_MANAGER,
  GRANTEE_ANNOTATION,
  NAMESPACE_LABEL,
  OWNED_SELECTOR,
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
  state: 'missing' | 'different' | 'same' | 'unwanted';
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

/** What the cluster has that vmop owns, compared with what it should have. Errors: see `readOwned`. */
export async function planAccess(
  cluster: Cluster,
  wanted: readonly AccessObject[],
  scope: AccessScope,
): Promise<AccessStep[]> {
  const kinds = ACCESS_KINDS.filter((kind) => scope.policies || ACCESS_RESOURCES[kind].namespaced);
  const owned = new Map<string, { kind: Kind; object: KubeObject }>();
  for (const { kind, items } of await Promise.all(kinds.map((kind) => readOwned(cluster, kind, scope)))) {
    for (const object of items) {
      const { name, namespace = '' } = object.metadata;
      owned.set(keyOf(kind, namespace, name), { kind, object });
    }
  }
  const steps = wanted.map((object): AccessStep => {
    const { name, namespace = '', annotations = {} } = object.metadata;
    const actual = owned.get(keyOf(object.kind, namespace, name))?.object;
    owned.delete(keyOf(object.kind, namespace, name));
    const differences = actual === undefined ? [] : accessDifferences(object, actual);
    const state = actual === undefined ? 'missing' : differences.length > 0 ? 'different' : 'same';
    const grantee = annotations[GRANTEE_ANNOTATION];
    return { kind: object.kind, namespace, name, grantee, state, differences, wanted: object };
  });
  const unwanted = [...owned.values()].flatMap(({ kind, object: { metadata } }): AccessStep[] => {
    const { name, namespace = '', annotations = {} } = metadata;
    const grantee = annotations[GRANTEE_ANNOTATION];
    if (!isInScope(kind, metadata, scope)) return [];
    return [{ kind, namespace, name, grantee, state: 'unwanted', differences: [], wanted: undefined }];
  });
  return [...steps, ...unwanted];
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

/** Errors: `notFound` when the API server does not know the kind, `forbidden` when it may not be read. */
async function readOwned(
  cluster: Cluster,
  kind: Kind,
  scope: AccessScope,
): Promise<{ kind: Kind; items: KubeObject[] }> {
  const resource = ACCESS_RESOURCES[kind];
  const namespace = resource.namespaced ? scope.namespace : undefined;
  try {
    const { items } = await cluster.list(resource, { namespace, labelSelector: OWNED_SELECTOR });
    return { kind, items };
  } catch (error) {
    throw explained(cluster, kind, error);
  }
}

/** What keeps somebody from the objects, in words that say what to do. */
function explained(cluster: Cluster, kind: Kind, error: unknown): unknown {
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

/** Carries one step out: server-side apply with vmop's own field manager, or deletion. */
export async function applyStep(cluster: Cluster, step: AccessStep, dryRun: boolean): Promise<void> {
  const { kind, namespace, name, wanted, state } = step;
  const resource = ACCESS_RESOURCES[kind];
  const ref = { namespace, name };
  try {
    if (wanted === undefined) await cluster.delete(resource, ref, { dryRun });
    else if (state !== 'same') {
      const { apiVersion, metadata, ...contents } = wanted;
      const object = { apiVersion, metadata, ...contents };
      // What vmop owns it owns whole: somebody's change of it is drift.
      const patch = { type: 'apply', object, fieldManager: FIELD_MANAGER, force: true } as const;
      await cluster.patch(resource, ref, patch, { dryRun });
    }
  } catch (error) {
    if (wanted === undefined && isStatus(error, 404)) return;
    throw explained(cluster, kind, error);
  }
}
