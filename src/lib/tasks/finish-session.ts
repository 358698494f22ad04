import type { Context } from '../cli/context.ts';
import { resolveVm } from '../cli/targets.ts';
import type { DisconnectAction } from '../console-choices.ts';
import { dealWithDesktop } from '../console/session/after-session.ts';
import { governingPool } from '../vm/inventory.ts';
import type { Vm } from '../vm/types.ts';
import { refKey } from '../vm/follow.ts';

/** Stands for the connection of a session that the VM never showed. */
export const UNSEEN = '-';

/**
 * What a session's guard runs when vmop was killed: `vmop finish-session` with the session's connection as its last
 * argument, for the same cluster and user. Empty where nothing is to be done.
 */
export function finishSessionCommand(context: Context, vm: Vm, action: DisconnectAction): string[] {
  const { launcher } = context.runtime;
  if (launcher === undefined || action === 'none' || action === 'lock') return [];
  const flags = [`--on-disconnect=${action}`, `--uid=${vm.uid}`, ...context.sameCluster()];
  return [...launcher, 'finish-session', ...flags, refKey(vm)];
}

export interface FinishSessionRequest {
  /** `namespace/name`. */
  vm: string;
  uid: string;
  action: DisconnectAction;
  /** As the VM showed it (`connectionOf`), or `UNSEEN`. */
  connection: string;
}

/** Deals with the desktop of a session whose vmop was killed, unless it is another machine or somebody is there. */
export async function finishSession(
  context: Context,
  { vm: name, uid, action, connection }: FinishSessionRequest,
): Promise<void> {
  const vm = await resolveVm(context, name);
  const pool = await governingPool(context.cluster, vm);
  const report = await dealWithDesktop(context.cluster, vm, pool, action, {
    outcome: 'interrupted',
    uid,
    connection: connection === UNSEEN ? undefined : connection,
  });
  if (report) context.terminal.info(report.sentence);
}
