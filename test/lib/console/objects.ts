import { parseVm } from '../../../src/lib/vm/parse.ts';
import type { Vm } from '../../../src/lib/vm/types.ts';
import type { JsonObject } from '../../../src/lib/cluster/types.ts';

/** Conditions as `Type: 'True/Reason'`, with a time where one matters: `'True/VmStarted@2026-07-01T10:00:00Z'`. */
export type Conditions = Record<string, string>;

export interface VmFields {
  conditions?: Conditions;
  /** Merged into `spec.vm`. */
  vm?: JsonObject;
  status?: JsonObject;
  permissions?: JsonObject[];
}

export const RUNNING: Conditions = { Running: 'True/VmStarted@2026-07-01T10:00:00Z' };

/** A `VirtualMachine` as the API server gives it: running, unless the fields say otherwise. */
export function vmObject({
  conditions = RUNNING,
  vm = {},
  status = {},
  permissions = [],
}: VmFields = {}): JsonObject {
  return {
    apiVersion: 'vmoperator.jdrupes.org/v1',
    kind: 'VirtualMachine',
    metadata: { name: 'desktop-1', namespace: 'ns', uid: 'u-1', resourceVersion: '1' },
    spec: {
      permissions,
      vm: { state: 'Running', maximumCpus: 2, currentCpus: 2, display: { spice: { port: 5910 } }, ...vm },
    },
    status: {
      runnerVersion: '4.0.3',
      displayPasswordSerial: 3,
      conditions: Object.entries(conditions).map(([type, text]) => {
        const [, state, reason, time] = /^(\w+)\/(\w*)(?:@(.*))?$/.exec(text) ?? [];
        return {
          type,
          status: state,
          reason,
          message: '',
          observedGeneration: 1,
          ...(time === undefined ? {} : { lastTransitionTime: time }),
        };
      }),
      ...status,
    },
  };
}

export function vmOf(fields: VmFields = {}): Vm {
  const object = vmObject(fields);
  return parseVm({
    ...object,
    apiVersion: 'vmoperator.jdrupes.org/v1',
    kind: 'VirtualMachine',
    metadata: { name: 'desktop-1', namespace: 'ns', uid: 'u-1', resourceVersion: '1' },
  });
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** A display Secret; `data` holds plain text. */
export function secretObject(
  data: Record<string, string>,
  { name = 'desktop-1-display-secret', createdAt = '2026-07-01T09:00:00Z' } = {},
): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace: 'ns',
      creationTimestamp: createdAt,
      resourceVersion: '1',
      labels: {
        'app.kubernetes.io/name': 'vm-runner',
        'app.kubernetes.io/component': 'display-secret',
        'app.kubernetes.io/instance': 'desktop-1',
      },
    },
    data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)])),
  };
}
