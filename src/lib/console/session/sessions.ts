import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../../cluster/types.ts';
import { VmopError } from '../../errors.ts';
import { followVm } from '../../vm/follow.ts';
import { VMS } from '../../vm/parse.ts';
import { describeLateStart } from '../../vm/power.ts';
import { confirmedUser, phaseOf, wantedUser } from '../../vm/state.ts';
import type { Vm } from '../../vm/types.ts';
import { refOf } from '../../vm/write.ts';
import { dealWithDesktop, type DesktopReport } from './desktop.ts';
import type { DisconnectAction } from '../../console-choices.ts';
import { sessionError } from './report.ts';
import { PasswordWithheld } from '../console-password.ts';
import { namedUse, releaseConsoleUser } from '../console-user.ts';
import { prepareConsole, type PreparedConsole } from '../prepare.ts';
import { secretWriteDisturbance } from '../secret/disturbance.ts';
import { mayPass, reconnectPause, wasDropped } from './reconnect.ts';
import type { ConsoleHooks, ConsoleRequest } from '../request.ts';
import { showConsole, type ConsoleSession, type Presentation } from './show.ts';

export interface SessionsOptions {
  request: ConsoleRequest;
  presentation: Presentation;
  detach: boolean;
  /** Open it again when it was dropped. */
  reconnect: boolean;
  onDisconnect: DisconnectAction;
  /** What is so now: hours may lie between two sessions. */
  standing?: ((vm: Vm) => Promise<Pick<ConsoleRequest, 'permissions' | 'pool'>>) | undefined;
  /** Told of the console connection that is the session's, as the VM shows it, whenever that changes. */
  onConnection?: ((connection: string | undefined, user: string | undefined) => void) | undefined;
  /** Told before the desktop is dealt with, and `false` afterwards: in between there is something left to do. */
  onLeaving?: ((pending: boolean) => void) | undefined;
  /** Told what became of the desktop, also where the session ended with an error. */
  onDesktop?: ((report: DesktopReport) => void) | undefined;
  /** Waits before the next attempt. */
  pause?: ((ms: number, signal: AbortSignal) => Promise<unknown>) | undefined;
}

/** The last session, and what it was shown from. */
export interface ConsoleOutcome {
  prepared: PreparedConsole;
  session: ConsoleSession;
  /** What became of the desktop; absent where nothing was to be done. */
  desktop?: DesktopReport;
}

/** A session that lasted so long was a success. */
const STEADY_SECONDS = 30;

const pauseFor = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, undefined, { signal });

/** How long a machine that went away may take to run again. */
const RUNNING_AGAIN_MS = 5 * 60_000;

/**
 * Opens a console and stays until its session is over; opens it again after it was dropped, where that was asked for;
 * and deals with the desktop at the end, however that came. Resolves however the last session went; rejects when no
 * console could be opened, and with the signal's reason.
 */
export async function runSessions(
  cluster: Cluster,
  vm: Vm,
  options: SessionsOptions,
  hooks: ConsoleHooks,
): Promise<ConsoleOutcome> {
  const { request, presentation } = options;
  const seen: SeenSessions = { own: new Set() };
  let desktop: DesktopReport | undefined;
  const wrapUp = async (): Promise<void> => {
    const { last } = seen;
    try {
      await presentation.close?.(last && sessionError(last.session, last.prepared, presentation, request));
    } finally {
      desktop = await leaveDesktop(seen, vm, options, hooks);
      if (desktop) options.onDesktop?.(desktop);
      // After the desktop: until then the API server may take a connection that still shows for somebody else's.
      await leaveName(seen, request, hooks);
    }
  };
  let outcome: ConsoleOutcome;
  try {
    await presentation.open?.();
    outcome = await openUntilOver(cluster, vm, options, hooks, seen);
    request.signal.throwIfAborted();
  } catch (error) {
    await wrapUp();
    throw error;
  }
  await wrapUp();
  return { ...outcome, ...(desktop && { desktop }) };
}

/** Of one run: the last session, and the last one that had the desktop. */
interface SeenSessions {
  prepared?: PreparedConsole;
  last?: ConsoleOutcome;
  connected?: ConsoleOutcome;
  /** Connections that are its own. */
  own: Set<string>;
}

async function leaveName(
  { prepared, last, connected, own }: SeenSessions,
  { me, afterwards }: ConsoleRequest,
  hooks: ConsoleHooks,
): Promise<void> {
  const goesOn = last?.session.outcome.kind === 'connected';
  if (prepared === undefined || goesOn) return;
  const use = namedUse(prepared.before, { me, connected: connected !== undefined, own });
  await releaseConsoleUser(afterwards, use, hooks);
}

/** What was asked for when the session ends; a desktop to which nobody ever came is left alone. */
async function leaveDesktop(
  { connected }: SeenSessions,
  vm: Vm,
  { request, onDisconnect: action, onLeaving }: SessionsOptions,
  hooks: ConsoleHooks,
): Promise<DesktopReport | undefined> {
  if (connected === undefined) return undefined;
  const { signal, afterwards } = request;
  const { outcome, connection, user } = connected.session;
  const { vm: then } = connected.prepared;
  if (action !== 'none') hooks.onStep('looking whether somebody comes back to the desktop');
  onLeaving?.(true);
  const report = await dealWithDesktop(afterwards, vm, {
    action,
    ended: { outcome: outcome.kind, uid: vm.uid, connection, user },
    loggedIn: request.login?.user ?? wantedUser(then, request.pool) ?? confirmedUser(then),
    hooks,
    // What ended the session does not end this, too.
    signal: signal.aborted ? undefined : signal,
  });
  onLeaving?.(false);
  if (report) (report.done ? hooks.onNote : hooks.onWarning)(report.sentence);
  return report;
}

async function openUntilOver(
  cluster: Cluster,
  first: Vm,
  options: SessionsOptions,
  hooks: ConsoleHooks,
  seen: SeenSessions,
): Promise<ConsoleOutcome> {
  const { request, presentation, reconnect, pause: wait = pauseFor } = options;
  const { signal } = request;
  let vm = first;
  let asked = request;
  let everConnected = false;
  let failures = 0;
  for (;;) {
    let dropped: VmopError;
    let outcome: ConsoleOutcome | undefined;
    try {
      if (failures > 0) vm = await runningAgain(cluster, vm, request, hooks);
      // Whoever has come since the first time is not thrown out.
      const again = failures > 0;
      if (again) asked = { ...request, ...(await options.standing?.(vm)), take: false };
      const prepared = await prepareConsole(cluster, vm, asked, hooks, { own: seen.own, again });
      seen.prepared = prepared;
      if (reconnect && !again) warnOfWithheld(prepared, asked, hooks);
      const session = await showConsole(
        cluster,
        prepared,
        presentation,
        { ...options, request: asked },
        hooks,
      );
      outcome = { prepared, session };
      seen.last = outcome;
      if (session.connected) {
        everConnected = true;
        seen.connected = outcome;
        // One that breaks at once again and again is not opened for ever.
        if (session.seconds >= STEADY_SECONDS) failures = 0;
      }
      const error = sessionError(session, prepared, presentation, asked);
      const wanted = reconnect && everConnected && wasDropped(session.outcome);
      if (!wanted || error === undefined || signal.aborted) return outcome;
      dropped = error;
    } catch (error) {
      const passes =
        error instanceof VmopError && mayPass(error.code) && !(error instanceof PasswordWithheld);
      if (!reconnect || !everConnected || !passes || signal.aborted) throw error;
      dropped = error;
    }
    const pause = reconnectPause(failures);
    if (pause === undefined) {
      throw new VmopError(dropped.code, `${dropped.message}; ${failures} attempts to come back failed`, {
        hint: dropped.hint,
        vm: vm.name,
        cause: dropped,
      });
    }
    failures += 1;
    const again = `${dropped.message}; opening it again in ${pause / 1000} s (attempt ${failures})`;
    hooks.onWarning(again);
    presentation.pause?.(again);
    await wait(pause, signal);
  }
}

/** Said at the beginning, when there is still a choice. */
function warnOfWithheld(
  { vm, password: { stored } }: PreparedConsole,
  { pool, login }: ConsoleRequest,
  { onWarning }: ConsoleHooks,
): void {
  const lasts = stored.kind === 'none' || stored.expiry.kind === 'never';
  // Once somebody is logged in through VM-Operator a new password logs out nobody.
  if (lasts || login !== undefined || secretWriteDisturbance(vm, pool) === undefined) return;
  onWarning(
    `--reconnect brings ${vm.name} back only while its display password lasts, because a new one would log out ` +
      'whoever sits there: --validity 8h makes one that lasts',
  );
}

/** The VM as it is now, once it runs: it may have been restarted, or moved to another node. Error: `timeout`. */
async function runningAgain(
  cluster: Cluster,
  vm: Vm,
  { signal }: ConsoleRequest,
  hooks: ConsoleHooks,
): Promise<Vm> {
  return followVm(
    cluster,
    { ...refOf(vm), uid: vm.uid },
    {
      resource: VMS,
      decide: (current) => {
        if (phaseOf(current) === 'running') return { done: current };
        hooks.onStep(`waiting until ${current.name} runs again: it is ${phaseOf(current)}`);
        return undefined;
      },
      describe: describeLateStart,
      timeoutMs: RUNNING_AGAIN_MS,
      signal,
    },
  );
}
