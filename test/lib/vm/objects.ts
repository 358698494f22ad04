import { parseObject } from '../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../src/lib/cluster/types.ts';
import { parsePool, parseVm } from '../../../src/lib/vm/parse.ts';
import type { Vm, VmPool } from '../../../src/lib/vm/types.ts';

/** Conditions as `Type: 'True/Reason'`. */
export type Conditions = Record<string, string>;

export interface VmParts {
  metadata?: JsonObject;
  /** Merged over permissions and pools that are empty. */
  spec?: JsonObject;
  /** Merged into `spec.vm`: Running with two CPUs. */
  vm?: JsonObject;
  conditions?: Conditions;
  status?: JsonObject;
}

export const RUNNING: Conditions = { Running: 'True/VmStarted' };
export const STOPPED: Conditions = { Running: 'False/VmStopped' };
export const TERMINATING: Conditions = { Running: 'True/VmTerminating' };
export const RUNNER_STARTED: Conditions = { Running: 'False/RunnerStarted' };

/** What VM-Operator writes when the VM is made. */
export const CREATED: Conditions = {
  Running: 'False/Creation',
  Booted: 'False/Creation',
  VmopAgentConnected: 'False/Creation',
  UserLoggedIn: 'False/Creation',
  ConsoleConnected: 'False/Creation',
};

export function conditionsOf(conditions: Conditions): JsonObject[] {
  return Object.entries(conditions).map(([type, text]) => {
    const [told = '', time = '2026-07-01T10:00:00Z'] = text.split('@');
    const [status, reason = ''] = told.split('/');
    return {
      type,
      status,
      reason,
      message: '',
      observedGeneration: 1,
      lastTransitionTime: time,
    };
  });
}

/** A `VirtualMachine` as it comes over the wire: wanted and running, unless the parts say otherwise. */
export function vmObject({
  metadata = {},
  spec = {},
  vm = {},
  conditions = RUNNING,
  status = {},
}: VmParts = {}): JsonObject {
  return {
    apiVersion: 'vmoperator.jdrupes.org/v1',
    kind: 'VirtualMachine',
    metadata: {
      name: 'desktop-1',
      namespace: 'ns',
      uid: 'u-1',
      resourceVersion: '7',
      generation: 2,
      creationTimestamp: '2026-07-01T09:00:00Z',
      ...metadata,
    },
    spec: {
      permissions: [],
      pools: [],
      ...spec,
      vm: { state: 'Running', maximumCpus: 4, currentCpus: 2, ...vm },
    },
    status: { runnerVersion: '4.0.3', conditions: conditionsOf(conditions), ...status },
  };
}

/** As it comes over the wire, whatever it is. */
export function parsedVm(object: unknown): Vm {
  return parseVm(parseObject(object, { apiVersion: '', kind: '' }));
}

export function parsedPool(object: unknown): VmPool {
  return parsePool(parseObject(object, { apiVersion: '', kind: '' }));
}

export function vmOf(parts: VmParts = {}): Vm {
  return parsedVm(vmObject(parts));
}

export function poolOfSpec(spec: JsonObject, name = 'desktops'): VmPool {
  return parsedPool({ metadata: { name, namespace: 'ns' }, spec });
}
