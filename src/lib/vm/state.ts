import type { Condition, ConditionType, Vm, VmPool } from './types.ts';

/** What a VM is doing, as far as its conditions can be trusted. */
export type VmPhase = 'running' | 'stopped' | 'starting' | 'stopping';

export function condition(vm: Vm, type: ConditionType): Condition | undefined {
  return vm.status.conditions.find((candidate) => candidate.type === type);
}

export function holds(vm: Vm, type: ConditionType): boolean {
  return condition(vm, type)?.status === 'True';
}

/**
 * Whether the guest's CPUs run. A pod that was killed by force leaves Running=True/VmTerminating behind for good:
 * terminating without a runner means dead.
 */
export function isRunning(vm: Vm): boolean {
  return holds(vm, 'Running') && !(isTerminating(vm) && vm.status.runnerVersion === undefined);
}

/** The runner powers the machine down, or it was killed while it did. */
export function isTerminating(vm: Vm): boolean {
  return condition(vm, 'Running')?.reason === 'VmTerminating';
}

export function phaseOf(vm: Vm): VmPhase {
  const up = isRunning(vm);
  if (vm.deleting) return up ? 'stopping' : 'stopped';
  if (vm.spec.state === 'Stopped') return up ? 'stopping' : 'stopped';
  return up && !isTerminating(vm) ? 'running' : 'starting';
}

/** A condition of a running VM that was last set when it was stopped, and whose message says that it still is. */
export function isStaleStop(vm: Vm, { type, reason }: Condition): boolean {
  return type !== 'Running' && reason === 'VmStopped' && isRunning(vm);
}

/** Why a VM that starts may never run; undefined when nothing is known to be in the way. */
export function startObstacle(vm: Vm): string | undefined {
  const running = condition(vm, 'Running');
  // The runner's default, too, when the field is absent.
  const { currentCpus } = vm.spec;
  const oneCpu = currentCpus === 1 || (currentCpus === undefined && vm.status.cpus === 1);
  if (phaseOf(vm) !== 'starting' || running?.reason !== 'RunnerStarted' || !oneCpu) return undefined;
  const is = currentCpus === undefined ? 'is absent, which the runner takes for 1' : 'is 1';
  return `spec.vm.currentCpus ${is}, and VM-Operator never lets such a VM run: set it to 2 or more`;
}

export interface ConsoleUse {
  connected: boolean;
  /** Who opened it through VM-Operator or vmop; absent for a viewer started by hand. */
  user?: string;
  client?: string;
  since?: Date;
}

/**
 * Who uses the console now. User and client of an earlier connection stay in the status: they count only while
 * connected, and a connection counts only when it is not older than the machine that runs. The name may still be an
 * earlier user's where somebody has connected with a viewer by hand.
 */
export function consoleUse(vm: Vm): ConsoleUse {
  const connection = condition(vm, 'ConsoleConnected');
  if (connection?.status !== 'True' || !isRunning(vm) || isOfEarlierRun(vm, connection)) {
    return { connected: false };
  }
  const { consoleUser, consoleClient } = vm.status;
  return {
    connected: true,
    ...(consoleUser === undefined ? {} : { user: consoleUser }),
    ...(consoleClient === undefined ? {} : { client: consoleClient }),
    ...(connection.lastTransitionTime === undefined ? {} : { since: connection.lastTransitionTime }),
  };
}

/** Set before the machine started that runs now; while it terminates, its time may be that of the beginning end. */
function isOfEarlierRun(vm: Vm, { lastTransitionTime: set }: Condition): boolean {
  const began = isTerminating(vm) ? undefined : condition(vm, 'Running')?.lastTransitionTime;
  return set !== undefined && began !== undefined && set < began;
}

/** Identifies the console connection that a VM shows; undefined when there is none. */
export function connectionOf(vm: Vm): string | undefined {
  const { connected, client, since } = consoleUse(vm);
  return connected ? `${client ?? ''} ${since?.getTime() ?? ''}` : undefined;
}

/** Who is logged in on the guest, as its agent confirmed. A machine that was killed leaves a name behind: nobody is. */
export function confirmedUser(vm: Vm): string | undefined {
  return isRunning(vm) ? vm.status.loggedInUser : undefined;
}

/** The user that the operator asks the guest to log in: a pool's assignment overrides the VM's own field. */
export function wantedUser(vm: Vm, pool: VmPool | undefined): string | undefined {
  const { assignment } = vm.status;
  return assignment && pool?.loginOnAssignment === true ? assignment.user : vm.spec.loggedInUser;
}

export type GuestAgent = 'connected' | 'absent' | 'silent';

/**
 * What is known of the guest's agent. The condition is not cleared when the agent goes away, so `connected` means
 * that it has greeted since the VM started.
 */
export function agentOf(vm: Vm): GuestAgent {
  if (!isRunning(vm)) return 'absent';
  return holds(vm, 'VmopAgentConnected') ? 'connected' : 'silent';
}

/**
 * Whether the guest agent will end a session that somebody opened by hand when anything makes the runner send its
 * wishes again: without a wanted user it sends `logout`, and the stock agent then restarts the display manager.
 */
export function resendEndsManualSession(vm: Vm, pool: VmPool | undefined): boolean {
  return isRunning(vm) && agentOf(vm) === 'connected' && wantedUser(vm, pool) === undefined;
}
