import { isStatus } from '../cluster/api-error.ts';
import type { ObjectRef } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { refKey } from '../vm/follow.ts';
import { VMS } from '../vm/parse.ts';
import { inScope, permissionsOn, poolOf } from '../vm/permissions.ts';
import { parseRbacRefusal } from '../vm/refusal.ts';
import { phaseOf } from '../vm/state.ts';
import type { Permission, Vm } from '../vm/types.ts';
import type { Context } from './context.ts';
import { readInventory } from './inventory.ts';

export interface TargetFlags {
  selector?: string | undefined;
  all?: boolean | undefined;
  'all-namespaces'?: boolean | undefined;
}

/** A VM to work on, or why it cannot be. */
export type Target = { ref: ObjectRef; vm: Vm } | { ref: ObjectRef; error: VmopError };

/** The VMs that a command is for. `several` is false when exactly one was named: its failure is then the command's. */
export interface Targets {
  targets: Target[];
  several: boolean;
}

/** `name` or `namespace/name`. */
export function parseVmName(text: string, namespace: string): ObjectRef {
  const [first = '', second, ...rest] = text.split('/');
  if (rest.length > 0 || first === '' || second === '') {
    throw new VmopError('usage', `not a VM's name: ${JSON.stringify(text)}`, {
      hint: 'write NAME or NAMESPACE/NAME',
    });
  }
  return second === undefined ? { namespace, name: first } : { namespace: first, name: second };
}

/**
 * Finds the VMs to work on: those named, those selected, all that one holds `permission` on, or the one chosen from
 * a list on a terminal. Errors: `usage` when nothing or too much was said, `notFound` when a selection is empty.
 */
export async function resolveTargets(
  context: Context,
  names: readonly string[],
  flags: TargetFlags,
  permission: Permission,
): Promise<Targets> {
  const many = flags.all === true || flags.selector !== undefined || flags['all-namespaces'] === true;
  if (many && names.length > 0) {
    throw new VmopError('usage', 'either names, or --selector, --all or --all-namespaces: not both');
  }
  if (many) {
    if (flags.all !== true && flags.selector === undefined) {
      throw new VmopError('usage', '--all-namespaces says where, not which', {
        hint: 'add --all or --selector',
      });
    }
    // An unset variable of a script must not mean every VM.
    if (flags.selector?.trim() === '') {
      throw new VmopError('usage', 'the selector is empty', { hint: 'for every VM: --all' });
    }
    return { targets: await selectVms(context, flags, permission), several: true };
  }
  const chosen = names.length > 0 ? names : [await chooseVm(context)];
  const refs = chosen.map((name) => parseVmName(name, context.namespace));
  const unique = [...new Map(refs.map((ref) => [refKey(ref), ref])).values()];
  return {
    targets: await Promise.all(unique.map((ref) => getTarget(context, ref))),
    several: unique.length > 1,
  };
}

/** One VM by name; on a terminal a missing name is asked for. */
export async function resolveVm(context: Context, name: string | undefined): Promise<Vm> {
  const ref = parseVmName(name ?? (await chooseVm(context)), context.namespace);
  const target = await getTarget(context, ref);
  if ('error' in target) throw target.error;
  return target.vm;
}

async function getTarget(context: Context, ref: ObjectRef): Promise<Target> {
  try {
    return { ref, vm: await context.cluster.get(VMS, ref) };
  } catch (error) {
    if (isStatus(error, 404)) {
      const hint = `vmop list -n ${ref.namespace} shows the VMs there; -A looks in all namespaces`;
      const message = `there is no VM "${ref.name}" in namespace "${ref.namespace}"`;
      return { ref, error: new VmopError('notFound', message, { hint, vm: ref.name, cause: error }) };
    }
    const refusal = isStatus(error, 403) ? parseRbacRefusal(error.message) : undefined;
    if (refusal) return { ref, error: unreadable(ref, refusal.user, error) };
    if (error instanceof VmopError && error.code !== 'unreachable') {
      return {
        ref,
        error: new VmopError(error.code, error.message, { hint: error.hint, vm: ref.name, cause: error }),
      };
    }
    throw error;
  }
}

function unreadable({ namespace, name }: ObjectRef, user: string, cause: unknown): VmopError {
  return new VmopError('forbidden', `${user} may not read VM "${name}" in namespace "${namespace}"`, {
    hint:
      `vmop list -n ${namespace} shows what is yours; an administrator of the namespace can give a permission: ` +
      'vmop permissions grant, then vmop access apply',
    vm: name,
    cause,
  });
}

async function selectVms(context: Context, flags: TargetFlags, permission: Permission): Promise<Target[]> {
  const namespace = flags['all-namespaces'] === true ? undefined : context.namespace;
  const { vms, pools, subject } = await readInventory(context, namespace, flags.selector);
  const allowed = vms.filter((vm) => permissionsOn(vm, poolOf(vm, pools), subject).has(permission));
  if (allowed.length === 0) {
    const where = namespace === undefined ? 'any namespace' : `namespace "${namespace}"`;
    throw new VmopError('notFound', `no VM in ${where} is selected on which you hold ${permission}`, {
      hint: 'vmop list shows the VMs and what you may do',
    });
  }
  return allowed.map((vm) => ({ ref: { namespace: vm.namespace, name: vm.name }, vm }));
}

async function chooseVm(context: Context): Promise<string> {
  const { namespace } = context;
  const { vms, pools, subject } = await readInventory(context, namespace);
  const mine = vms.filter((vm) => inScope(vm, pools, subject, 'usable'));
  const names = mine.map((vm) => vm.name);
  if (names.length === 0) {
    throw new VmopError(
      'usage',
      `no VM was named, and there is none in namespace "${namespace}" that you may use`,
      {
        hint: 'vmop list -A looks in all namespaces',
      },
    );
  }
  if (!context.terminal.interactive) {
    throw new VmopError('usage', 'no VM was named', { hint: `name one of: ${shortList(names)}` });
  }
  return context.terminal.choose(
    'Which VM?',
    mine.map((vm) => ({ name: vm.name, value: vm.name, description: phaseOf(vm) })),
  );
}

function shortList(names: readonly string[]): string {
  const shown = names.slice(0, 20).join(', ');
  return names.length > 20 ? `${shown} and ${names.length - 20} more` : shown;
}
