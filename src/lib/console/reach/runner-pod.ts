import { asArray, asObject, asString } from '../../cluster/parse.ts';
import type { KubeObject, ObjectMeta, Resource } from '../../cluster/types.ts';

/** The pod in which a VM runs; it has the VM's name. */
export interface RunnerPod {
  name: string;
  namespace: string;
  /** Its addresses, the primary one first. With the host's network they are the node's. */
  addresses: string[];
  /** Whose it is tells `isOfEarlierVm`. */
  metadata: ObjectMeta;
}

export const RUNNER_PODS: Resource<RunnerPod> = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
  parse: parseRunnerPod,
};

function parseRunnerPod({ metadata, ...object }: KubeObject): RunnerPod {
  const status = asObject(object['status']);
  const all = [
    status['podIP'],
    ...asArray(status['podIPs']).map((entry) => asObject(entry)['ip']),
    status['hostIP'],
  ];
  const addresses = new Set(
    all.map((address) => asString(address) ?? '').filter((address) => address !== ''),
  );
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    addresses: [...addresses],
    metadata,
  };
}
