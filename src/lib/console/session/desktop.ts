import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, isStatus } from '../../cluster/api-error.ts';
import type { Cluster, ObjectRef } from '../../cluster/types.ts';
import type { DisconnectAction } from '../../console-choices.ts';
import { VmopError, type ErrorCode } from '../../errors.ts';
import { governingPool } from '../../vm/inventory.ts';
import { logIn, loginObstacle } from '../../vm/login.ts';
import { VMS } from '../../vm/parse.ts';
import { missingPermission } from '../../vm/permissions.ts';
import { setPowerState } from '../../vm/power.ts';
import { briefMessage } from '../../vm/refusal.ts';
import { confirmedUser, wantedUser } from '../../vm/state.ts';
import { GROUP, type Permission, type Vm } from '../../vm/types.ts';
import { vmArgument } from '../../vm/write.ts';
import type { ConsoleRequest } from '../request.ts';
import { afterSession, NO_LOCK, type EndedSession } from './desktop-decision.ts';
import { reconnectPause } from './reconnect.ts';

const NEEDS: Record<DisconnectAction, Permission | undefined> = {
  none: undefined,
  lock: undefined,
  logout: 'accessConsole',
  stop: 'stop',
};

/** Why an action will not be possible, as far as VM and pool tell it before the session begins. */
export function disconnectRefusal(
  action: DisconnectAction,
  vm: Vm,
  { me, permissions, pool }: Pick<ConsoleRequest, 'me' | 'permissions' | 'pool'>,
): VmopError | undefined {
  const needed = NEEDS[action];
  if (needed === undefined) return undefined;
  if (!permissions.has(needed)) return missingPermission(vm, pool, me, needed);
  return action === 'logout' ? loginObstacle(vm, pool, { user: undefined }) : undefined;
}

/** As `disconnectRefusal`, as far as the API server's access review tells it. */
export async function disconnectDenial(
  cluster: Cluster,
  action: DisconnectAction,
  { namespace, name }: ObjectRef,
  me: string,
): Promise<VmopError | undefined> {
  const needed = NEEDS[action];
  if (needed === undefined) return undefined;
  try {
    const asked = { group: GROUP, resource: 'vms', verb: 'patch', namespace, name };
    if ((await cluster.canI(asked)).allowed) return undefined;
  } catch (error) {
    // Who may not ask tries.
    if (error instanceof ApiError) return undefined;
    throw error;
  }
  return new VmopError('forbidden', `the API server does not let ${me} patch vms "${name}"`, {
    hint:
      `no Role allows what ${needed} on ${name} takes; ` +
      `an administrator of namespace ${namespace} can change that: vmop access apply`,
    vm: name,
  });
}

const LOOK_AGAIN_MS = 500;
const LOGOUT_MS = 10_000;
/** Longer than the guest's agent may take: only a call that hangs comes to this. */
const LOGOUT_CALLS_MS = 30_000;

/** What became of the desktop. */
export interface DesktopReport {
  action: DisconnectAction;
  /** As it was asked for, or rightly left alone. */
  done: boolean;
  sentence: string;
  /** Why it was not done, where that was not known before the session. */
  code?: ErrorCode;
}

export interface DesktopHooks {
  onStep: (text: string) => void;
  onWarning: (text: string) => void;
}

export interface DesktopOptions {
  action: DisconnectAction;
  ended: EndedSession;
  /** Who was logged in through VM-Operator, or was to be, while the session lasted. */
  loggedIn: string | undefined;
  hooks: DesktopHooks;
  /** Gives up the waiting for an API server that is away; what can be done at once is done all the same. */
  signal: AbortSignal | undefined;
}

/** A person's words for it. */
const DEED: Record<'logout' | 'stop', string> = { logout: 'log out', stop: 'stop' };

/** The command that does it by hand. */
export function byHand(action: 'logout' | 'stop', vm: Pick<Vm, 'argument'>): string {
  return `vmop ${action} ${vmArgument(vm)}`;
}

/**
 * Deals with the desktop after a session, once it is clear that nobody has come back to it; undefined for `none`. While
 * the API server is away it is asked again for some minutes: what ended the session may be its restart. `afterwards`:
 * its calls have time-outs of their own. Never rejects.
 */
export async function dealWithDesktop(
  afterwards: Cluster,
  { namespace, name, argument }: Pick<Vm, 'namespace' | 'name' | 'argument'>,
  { action, ended, loggedIn, hooks, signal }: DesktopOptions,
): Promise<DesktopReport | undefined> {
  if (action === 'none') return undefined;
  if (action === 'lock') return { action, done: false, sentence: `${name} was not locked: ${NO_LOCK}` };
  const work = new DesktopWork(afterwards, { namespace, name }, action, { ended, loggedIn });
  for (let failures = 0; ; failures++) {
    try {
      return await work.attempt();
    } catch (error) {
      const reason = briefMessage(error);
      const failed = (code: ErrorCode): DesktopReport => ({
        action,
        done: false,
        sentence: `${name}: ${action} failed after its console was closed: ${reason}${isStatus(error, 403) ? '' : `; ${byHand(action, { argument })} does it by hand`}`,
        code,
      });
      const pause = isAway(error) ? reconnectPause(failures) : undefined;
      if (pause === undefined) return failed(error instanceof VmopError ? error.code : 'failed');
      if (failures === 0) {
        hooks.onWarning(
          `${name} cannot be asked to ${DEED[action]} yet: ${reason}; it is tried for some minutes, and Ctrl-C gives up`,
        );
      }
      hooks.onStep(`trying again in ${pause / 1000} s to ${DEED[action]} on ${name}`);
      try {
        await sleep(pause, undefined, signal && { signal });
      } catch {
        return failed(signal?.reason === 'SIGTERM' ? 'terminated' : 'interrupted');
      }
    }
  }
}

const OVERLOADED = new Set([429, 500, 502, 503, 504]);

/** Nobody answered, or nobody who could. A time-out that names a VM is the guest's. */
function isAway(error: unknown): boolean {
  if (error instanceof ApiError) return OVERLOADED.has(error.status.code);
  if (!(error instanceof VmopError)) return false;
  return error.code === 'unreachable' || (error.code === 'timeout' && error.vm === undefined);
}

/** What is known already stays known from one attempt to the next. */
class DesktopWork {
  readonly #cluster: Cluster;
  readonly #ref: ObjectRef;
  readonly #action: 'logout' | 'stop';
  readonly #ended: EndedSession;
  /** Who was there while the session lasted. */
  readonly #loggedIn: string | undefined;
  /** Who was to be logged out; a write whose answer was lost may have taken the wish back. */
  #user: string | undefined;

  constructor(
    cluster: Cluster,
    ref: ObjectRef,
    action: 'logout' | 'stop',
    { ended, loggedIn }: Pick<DesktopOptions, 'ended' | 'loggedIn'>,
  ) {
    this.#loggedIn = loggedIn;
    this.#cluster = cluster;
    this.#ref = ref;
    this.#action = action;
    this.#ended = ended;
  }

  async attempt(): Promise<DesktopReport> {
    const { name } = this.#ref;
    const { current, leave } = await this.#settled();
    if (current === undefined || leave !== undefined)
      return this.#done(`${name} is left as it is: ${leave ?? 'gone'}`);
    if (this.#action === 'logout') return this.#logOut(current);
    await setPowerState(this.#cluster, current, 'Stopped');
    return this.#done(`${name} was asked to stop, as its console is closed`);
  }

  async #logOut(vm: Vm): Promise<DesktopReport> {
    const pool = await governingPool(this.#cluster, vm);
    this.#user ??= wantedUser(vm, pool) ?? confirmedUser(vm);
    if (this.#user === undefined && this.#loggedIn !== undefined) {
      return this.#done(`${this.#loggedIn} is logged out on ${vm.name} already`);
    }
    if (this.#user === undefined) {
      const why = 'no log-in was asked for through VM-Operator, and one that was made by hand stays';
      const sentence = `nobody is logged out on ${vm.name}: ${why}`;
      return { action: this.#action, done: false, sentence, code: 'state' };
    }
    const signal = AbortSignal.timeout(LOGOUT_CALLS_MS);
    const wait = { timeoutMs: LOGOUT_MS, signal, onWarning: () => {} };
    try {
      await logIn(this.#cluster, vm, pool, { user: undefined }, wait);
    } catch (error) {
      // The confirmation may have come while the API server was away.
      const now = error instanceof VmopError && error.code === 'timeout' && (await this.#look());
      if (!now || confirmedUser(now) !== undefined) throw error;
    }
    return this.#done(`${this.#user} was logged out on ${vm.name}, as its console is closed`);
  }

  #done(sentence: string): DesktopReport {
    return { action: this.#action, done: true, sentence };
  }

  async #settled(): Promise<{ current?: Vm; leave?: string }> {
    // Counted anew after an API server was away: who came meanwhile may show late.
    const began = performance.now();
    for (;;) {
      const current = await this.#look();
      const next = afterSession(current, this.#ended, performance.now() - began);
      if (next === 'act' && current !== undefined) return { current };
      if (typeof next === 'object') return next;
      await sleep(LOOK_AGAIN_MS);
    }
  }

  async #look(): Promise<Vm | undefined> {
    try {
      return await this.#cluster.get(VMS, this.#ref);
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }
}
