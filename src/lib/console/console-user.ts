import { setTimeout as sleep } from 'node:timers/promises';
import { isStatus } from '../cluster/api-error.ts';
import { modify } from '../cluster/modify.ts';
import type { Cluster, ObjectRef, Patch } from '../cluster/types.ts';
import { messageOf, VmopError } from '../errors.ts';
import { VMS } from '../vm/parse.ts';
import { briefMessage } from '../vm/refusal.ts';
import { connectionOf } from '../vm/state.ts';
import type { Vm } from '../vm/types.ts';
import { refOf } from '../vm/write.ts';
import type { ConsoleHooks } from './request.ts';

/** The machine that was looked for is not there any more, though another one may have its name. */
export function isAnother(vm: Vm, { uid }: Vm): VmopError | undefined {
  if (vm.uid === uid) return undefined;
  return new VmopError('notFound', `VM ${vm.name} was deleted meanwhile`, { vm: vm.name });
}

function consoleUserPatch(vm: Vm, user: string | null): Patch {
  const { resourceVersion } = vm;
  return { type: 'merge', body: { metadata: { resourceVersion }, status: { consoleUser: user } } };
}

/**
 * Names `me` as the console's user, before the connection is there, as VM-Operator does. `admit` is asked for the VM
 * when it has changed since. Resolves to the VM as it was before. Who may not do that goes on without. Errors: `admit`'s,
 * `notFound`, `conflict` when others keep changing the VM.
 */
export async function recordConsoleUser(
  cluster: Cluster,
  vm: Vm,
  me: string,
  { admit, hooks }: { admit: (vm: Vm) => void; hooks: Pick<ConsoleHooks, 'onWarning'> },
): Promise<Vm> {
  let before = vm;
  try {
    await modify(
      cluster,
      VMS,
      refOf(vm),
      (current) => {
        const another = isAnother(current, vm);
        if (another) throw another;
        if (current !== vm) admit(current);
        before = current;
        return current.status.consoleUser === me ? undefined : consoleUserPatch(current, me);
      },
      { first: vm, subresource: 'status' },
    );
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    hooks.onWarning(`others will not see that the console of ${vm.name} is yours: ${briefMessage(error)}`);
  }
  return before;
}

/** A console that one was named as the user of. */
export interface NamedUse {
  me: string;
  ref: ObjectRef;
  uid: string;
  /** Whom the VM named before, and the connection that it showed then. */
  earlier: { user: string | undefined; connection: string | undefined };
  /** A session came of it. */
  connected: boolean;
  /** Connections that were the session's. */
  own: ReadonlySet<string>;
}

export function namedUse(before: Vm, use: Pick<NamedUse, 'me' | 'connected' | 'own'>): NamedUse {
  const earlier = { user: before.status.consoleUser, connection: connectionOf(before) };
  return { ...use, ref: refOf(before), uid: before.uid, earlier };
}

export type Release = { user: string | null } | 'wait' | undefined;

/**
 * What becomes of one's name once the session is over: VM-Operator leaves it, and then it would stand for whoever
 * connects by hand. `wait`: the session's connection still shows; as long as it does, the name is right. undefined: the
 * name is not ours, or is in use.
 */
export function releaseDecision(
  vm: Vm,
  { me, uid, earlier, connected, own }: Omit<NamedUse, 'ref'>,
): Release {
  if (vm.uid !== uid || vm.status.consoleUser !== me) return undefined;
  const present = connectionOf(vm);
  if (present === undefined) return { user: null };
  if (connected) return own.has(present) ? 'wait' : undefined;
  // Nothing came of it: the console is still theirs whose it was.
  if (present !== earlier.connection || earlier.user === me) return undefined;
  return { user: earlier.user ?? null };
}

const LOOK_AGAIN_MS = 250;
/** QEMU tells of an end within 0.3 s, unless the network is dead. */
const SHOWN_MS = 2000;

/** Takes one's name back, as far as that may be done. Never rejects. */
export async function releaseConsoleUser(
  afterwards: Cluster,
  use: NamedUse,
  { onDetail }: Pick<ConsoleHooks, 'onDetail'>,
): Promise<void> {
  const until = performance.now() + SHOWN_MS;
  let mayRestore = true;
  try {
    for (;;) {
      const vm = await afterwards.get(VMS, use.ref);
      const release = releaseDecision(vm, use);
      if (release === undefined) return;
      if (release === 'wait') {
        if (performance.now() >= until) return;
        await sleep(LOOK_AGAIN_MS);
        continue;
      }
      const patch = consoleUserPatch(vm, mayRestore ? release.user : null);
      try {
        await afterwards.patch(VMS, use.ref, patch, { subresource: 'status' });
        return;
      } catch (error) {
        // To name somebody else is more than most may; to name nobody is better than to name oneself.
        if (isStatus(error, 403) && mayRestore && release.user !== null) mayRestore = false;
        else if (!isStatus(error, 409) || performance.now() >= until) throw error;
      }
    }
  } catch (error) {
    onDetail(`the name of the console's user stays: ${messageOf(error)}`);
  }
}
