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

/** Where a bare name is looked for; '' where that depends on whether the next command has the variable, too. */
export function homeNamespace(ofContext: string, variable: string | undefined): string {
  return variable && variable !== ofContext ? '' : ofContext;
}

/** A VM as an argument of vmop: with its namespace, where a bare name is looked for elsewhere, in `home`. */
export function argumentFrom(home: string, { namespace, name }: ObjectRef): string {
  return namespace === '' || namespace === home ? name : `${namespace}/${name}`;
}

/** A VM in a vmop command that a message names. */
export function vmArgument({ argument }: Pick<Vm, 'argument'>): string {
  return argument;
}

/** A VM, or what bears its name, in a kubectl command that a message names. */
export function kubectlArgument({ argument, namespace, name }: Vm): string {
  return argument === name ? name : `${name} -n ${namespace}`;
}
