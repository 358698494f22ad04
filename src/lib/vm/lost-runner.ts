import { isStatus } from '../cluster/api-error.ts';
import type { Cluster, ObjectMeta, Resource } from '../cluster/types.ts';
import type { Vm } from './types.ts';
import { isOfEarlierVm } from './runner-objects.ts';
import { isTerminating } from './state.ts';
import { refOf } from './write.ts';

const PODS: Resource<ObjectMeta> = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
  parse: ({ metadata }) => metadata,
};

/**
 * The VM without the runner that its status still names, where the runner seemed to power the machine down and its pod
 * is gone: killed, with nobody there to say so. Any other VM as it is; asks the cluster only about such a one.
 */
export async function withoutLostRunner(cluster: Cluster, vm: Vm): Promise<Vm> {
  if (!isTerminating(vm) || vm.status.runnerVersion === undefined) return vm;
  try {
    if (!isOfEarlierVm(await cluster.get(PODS, refOf(vm)), vm)) return vm;
  } catch (error) {
    // Who may not see pods does without.
    if (!isStatus(error, 404)) return vm;
  }
  const { runnerVersion: _lost, ...status } = vm.status;
  return { ...vm, status };
}
