import type { ObjectMeta } from '../cluster/types.ts';
import type { Vm } from './types.ts';

/** By which labels and names VM-Operator's objects for a VM are known: display Secret, ConfigMap and pod. */

const NAME = 'app.kubernetes.io/name';
const COMPONENT = 'app.kubernetes.io/component';
const INSTANCE = 'app.kubernetes.io/instance';

/** On all of them. */
export const RUNNER_LABELS = { [NAME]: 'vm-runner' } as const;

/** On a display Secret, whatever its name. */
export const DISPLAY_SECRET_LABELS = { ...RUNNER_LABELS, [COMPONENT]: 'display-secret' } as const;

/** On a runner's pod, which has the VM's name. */
export const RUNNER_POD_LABELS = { ...RUNNER_LABELS, [COMPONENT]: 'vm-runner' } as const;

/** The label that names the VM. */
export const VM_LABEL = INSTANCE;

/** `name=value,…`, of labels that an object must all carry. */
export function labelSelector(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}

/** Finds the display Secrets of one VM. */
export function displaySecretSelector(vm: string): string {
  return labelSelector({ ...DISPLAY_SECRET_LABELS, [VM_LABEL]: vm });
}

/** Which VM a display Secret with these labels is for; undefined: it is none. */
export function vmOfDisplaySecret(labels: Readonly<Record<string, string>>): string | undefined {
  const isDisplay = Object.entries(DISPLAY_SECRET_LABELS).every(([name, value]) => labels[name] === value);
  return isDisplay ? labels[VM_LABEL] : undefined;
}

/**
 * Whether a pod or ConfigMap with the VM's name is that of an earlier VM, which goes only after its owner. One that
 * nobody owns is taken for the VM's.
 */
export function isOfEarlierVm({ ownerReferences = [] }: ObjectMeta, { uid }: Pick<Vm, 'uid'>): boolean {
  const owners = ownerReferences.filter(({ kind }) => kind === 'VirtualMachine');
  return owners.length > 0 && owners.every((owner) => owner.uid !== uid);
}

/** The name that VM-Operator gives the display Secret that it makes; undefined: it makes none for the VM. */
export function generatedSecretName({ name, spec }: Vm): string | undefined {
  return spec.spice?.generateSecret === true ? `${name}-display-secret` : undefined;
}
