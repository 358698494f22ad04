import type { JsonObject, OwnerReference } from '../../cluster/types.ts';
import { CONDITIONS, GROUP, VERSION, type ConditionType, type Vm } from '../../vm/types.ts';
import { CM_VERSION, DISPLAY_SECRET, DP_VERSION, LABEL, REVISION, RUNNER } from './resources.ts';

/** The node that a sandbox's pods are on: this machine. */
export const NODE_NAME = 'sandbox';
export const RUNNER_VERSION = 'vmop-sandbox';
const HOST_ADDRESS = '127.0.0.1';
/** What the runner needs to tidy up after the guest has used up its powerdownTimeout. */
const TIDY_UP_SECONDS = 5;

function ownerReference(vm: Vm): OwnerReference {
  return {
    apiVersion: `${GROUP}/${VERSION}`,
    kind: 'VirtualMachine',
    name: vm.name,
    uid: vm.uid,
    controller: false,
  };
}

function labels(vm: Vm, component: string): Record<string, string> {
  return { [LABEL.name]: RUNNER, [LABEL.component]: component, [LABEL.instance]: vm.name };
}

export function displaySecretName(vm: Vm): string {
  return `${vm.name}-display-secret`;
}

/** A display Secret that is locked: its password has expired. Nobody owns it, so it outlives its VM. */
export function displaySecretObject(vm: Vm, password: string): JsonObject {
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  return {
    metadata: {
      name: displaySecretName(vm),
      namespace: vm.namespace,
      labels: labels(vm, DISPLAY_SECRET),
    },
    type: 'Opaque',
    data: { 'display-password': encode(password), 'password-expiry': encode('now') },
  };
}

export function configMapObject(vm: Vm, revision: string, text: string): JsonObject {
  return {
    metadata: {
      name: vm.name,
      namespace: vm.namespace,
      labels: { ...labels(vm, RUNNER), [LABEL.managedBy]: 'vm-operator' },
      annotations: { [REVISION]: revision },
      ownerReferences: [ownerReference(vm)],
    },
    data: { 'config.yaml': text },
  };
}

/** What the pod was told of: changes here make the kubelet refresh what it has mounted. */
export interface MountedVersions {
  revision: string;
  configMap: string;
  /** Absent without a display Secret. */
  secret?: string | undefined;
}

function mountAnnotations({ revision, configMap, secret }: MountedVersions): Record<string, string> {
  return {
    [REVISION]: revision,
    [CM_VERSION]: configMap,
    ...(secret === undefined ? {} : { [DP_VERSION]: secret }),
  };
}

export function runnerPodObject(vm: Vm, mounted: MountedVersions, serviceAccountName: string): JsonObject {
  return {
    metadata: {
      name: vm.name,
      namespace: vm.namespace,
      labels: { ...labels(vm, RUNNER), [LABEL.managedBy]: 'vm-operator' },
      annotations: mountAnnotations(mounted),
      ownerReferences: [ownerReference(vm)],
    },
    spec: {
      nodeName: NODE_NAME,
      hostNetwork: true,
      restartPolicy: 'Never',
      serviceAccountName,
      terminationGracePeriodSeconds: vm.spec.powerdownTimeoutSeconds + TIDY_UP_SECONDS,
      containers: [
        {
          name: vm.name,
          image: RUNNER_VERSION,
          ...(vm.spec.spice && {
            ports: [{ name: 'spice', containerPort: vm.spec.spice.port, protocol: 'TCP' }],
          }),
          securityContext: { privileged: true },
        },
      ],
    },
  };
}

/** How a runner's container stands, as the kubelet would report it. */
export type ContainerState =
  | { phase: 'Running'; startedAt: Date }
  | { phase: 'Succeeded' | 'Failed'; startedAt: Date; finishedAt: Date };

export function podStatus(containerName: string, container: ContainerState): JsonObject {
  const { phase, startedAt } = container;
  const running = phase === 'Running';
  const state = running
    ? { running: { startedAt: kubeTime(startedAt) } }
    : {
        terminated: {
          exitCode: phase === 'Succeeded' ? 0 : 1,
          reason: phase === 'Succeeded' ? 'Completed' : 'Error',
          startedAt: kubeTime(startedAt),
          finishedAt: kubeTime(container.finishedAt),
        },
      };
  const ready = { status: running ? 'True' : 'False', lastTransitionTime: kubeTime(startedAt) };
  return {
    phase,
    hostIP: HOST_ADDRESS,
    podIP: HOST_ADDRESS,
    podIPs: [{ ip: HOST_ADDRESS }],
    startTime: kubeTime(startedAt),
    conditions: ['Ready', 'ContainersReady'].map((type) => ({ type, ...ready })),
    containerStatuses: [
      {
        name: containerName,
        image: RUNNER_VERSION,
        imageID: '',
        ready: running,
        started: running,
        restartCount: 0,
        state,
      },
    ],
  };
}

/** Kubernetes' own times have no fraction of a second. */
function kubeTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A condition as it stands in `status.conditions`. */
export interface ConditionObject {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  observedGeneration: number;
  lastTransitionTime: string;
  reason: string;
  message: string;
}

/** The conditions of a VM that no runner has reported on yet, in their order; those that it has are kept. */
export function conditionsOf(vm: Vm, now: Date): ConditionObject[] {
  const initial = (type: ConditionType): ConditionObject => ({
    type,
    status: 'False',
    observedGeneration: vm.generation,
    lastTransitionTime: (vm.createdAt ?? now).toISOString(),
    reason: 'Creation',
    message: 'No runner has reported yet',
  });
  return CONDITIONS.map((type) => {
    const found = vm.status.conditions.find((condition) => condition.type === type);
    if (found === undefined) return initial(type);
    const { status, reason, message } = found;
    return {
      ...initial(type),
      status,
      reason,
      message,
      observedGeneration: found.observedGeneration ?? vm.generation,
      lastTransitionTime: (found.lastTransitionTime ?? now).toISOString(),
    };
  });
}
