import type { VmopError } from '../../errors.ts';
import { sanitize } from '../../text.ts';
import { connectionOf, isRunning, phaseOf } from '../../vm/state.ts';
import type { Vm } from '../../vm/types.ts';
import type { DisplayEvent } from './display-event.ts';
import type { ViewerEnd } from '../viewer/launch.ts';

/** How a console session ended. Texts are sanitized. */
export type SessionOutcome =
  /** Only where the session is followed no further (`until: 'connected'`). */
  | { kind: 'connected' }
  | { kind: 'windowClosed' }
  | { kind: 'passwordRefused' }
  | { kind: 'unreachable'; reason: string }
  /** Somebody connected elsewhere; `own`: oneself. */
  | { kind: 'takenOver'; by?: string; from?: string; own?: true }
  | { kind: 'vmStopped'; deleted?: true }
  /** The server hung up, and neither of the above is to be seen. */
  | { kind: 'connectionLost' }
  /** No answer (`link`), or no picture (`display`): the password may have run out in between. */
  | { kind: 'viewerHung'; stage: 'link' | 'display' }
  | { kind: 'viewerFailed'; reason: string; hint?: string }
  /** It might not be opened any more when somebody wanted to connect. */
  | { kind: 'notAdmitted'; error: VmopError }
  | { kind: 'interrupted' };

export type SessionInput =
  | { type: 'viewer'; event: DisplayEvent }
  /** `lastLine`: what it wrote last. */
  | { type: 'viewerEnded'; end: ViewerEnd; lastLine: string | undefined }
  /** undefined: the VM was deleted. */
  | { type: 'vm'; vm: Vm | undefined }
  | { type: 'interrupted' }
  /** Time has passed: `nextDeadline` was reached. */
  | { type: 'tick' };

export interface SessionRules {
  /** As VM-Operator names the user who opens the console. */
  me: string;
  /** The viewer reports what it does. */
  understood: boolean;
  /** `connected`: somebody else looks after the viewer from then on. */
  until: 'connected' | 'ended';
  /** How long the server may be silent, and how long the picture may be missing. */
  hangAfterMs: number;
}

/** Times are milliseconds on any clock that only goes forward. */
export interface SessionState {
  rules: SessionRules;
  startedAt: number;
  /** The password was accepted; with a viewer that does not report, VM-Operator sees a new connection. */
  connected: boolean;
  /** All channels are most likely open, so that the password is needed no more. Never with a viewer that does not report. */
  channelsUp: boolean;
  mainOpenedAt?: number;
  /** How often it was opened: a page that is loaded anew opens it again. */
  mainsOpened: number;
  /** The latest display's. */
  displayAt?: number;
  /** The connection is over, and its cause is looked for until some time after. */
  ending?: { at: number; by: 'server' | 'viewer' };
  /** The viewer has begun to call the server. */
  linking: boolean;
  destroyed: boolean;
  windowClosing: boolean;
  vm: { latest: Vm | undefined; at: number; downAt?: number };
  /** The console connection that VM-Operator showed before the viewer was started; then the viewer's own. */
  knownConnection: string | undefined;
  /** Connections seen since the viewer was started: as many as it has opened are its own, the next is somebody else's. */
  connectionsSeen: number;
  /** When the latest of them was seen. */
  connectionAt?: number;
  /** Since when its own connection is shown no more, while the viewer says nothing of it. */
  unseenSince?: number;
  /** `status.consoleUser` was oneself at some time of the session. */
  wasUser: boolean;
  /** `status.consoleUser` before the viewer was started; it may be left over from an earlier session. */
  firstUser: string | undefined;
  outcome?: SessionOutcome;
}

/** How long after its end the cause of a connection's end may take to show in the VM's status. */
const CAUSE_MS = 2000;
/** How far apart the viewer's word of its connection and the VM's status of it may be. */
const STATUS_MS = 2000;
/** How long a connection that QEMU has ended may seem to go on for its viewer: its network may be dead. */
const UNSEEN_MS = 10_000;
/** The status tells times in whole seconds. */
const GRAIN_MS = 1500;
/** How long a viewer may take to notice that its VM is gone. */
const NOTICE_MS = 5000;
/** How long a reason may come after the viewer gave up: it writes to two pipes. */
const REASON_MS = 300;
/** The other channels are opened at the same time as the display's, but each of them takes its own round trips. */
const SETTLE_MS = 1500;
const SETTLE_FACTOR = 3;

export function startSession(rules: SessionRules, vm: Vm, at: number): SessionState {
  return {
    rules,
    startedAt: at,
    connected: false,
    channelsUp: false,
    linking: false,
    destroyed: false,
    windowClosing: false,
    vm: { latest: vm, at },
    knownConnection: connectionOf(vm),
    connectionsSeen: 0,
    mainsOpened: 0,
    wasUser: vm.status.consoleUser === rules.me,
    firstUser: vm.status.consoleUser,
  };
}

/** Whom the VM names as the console's user while the session lasts. */
export function sessionUser({ wasUser, firstUser, rules }: SessionState): string | undefined {
  return wasUser ? rules.me : firstUser;
}

/** What a session makes of one input. After an outcome nothing changes any more. */
export function sessionStep(state: SessionState, input: SessionInput, at: number): SessionState {
  if (state.outcome) return state;
  const next = ripened(afterInput(state, input, at), at);
  if (next.outcome === undefined && next.connected && next.rules.until === 'connected') {
    return { ...next, outcome: { kind: 'connected' } };
  }
  return next;
}

function afterInput(state: SessionState, input: SessionInput, at: number): SessionState {
  switch (input.type) {
    case 'viewer':
      return afterEvent(state, input.event, at);
    case 'viewerEnded':
      return afterEnd(state, input, at);
    case 'vm':
      return afterVm(state, input.vm, at);
    case 'interrupted':
      return { ...state, outcome: { kind: 'interrupted' } };
    default:
      return state;
  }
}

function afterEvent(state: SessionState, event: DisplayEvent, at: number): SessionState {
  const opened = state.mainOpenedAt !== undefined;
  const end = (outcome: SessionOutcome): SessionState => ({ ...state, outcome });
  switch (event.type) {
    case 'linking':
      return { ...state, linking: true };
    case 'mainOpened':
      return afterMainOpened(state, at);
    case 'displayCreated':
      return { ...state, displayAt: at };
    case 'windowClosing':
      return { ...state, windowClosing: true };
    case 'mainClosed':
      // Its own end of the channel is destroyed first when the viewer closes it.
      return state.destroyed ? state : { ...state, ending: { at, by: 'server' } };
    case 'mainDestroyed':
      return { ...state, destroyed: true, ending: state.ending ?? { at, by: 'viewer' } };
    case 'passwordRefused':
      return end({ kind: 'passwordRefused' });
    case 'connectFailed':
      return opened ? state : end(unreachable(event.reason));
    case 'certificateRefused':
      return opened ? state : end(unreachable(`its certificate is refused: ${event.reason}`));
    case 'linkBroken':
      return opened ? state : end(unreachable('it hangs up, or it is no SPICE server'));
    case 'notAdmitted':
      return end({ kind: 'notAdmitted', error: event.error });
    case 'waiting': {
      const { unseenSince: _none, ...rest } = state;
      return { ...rest, connectionsSeen: 0 };
    }
    case 'failed':
      return end({
        kind: 'viewerFailed',
        reason: event.reason,
        ...(event.hint === undefined ? {} : { hint: event.hint }),
      });
    case 'unsupported':
      return end({
        kind: 'viewerFailed',
        reason: `it cannot show ${event.kind} consoles`,
        hint: 'it was built without: another may be named with --viewer, and --web needs none',
      });
    case 'fileRejected':
      return end({
        kind: 'viewerFailed',
        reason: `it does not understand the connection file: ${event.reason}`,
      });
    case 'noDesktop':
      return end({
        kind: 'viewerFailed',
        reason: `it finds no desktop to show itself on ${event.display}`.trimEnd(),
      });
    default:
      return state;
  }
}

function unreachable(reason: string): SessionOutcome {
  return { kind: 'unreachable', reason: reason === '' ? 'the viewer gives no reason' : reason };
}

function afterEnd(
  state: SessionState,
  { end, lastLine }: Extract<SessionInput, { type: 'viewerEnded' }>,
  at: number,
): SessionState {
  if (state.ending?.by === 'server') return state;
  if (end.stopped) return { ...state, outcome: { kind: 'interrupted' } };
  if (end.signal !== null || (end.code !== 0 && end.code !== null)) {
    const how = end.signal === null ? `it ended with code ${end.code}` : `it was ended by ${end.signal}`;
    const said = lastLine === undefined ? how : `${how}: ${lastLine}`;
    const reason = end.notStarted === undefined ? said : `it cannot be started: ${end.notStarted}`;
    return { ...state, outcome: { kind: 'viewerFailed', reason } };
  }
  if (state.rules.understood && (state.mainOpenedAt !== undefined || state.windowClosing)) {
    return { ...state, outcome: { kind: 'windowClosed' } };
  }
  // The status may still be on its way: it tells whether there was a connection, and who ended it.
  return { ...state, ending: { at, by: 'viewer' } };
}

function afterVm(state: SessionState, vm: Vm | undefined, at: number): SessionState {
  const down = vm === undefined || !isRunning(vm);
  const next: SessionState = {
    ...state,
    vm: { latest: vm, at, ...(down ? { downAt: state.vm.downAt ?? at } : {}) },
    wasUser: state.wasUser || vm?.status.consoleUser === state.rules.me,
  };
  const { ending, connected, rules } = next;
  const over = ending?.by === 'server' || (ending !== undefined && connected && !rules.understood);
  if (over && isStopping(next)) return { ...next, outcome: stopped(next) };
  const connection = vm && connectionOf(vm);
  if (connection === undefined) {
    const since = state.unseenSince ?? at;
    return state.connectionsSeen > 0 && connected ? { ...next, unseenSince: since } : next;
  }
  delete next.unseenSince;
  if (connection === state.knownConnection) return next;
  if (over) return { ...next, outcome: takenOver(next) };
  return afterConnection({ ...next, connectionAt: at }, connection, at);
}

/** The VM shows a connection that it did not show before. */
function afterConnection(state: SessionState, connection: string, at: number): SessionState {
  const { rules, connected, ending, mainOpenedAt, mainsOpened } = state;
  // Before the viewer is connected it can only be somebody's whom it will disconnect, or its own, told early.
  if (rules.understood && !connected) return { ...state, knownConnection: connection };
  const own = mainOpenedAt !== undefined && at - mainOpenedAt <= STATUS_MS;
  if (own) return { ...state, knownConnection: connection, connectionsSeen: mainsOpened };
  const allowed = rules.understood ? mainsOpened : 1;
  if (state.connectionsSeen >= allowed && ending === undefined) {
    return { ...state, outcome: takenOver(state) };
  }
  return {
    ...state,
    knownConnection: connection,
    connectionsSeen: state.connectionsSeen + 1,
    connected: connected || !rules.understood,
  };
}

function afterMainOpened(state: SessionState, at: number): SessionState {
  const mainsOpened = state.mainsOpened + 1;
  // The status may be quicker than the viewer's word.
  const told = state.connectionAt !== undefined && at - state.connectionAt <= STATUS_MS;
  const connectionsSeen = told ? mainsOpened : state.connectionsSeen;
  return { ...state, mainOpenedAt: at, mainsOpened, connectionsSeen, connected: true };
}

function takenOver({ vm, rules: { me } }: SessionState): SessionOutcome {
  const { consoleUser, consoleClient } = vm.latest?.status ?? {};
  return {
    kind: 'takenOver',
    ...(consoleUser === me ? { own: true } : {}),
    ...(consoleUser === undefined ? {} : { by: sanitize(consoleUser) }),
    ...(consoleClient === undefined ? {} : { from: sanitize(consoleClient) }),
  };
}

function stopped({ vm }: SessionState): SessionOutcome {
  return { kind: 'vmStopped', ...(vm.latest === undefined ? { deleted: true } : {}) };
}

/** As far as it is known, the VM is on its way down, or gone. */
function isStopping({ vm: { latest } }: SessionState): boolean {
  return latest === undefined || phaseOf(latest) !== 'running';
}

/** What only time decides, and what was known before. */
function ripened(state: SessionState, at: number): SessionState {
  if (state.outcome) return state;
  if (state.ending?.by === 'server' && isStopping(state)) return { ...state, outcome: stopped(state) };
  const due = (deadline: number | undefined): boolean => deadline !== undefined && at >= deadline;
  const { ending, channels, display, link, down, unseen } = deadlines(state);
  if (due(ending)) return { ...state, outcome: endedOutcome(state) };
  if (due(down)) return { ...state, outcome: stopped(state) };
  if (due(unseen)) return { ...state, outcome: { kind: 'connectionLost' } };
  if (due(display)) return { ...state, outcome: { kind: 'viewerHung', stage: 'display' } };
  if (due(link)) return { ...state, outcome: { kind: 'viewerHung', stage: 'link' } };
  return due(channels) ? { ...state, channelsUp: true } : state;
}

type Deadline = 'ending' | 'channels' | 'display' | 'link' | 'down' | 'unseen';

function deadlines(state: SessionState): Partial<Record<Deadline, number>> {
  const { rules, startedAt, mainOpenedAt, displayAt, ending, vm } = state;
  if (ending) {
    const lost = ending.by === 'server' || !rules.understood;
    return { ending: ending.at + (lost ? CAUSE_MS : REASON_MS) };
  }
  const found: Partial<Record<Deadline, number>> = {};
  if (vm.downAt !== undefined) found.down = vm.downAt + NOTICE_MS;
  if (state.unseenSince !== undefined) found.unseen = state.unseenSince + UNSEEN_MS;
  if (!state.connected && (rules.understood || rules.until === 'connected'))
    found.link = startedAt + rules.hangAfterMs;
  if (mainOpenedAt !== undefined && displayAt === undefined) found.display = mainOpenedAt + rules.hangAfterMs;
  if (mainOpenedAt !== undefined && displayAt !== undefined && !state.channelsUp) {
    found.channels = displayAt + Math.max(SETTLE_MS, SETTLE_FACTOR * (displayAt - mainOpenedAt));
  }
  return found;
}

/** When time alone will change something; undefined: never. */
export function nextDeadline(state: SessionState): number | undefined {
  if (state.outcome) return undefined;
  const all = Object.values(deadlines(state));
  return all.length === 0 ? undefined : Math.min(...all);
}

/** The connection is over, and nothing more came that would say why. */
function endedOutcome(state: SessionState): SessionOutcome {
  const { rules, ending, mainOpenedAt, connected, windowClosing, vm } = state;
  const user = vm.latest?.status.consoleUser;
  // Whoever opens a console puts down a name first.
  const other = user !== undefined && user !== rules.me && (user !== state.firstUser || state.wasUser);
  if (ending?.by === 'server') {
    // A connection counts when it was seen after ours had ended. Our own may be shown for a minute longer, until QEMU
    // gives up a silent client; one from the same address within the status' second cannot be told from it.
    const present = vm.latest !== undefined && vm.at >= ending.at ? connectionOf(vm.latest) : undefined;
    const short = mainOpenedAt !== undefined && ending.at - mainOpenedAt < GRAIN_MS;
    const busy = present !== undefined && (short || present !== state.knownConnection);
    return busy || other ? takenOver(state) : { kind: 'connectionLost' };
  }
  if (rules.understood && state.linking && mainOpenedAt === undefined && !windowClosing)
    return unreachable('');
  if (connected && !rules.understood && other) return takenOver(state);
  if (connected || windowClosing) return { kind: 'windowClosed' };
  return { kind: 'viewerFailed', reason: 'it ended before it had connected' };
}
