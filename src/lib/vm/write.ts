import type { JsonObject, ObjectRef, Patch } from '../cluster/types.ts';
import type { Vm } from './types.ts';

export interface WriteMode {
  /** Let the server validate, store nothing. */
  dryRun?: boolean | undefined;
}

/** A change of `spec.vm`, made only if nobody changed the object since it was read. */
export function specVmPatch(vm: Vm, change: JsonObject): Patch {
  return { type: 'merge', body: { metadata: { resourceVersion: vm.resourceVersion }, spec: { vm: change } } };
}

export function refOf(vm: Vm): ObjectRef {
  return { namespace: vm.namespace, name: vm.name };
}

/** A VM as an argument of a command that a message names: with its namespace, where that is not the usual one. */
export function vmArgument({ namespace, name }: ObjectRef): string {
  return namespace === '' || namespace === 'default' ? name : `${namespace}/${name}`;
}
