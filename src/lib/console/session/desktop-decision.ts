import { DISCONNECT_ACTIONS, type DisconnectAction } from '../../console-choices.ts';
import { sanitize } from '../../text.ts';
import { connectionOf, consoleUse, isRunning } from '../../vm/state.ts';
import type { Vm } from '../../vm/types.ts';
import type { SessionOutcome } from './session-state.ts';

/** On a VM: what its owner wants to happen there unless the person who connects says otherwise. */
export const DISCONNECT_ANNOTATION = 'vmop/on-disconnect';

export function isDisconnectAction(value: unknown): value is DisconnectAction {
  return DISCONNECT_ACTIONS.some((action) => action === value);
}

/** The flag, else the VM's annotation, else the configuration, else nothing. `problem`: the annotation makes no sense. */
export function disconnectAction(
  flag: DisconnectAction | undefined,
  vm: Vm,
  setting: DisconnectAction | undefined,
): { action: DisconnectAction; problem?: string } {
  if (flag !== undefined) return { action: flag };
  const annotation = vm.annotations[DISCONNECT_ANNOTATION];
  const usual = setting ?? 'none';
  if (annotation === undefined) return { action: usual };
  if (isDisconnectAction(annotation)) return { action: annotation };
  const problem = `the annotation ${DISCONNECT_ANNOTATION} of ${vm.name} is ${JSON.stringify(annotation)}, not one of ${DISCONNECT_ACTIONS.join(', ')}`;
  return { action: usual, problem };
}

/** VM-Operator's agents are asked to log in and to log out, and know nothing else. */
export const NO_LOCK =
  'VM-Operator has no way to ask the guest to lock its screen: the desktop stays as it is; --on-disconnect logout ends the session instead';

/** A viewer that reconnects shows up within this time; so does somebody who takes the console. */
export const SETTLE_MS = 3000;

export type AfterSession = 'act' | 'wait' | { leave: string };

/** A session that is over. */
export interface EndedSession {
  outcome: SessionOutcome['kind'];
  /** Of the VM; another one of its name is another machine. */
  uid: string;
  /** Its connection as the VM showed it (`connectionOf`); undefined when it never did. */
  connection: string | undefined;
  /** Whom the VM named as its console's user then. */
  user: string | undefined;
}

/**
 * Whether the desktop is to be dealt with: only once it is clear that nobody is at its console. `vm` as last seen,
 * undefined when it is gone; `waitedMs` since the session's end.
 */
export function afterSession(
  vm: Vm | undefined,
  { outcome, uid, connection, user }: EndedSession,
  waitedMs: number,
): AfterSession {
  if (outcome === 'connected') return { leave: 'the session goes on' };
  if (outcome === 'takenOver') return { leave: 'somebody else has the console now' };
  if (vm === undefined || vm.uid !== uid || !isRunning(vm)) {
    return { leave: 'the machine does not run any more' };
  }
  // The status may show the session that ended for a while longer: QEMU gives up a silent client after a minute.
  const present = connectionOf(vm);
  const now = consoleUse(vm).user;
  // Through the API server all come from the same address, and times are whole seconds: the name may tell them apart.
  const another = present !== connection || (now !== undefined && now !== user);
  if (present !== undefined && another) {
    return { leave: `${sanitize(now ?? 'somebody')} is connected again` };
  }
  return waitedMs < SETTLE_MS ? 'wait' : 'act';
}
