import { randomBytes } from 'node:crypto';
import type { JsonObject } from '../../cluster/types.ts';
import { GROUP, VERSION, type Vm } from '../../vm/types.ts';

const RUNNER_CONTROLLER = 'vmoperator.jdrupes.org/vm-runner';

export interface RunnerEvent {
  action: string;
  /** Also the whole text where there is no note. */
  reason: string;
  note?: string | undefined;
}

/** An `events.k8s.io/v1` event about a VM, as its runner reports it. */
export function eventObject(vm: Vm, { action, reason, note }: RunnerEvent, now: Date): JsonObject {
  return {
    metadata: { name: `${vm.name}.${randomBytes(8).toString('hex')}`, namespace: vm.namespace },
    // Kubernetes' MicroTime has six digits.
    eventTime: now.toISOString().replace('Z', '000Z'),
    reportingController: RUNNER_CONTROLLER,
    reportingInstance: vm.name,
    action,
    reason,
    ...(note === undefined ? {} : { note }),
    type: 'Normal',
    regarding: {
      apiVersion: `${GROUP}/${VERSION}`,
      kind: 'VirtualMachine',
      namespace: vm.namespace,
      name: vm.name,
      uid: vm.uid,
      resourceVersion: vm.resourceVersion,
    },
  };
}
