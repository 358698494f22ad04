import { isStatus } from '../cluster/api-error.ts';
import type { Cluster, Resource } from '../cluster/types.ts';
import type { Vm } from './types.ts';
import { isTerminating } from './state.ts';
import { refOf } from './write.ts';

const PODS: Resource<undefined> = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
  parse: () => undefined,
};

/**
 * The VM without the runner that its status still names, where the runner seemed to power the machine down and its pod
 * is gone: killed, with nobody there to say so. Any other VM as it is; asks the cluster only about such a one.
 */
export async function withoutLostRunner(cluster: Cluster, vm: Vm): Promise<Vm> {
  if (!isTerminating(vm) || vm.status.runnerVersion === undefined) return vm;
  try {
    await cluster.get(PODS, refOf(vm));
    return vm;
  } catch (error) {
    // Who may not see pods does without.
    if (!isStatus(error, 404)) return vm;
    const { runnerVersion: _lost, ...status } = vm.status;
    return { ...vm, status };
  }
}
