import { asObject, asString } from '../cluster/parse.ts';
import type { AccessAttributes, Cluster, KubeObject, Resource } from '../cluster/types.ts';
import { inParallel } from '../parallel.ts';
import { labelSelector, RUNNER_POD_LABELS } from '../vm/runner-objects.ts';
import { GROUP } from '../vm/types.ts';
import type { PolicyOptions } from './policies/options.ts';

/** The service account of a runner's pod. */
interface RunnerAccount {
  namespace: string;
  account: string;
  /** The VM of one of its pods. */
  vm: string;
}

const RUNNER_PODS: Resource<RunnerAccount> = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
  parse: ({ metadata, ...object }) => ({
    namespace: metadata.namespace ?? '',
    account: asString(asObject(object['spec'])['serviceAccountName']) ?? 'default',
    vm: metadata.name,
  }),
};

const REVIEWS: Resource<boolean> = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
  namespaced: false,
  parse: (object: KubeObject) => asObject(object['status'])['allowed'] === true,
};

const CONCURRENCY = 8;

/**
 * The service accounts of runners, as the API server names users, that report on their VMs now and could not under the
 * policies; sorted. `namespace` undefined: of all namespaces. Errors: those of listing pods and of access reviews.
 */
export async function lockedOutRunners(
  cluster: Cluster,
  namespace: string | undefined,
  options: PolicyOptions,
): Promise<string[]> {
  const selector = labelSelector(RUNNER_POD_LABELS);
  const { items } = await cluster.list(RUNNER_PODS, { namespace, labelSelector: selector });
  const accounts = [...new Map(items.map((one) => [userOf(one), one])).values()];
  const lockedOut = await inParallel(accounts, CONCURRENCY, async (one) => {
    const isLockedOut = !isExempt(one, options) && (await wouldBeLimited(cluster, one, options));
    return isLockedOut ? [userOf(one)] : [];
  });
  return lockedOut.flat().toSorted();
}

function userOf({ namespace, account }: RunnerAccount): string {
  return `system:serviceaccount:${namespace}:${account}`;
}

function groupsOf({ namespace }: RunnerAccount): string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
}

function isExempt(account: RunnerAccount, { exemptUsers, exemptGroups }: PolicyOptions): boolean {
  return (
    exemptUsers.includes(userOf(account)) || groupsOf(account).some((group) => exemptGroups.includes(group))
  );
}

/** As the policies ask it; whom RBAC does not let report at all is nobody whom they lock out. */
async function wouldBeLimited(
  cluster: Cluster,
  account: RunnerAccount,
  { administratorVerb }: PolicyOptions,
): Promise<boolean> {
  const may = (request: Pick<AccessAttributes, 'verb' | 'subresource' | 'name'>): Promise<boolean> => {
    const resourceAttributes = { group: GROUP, resource: 'vms', namespace: account.namespace, ...request };
    const spec = { user: userOf(account), groups: groupsOf(account), resourceAttributes };
    return cluster.create(REVIEWS, '', { spec });
  };
  const report = { verb: 'patch', subresource: 'status' };
  if (!(await may({ ...report, name: account.vm }))) return false;
  if (await may({ verb: administratorVerb })) return false;
  return administratorVerb !== 'patch' || !(await may(report));
}
