import { setTimeout as sleep } from 'node:timers/promises';
import { isStatus } from '../../cluster/api-error.ts';
import type { Cluster } from '../../cluster/types.ts';
import type { VmopError } from '../../errors.ts';
import { logIn } from '../../vm/login.ts';
import type { ConsoleRequest } from '../request.ts';
import { VMS } from '../../vm/parse.ts';
import { setPowerState } from '../../vm/power.ts';
import { missingPermission } from '../../vm/permissions.ts';
import { briefMessage } from '../../vm/refusal.ts';
import type { Permission, Vm, VmPool } from '../../vm/types.ts';
import { refOf } from '../../vm/write.ts';
import type { DisconnectAction } from '../../console-choices.ts';
import { afterSession, NO_LOCK, type EndedSession } from './disconnect.ts';

const NEEDS: Record<DisconnectAction, Permission | undefined> = {
  none: undefined,
  lock: undefined,
  logout: 'accessConsole',
  stop: 'stop',
};

/** The refusal of an action for want of a permission, known before the session begins. */
export function disconnectRefusal(
  action: DisconnectAction,
  vm: Vm,
  { me, permissions, pool }: Pick<ConsoleRequest, 'me' | 'permissions' | 'pool'>,
): VmopError | undefined {
  const needed = NEEDS[action];
  if (needed === undefined || permissions.has(needed)) return undefined;
  return missingPermission(vm, pool, me, needed);
}

const LOOK_AGAIN_MS = 500;
const LOGOUT_MS = 10_000;

/** What became of the desktop, as a sentence; `done`: as it was asked for, or rightly left alone. */
export interface DesktopReport {
  done: boolean;
  sentence: string;
}

/**
 * Deals with the desktop after a session, once it is clear that nobody has come back to it; undefined for `none`.
 * Never rejects.
 */
export async function dealWithDesktop(
  afterwards: Cluster,
  vm: Vm,
  pool: VmPool | undefined,
  action: DisconnectAction,
  ended: EndedSession,
): Promise<DesktopReport | undefined> {
  const report = (done: boolean, sentence: string): DesktopReport => ({ done, sentence });
  if (action === 'none') return undefined;
  if (action === 'lock') return report(false, `${vm.name} was not locked: ${NO_LOCK}`);
  try {
    const { current, leave } = await settled(afterwards, vm, ended);
    if (current === undefined || leave !== undefined)
      return report(true, `${vm.name} is left as it is: ${leave ?? 'gone'}`);
    if (action === 'stop') {
      await setPowerState(afterwards, current, 'Stopped');
      return report(true, `${vm.name} was asked to stop, as its console is closed`);
    }
    if (current.spec.loggedInUser === undefined) {
      return report(false, `nobody is logged out on ${vm.name}: no log-in was asked for through VM-Operator`);
    }
    const signal = AbortSignal.timeout(LOGOUT_MS);
    const wait = { timeoutMs: LOGOUT_MS, signal, onWarning: () => {} };
    await logIn(afterwards, current, pool, { user: undefined }, wait);
    return report(
      true,
      `${current.spec.loggedInUser} was logged out on ${vm.name}, as its console is closed`,
    );
  } catch (error) {
    const reason = briefMessage(error);
    return report(false, `${vm.name}: ${action} failed after its console was closed: ${reason}`);
  }
}

async function settled(
  cluster: Cluster,
  vm: Vm,
  ended: EndedSession,
): Promise<{ current?: Vm; leave?: string }> {
  const began = performance.now();
  for (;;) {
    const current = await cluster.get(VMS, refOf(vm)).catch((error: unknown) => {
      if (isStatus(error, 404)) return undefined;
      throw error;
    });
    const next = afterSession(current, ended, performance.now() - began);
    if (next === 'act' && current !== undefined) return { current };
    if (typeof next === 'object') return next;
    await sleep(LOOK_AGAIN_MS);
  }
}
