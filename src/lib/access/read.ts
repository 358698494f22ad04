import { isStatus } from '../cluster/api-error.ts';
import type { Cluster } from '../cluster/types.ts';
import { inParallel } from '../parallel.ts';
import { accessDifferences } from './compare.ts';
import { explainAccessError } from './explain.ts';
import type { AccessScope, FoundObject } from './plan.ts';
import { accessPolicies, namespaceBindingName, VMS_POLICY } from './policies/index.ts';
import { policyOptionsOf, type PolicyOptions } from './policies/options.ts';
import { ACCESS_KINDS, ACCESS_RESOURCES } from './types.ts';

/**
 * All that the cluster has of the kinds, since a name may be somebody else's already. Errors: `notFound` when the API
 * server does not know a kind, `forbidden` when it may not be read.
 */
export async function readAccess(
  cluster: Cluster,
  { namespace, policies }: Pick<AccessScope, 'namespace' | 'policies'>,
): Promise<FoundObject[]> {
  const kinds = ACCESS_KINDS.filter((kind) => policies || ACCESS_RESOURCES[kind].namespaced);
  const found = await Promise.all(
    kinds.map(async (kind): Promise<FoundObject[]> => {
      const resource = ACCESS_RESOURCES[kind];
      try {
        const where = { namespace: resource.namespaced ? namespace : undefined };
        const { items } = await cluster.list(resource, where);
        return items.map((object) => ({ kind, object }));
      } catch (error) {
        throw explainAccessError(cluster, kind, error);
      }
    }),
  );
  return found.flat();
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
