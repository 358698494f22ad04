import { isStatus } from '../cluster/api-error.ts';
import type { Cluster } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { ACCESS_RESOURCES, type AccessObject } from './types.ts';

/** What keeps somebody from the objects, in words that say what to do. */
export function explainAccessError(
  cluster: Pick<Cluster, 'context'>,
  kind: AccessObject['kind'],
  error: unknown,
): unknown {
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
