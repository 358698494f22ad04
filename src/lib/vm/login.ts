import { modify } from '../cluster/modify.ts';
import type { Cluster, Patch } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { followVm, type Lateness, type Verdict } from './follow.ts';
import { VMS } from './parse.ts';
import { kubectlArgument, refOf, specVmPatch, type WriteMode, vmArgument } from './write.ts';
import { RunnerLog } from './runner-log.ts';
import { sanitize } from '../text.ts';
import { permissionsOn, type Subject } from './permissions.ts';
import { confirmedUser, consoleUse, holds, phaseOf, resendEndsManualSession } from './state.ts';
import type { Vm, VmPool } from './types.ts';

const USER_NAME = /^[a-z_][a-z0-9_-]{0,31}$/;

/**
 * Why a name is not fit to be logged in on a guest; undefined when it is. The name reaches YAML and a line protocol
 * unescaped, and the stock agent refuses root.
 */
export function guestUserProblem(name: string): string | undefined {
  if (name === 'root') return 'root is never logged in on a desktop';
  if (!USER_NAME.test(name)) {
    return 'a user name is 1 to 32 of a–z, 0–9, _ and -, and begins with a letter or _';
  }
  return undefined;
}

/** What the guest shall do: log in `user`, or log out whoever is there. */
export interface LoginRequest {
  user: string | undefined;
}

/** What stands between a VM and a changed log-in, whether or not it runs; undefined when nothing does. */
export function loginObstacle(
  vm: Vm,
  pool: VmPool | undefined,
  { user }: LoginRequest,
): VmopError | undefined {
  const assigned =
    vm.status.assignment && pool?.loginOnAssignment === true ? vm.status.assignment : undefined;
  if (assigned && assigned.user !== user) {
    return new VmopError(
      'state',
      `${vm.name} is assigned to ${assigned.user} by pool ${assigned.pool}, which logs in its user whatever the VM says`,
      {
        hint: `release the VM first: kubectl edit vm ${kubectlArgument(vm)} --subresource=status`,
        vm: vm.name,
      },
    );
  }
  return undefined;
}

/**
 * The refusal of a changed log-in for want of takeConsole: it ends the desktop of whoever uses the console. undefined
 * where nobody else does, or nothing would change.
 */
export function loginRefusal(
  vm: Vm,
  pool: VmPool | undefined,
  subject: Subject,
  { user }: LoginRequest,
): VmopError | undefined {
  const use = consoleUse(vm);
  if (!use.connected || use.user === subject.name || vm.spec.loggedInUser === user) return undefined;
  if (permissionsOn(vm, pool, subject).has('takeConsole')) return undefined;
  const who = sanitize(use.user ?? 'somebody');
  return new VmopError(
    'forbidden',
    `${who} is connected to ${vm.name}, and ${subject.name} does not hold takeConsole`,
    { hint: `ask ${who} to leave, or an administrator for the permission`, vm: vm.name },
  );
}

/** A wish on a stopped VM would only come true at its next start: nothing to wait for. */
function notRunning(vm: Vm, { user }: LoginRequest): VmopError | undefined {
  const phase = phaseOf(vm);
  if (phase === 'running' || phase === 'starting') return undefined;
  const what = user === undefined ? 'log out' : 'log in';
  return new VmopError('state', `${vm.name} is ${phase}: nobody can ${what} there`, {
    hint: `vmop start ${vmArgument(vm)}; or vmop login --no-wait to leave the wish for its next start`,
    vm: vm.name,
  });
}

/** A sentence when the change may end a session that somebody opened by hand; undefined when it cannot. */
export function loginDisturbance(
  vm: Vm,
  pool: VmPool | undefined,
  { user }: LoginRequest,
): string | undefined {
  // What is wanted already is not written again.
  if (vm.spec.loggedInUser === user || !resendEndsManualSession(vm, pool)) return undefined;
  return (
    `nobody is logged in on ${vm.name} through VM-Operator; ` +
    'if somebody logged in there by hand, the guest restarts its display manager and that session ends'
  );
}

/** Writes the wish into `spec.vm.display.loggedInUser`; removed, not emptied, to log out. */
export async function requestLogin(
  cluster: Cluster,
  vm: Vm,
  { user }: LoginRequest,
  mode: WriteMode = {},
): Promise<{ object: Vm; written: boolean }> {
  const decide = (current: Vm): Patch | undefined =>
    current.spec.loggedInUser === user
      ? undefined
      : specVmPatch(current, { display: { loggedInUser: user ?? null } });
  return modify(cluster, VMS, refOf(vm), decide, { ...mode, first: vm });
}

/** Done only when the guest said so: the condition UserLoggedIn is true before the log-in is complete. */
export function loginVerdict(vm: Vm, { user }: LoginRequest): Verdict<Vm> {
  if (phaseOf(vm) === 'stopped') {
    const error = new VmopError('state', `${vm.name} was stopped meanwhile`, {
      hint: `vmop start ${vmArgument(vm)}`,
      vm: vm.name,
    });
    return { failed: error };
  }
  return confirmedUser(vm) === user ? { done: vm } : undefined;
}

export interface LoginWait {
  timeoutMs: number;
  signal: AbortSignal;
  /** Told before the wish is written when it may end somebody's session. */
  onWarning: (sentence: string) => void;
}

/**
 * Asks and waits until the guest's agent has confirmed. `pool` is the assignment's. Errors: `state` when the VM does
 * not run or a pool decides who is logged in, `guest` with the agent's own line when it refuses, `guest` when no agent
 * has greeted by the end of the time, `timeout` when one has but does not confirm.
 */
export async function logIn(
  cluster: Cluster,
  vm: Vm,
  pool: VmPool | undefined,
  request: LoginRequest,
  wait: LoginWait,
): Promise<Vm> {
  const obstacle = loginObstacle(vm, pool, request) ?? notRunning(vm, request);
  if (obstacle) throw obstacle;
  const disturbance = loginDisturbance(vm, pool, request);
  if (disturbance !== undefined) wait.onWarning(disturbance);
  const finished = new AbortController();
  const signal = AbortSignal.any([wait.signal, finished.signal]);
  const log = new RunnerLog(cluster, refOf(vm));
  const earlierRefusal = await log.mark(wait.signal);
  wait.signal.throwIfAborted();
  const { object, written } = await requestLogin(cluster, vm, request);
  if (!written) {
    if (confirmedUser(object) === request.user) return object;
    // The wish stood already and nothing sends it again: what the agent said then is still its answer.
    if (earlierRefusal !== undefined) throw refusedError(vm, request, earlierRefusal);
  }
  try {
    const followed = followVm(cluster, object, {
      resource: VMS,
      timeoutMs: wait.timeoutMs,
      signal,
      decide: (current) => loginVerdict(current, request),
      describe: (current) => describeLateLogin(current ?? object, request, log),
    });
    // When the agent refuses first, the watch ends by the abort below and nobody waits for it.
    followed.catch(() => {});
    const refused = async (): Promise<Vm> => {
      const line = await log.refusal(signal);
      if (line !== undefined) throw refusedError(vm, request, line);
      return followed;
    };
    return await Promise.race([followed, refused()]);
  } finally {
    finished.abort();
  }
}

function wish({ user }: LoginRequest): string {
  return user === undefined ? 'log out' : `log in ${user}`;
}

function refusedError(vm: Vm, request: LoginRequest, line: string): VmopError {
  return new VmopError('guest', `${vm.name}: the guest's agent refused to ${wish(request)}: ${line}`, {
    hint: 'the reason is in the guest: its agent writes to the journal there',
    vm: vm.name,
  });
}

/** A time-out without any agent is the guest's fault, not a matter of patience. */
function describeLateLogin(vm: Vm, request: LoginRequest, { unreadable, agentLines }: RunnerLog): Lateness {
  if (!holds(vm, 'VmopAgentConnected')) {
    const booted = holds(vm, 'Booted') ? 'the guest has booted' : 'the guest is not known to have booted';
    return {
      code: 'guest',
      state: `no agent in the guest has greeted, which alone could ${wish(request)} (${booted})`,
      hint: 'the guest needs the VM-Operator agent (vmop_agent) for its virtio port org.jdrupes.vmop_agent.0',
    };
  }
  const who = vm.status.loggedInUser;
  const later = `the wish stays: vmop wait ${vmArgument(vm)} --for ${request.user === undefined ? 'logout' : `login=${request.user}`}`;
  const log =
    unreadable === undefined
      ? agentLines.length === 0
        ? "the runner's log says nothing of the agent"
        : `the runner's log says last of the agent: ${agentLines.join(' | ')}`
      : `a refusal would show only in the runner's log, which cannot be read: ${unreadable}`;
  return {
    state: `the guest's agent has not confirmed to ${wish(request)}; ${who ?? 'nobody'} is logged in`,
    hint: `${later}; ${log}`,
  };
}
