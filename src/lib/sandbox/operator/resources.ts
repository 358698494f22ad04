import { asArray, asDate, asObject, asString, asStrings, compact } from '../../cluster/parse.ts';
import type { JsonObject, KubeObject, Resource } from '../../cluster/types.ts';
import { parseVm, VMS } from '../../vm/parse.ts';
import type { Vm } from '../../vm/types.ts';

/** Labels and annotations that VM-Operator and its clients agree on. */
export const LABEL = {
  name: 'app.kubernetes.io/name',
  component: 'app.kubernetes.io/component',
  instance: 'app.kubernetes.io/instance',
  managedBy: 'app.kubernetes.io/managed-by',
} as const;
export const RUNNER = 'vm-runner';
export const DISPLAY_SECRET = 'display-secret';
export const CM_VERSION = 'vmrunner.jdrupes.org/cmVersion';
export const DP_VERSION = 'vmrunner.jdrupes.org/dpVersion';
/** On the ConfigMap: which state of the VM it was written for. On the pod: which of those it was told of. */
export const REVISION = 'sandbox.vmop/revision';
/**
 * On a pod whose runner shall end: the machine powers down, then the pod is deleted. The annotation comes first because
 * not every API server keeps a pod for the time that its deletion takes.
 */
export const ENDING = 'sandbox.vmop/ending';

export function isOver(pod: RunnerPod): boolean {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed';
}

/** What every cached object has. */
export interface Observable {
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
}

/** A VM with what only the operator looks at. */
export interface OperatedVm extends Vm {
  /** `spec.vm.display.loggedInUser` as it stands: an empty string is sent to the guest as such. */
  loginText: string | undefined;
}

export interface RunnerPod extends Observable {
  /** The VM that it runs, by label. */
  vm: string;
  ownerUid: string;
  annotations: Record<string, string>;
  phase: string;
  /** The runner is told to end, by annotation or by the pod's deletion. */
  ending: boolean;
  /** Being deleted; a well-behaved runner is gone by then. */
  deletionTimestamp?: Date;
  startedAt?: Date;
  finishedAt?: Date;
}

export interface RunnerConfigMap extends Observable {
  ownerUid: string;
  revision: string | undefined;
  /** `config.yaml` */
  text: string;
}

export interface DisplaySecret extends Observable {
  /** The VM that it belongs to, by label. */
  vm: string;
  password?: string;
  /** `now`, `never`, `+seconds` or epoch seconds; unchecked. */
  expiry?: string;
  createdAt: Date;
}

/** Of several that carry a VM's labels the oldest holds, the first by name among equals. */
export function oldestSecret(secrets: readonly DisplaySecret[]): DisplaySecret | undefined {
  return secrets.toSorted(
    (a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.name < b.name ? -1 : 1),
  )[0];
}

function observable({ metadata }: KubeObject): Observable {
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
  };
}

function ownerUid({ metadata }: KubeObject): string {
  return metadata.ownerReferences?.find((owner) => owner.kind === VMS.kind)?.uid ?? '';
}

function parseOperatedVm(object: KubeObject): OperatedVm {
  const display = asObject(asObject(asObject(object['spec'])['vm'])['display']);
  return { ...parseVm(object), loginText: asString(display['loggedInUser']) };
}

function parsePod(object: KubeObject): RunnerPod {
  const { metadata } = object;
  const status = asObject(object['status']);
  const terminated = asArray(status['containerStatuses'])
    .map((container) => asObject(asObject(asObject(container)['state'])['terminated']))
    .find((state) => state['finishedAt'] !== undefined);
  return compact({
    ...observable(object),
    vm: metadata.labels?.[LABEL.instance] ?? metadata.name,
    ownerUid: ownerUid(object),
    annotations: metadata.annotations ?? {},
    phase: asString(status['phase']) ?? 'Pending',
    ending: metadata.deletionTimestamp !== undefined || metadata.annotations?.[ENDING] !== undefined,
    deletionTimestamp: asDate(metadata.deletionTimestamp),
    startedAt: asDate(status['startTime']),
    finishedAt: asDate(terminated?.['finishedAt']),
  });
}

function parseConfigMap(object: KubeObject): RunnerConfigMap {
  return {
    ...observable(object),
    ownerUid: ownerUid(object),
    revision: object.metadata.annotations?.[REVISION],
    text: asString(asObject(object['data'])['config.yaml']) ?? '',
  };
}

function parseSecret(object: KubeObject): DisplaySecret {
  const data = asStrings(object['data']);
  const decode = (value: string | undefined): string | undefined =>
    value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
  return compact({
    ...observable(object),
    vm: object.metadata.labels?.[LABEL.instance] ?? '',
    createdAt: asDate(object.metadata.creationTimestamp) ?? new Date(0),
    password: decode(data['display-password']),
    expiry: decode(data['password-expiry'])?.trim(),
  });
}

function core<T>(plural: string, kind: string, parse: (object: KubeObject) => T): Resource<T> {
  return { group: '', version: 'v1', plural, kind, namespaced: true, parse };
}

export const OPERATED_VMS: Resource<OperatedVm> = { ...VMS, parse: parseOperatedVm };
export const PODS = core('pods', 'Pod', parsePod);
export const CONFIG_MAPS = core('configmaps', 'ConfigMap', parseConfigMap);
export const SECRETS = core('secrets', 'Secret', parseSecret);
export const EVENTS: Resource<JsonObject> = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
  parse: (object) => object,
};

export const RUNNER_PODS_SELECTOR = `${LABEL.name}=${RUNNER},${LABEL.component}=${RUNNER}`;
/** The runners' ConfigMaps: labelled like the pods. */
export const RUNNER_CONFIGS_SELECTOR = RUNNER_PODS_SELECTOR;
export const DISPLAY_SECRETS_SELECTOR = `${LABEL.name}=${RUNNER},${LABEL.component}=${DISPLAY_SECRET}`;
