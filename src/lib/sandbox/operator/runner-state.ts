import type { MachineEvent } from '../drivers/driver.ts';
import { RUNNER_VERSION } from './objects.ts';
import type { RunnerConfig } from './runner-config.ts';
import { RunnerDraft } from './runner-draft.ts';
import {
  agentSaid,
  applyPassword,
  consoleConnected,
  consoleDisconnected,
  reportDisconnect,
  reportUser,
  tellAgent,
} from './runner-guest.ts';
import { GUEST_IS_GONE } from './runner-status.ts';
import type {
  DisplayPassword,
  RunnerEffect,
  RunnerInput,
  RunnerOutcome,
  RunnerState,
} from './runner-types.ts';

export interface RunnerStep {
  state: RunnerState;
  /** To be carried out in this order. */
  effects: RunnerEffect[];
}

/** VM-Operator sets the first password only after it has reported that the VM runs. */
const FIRST_PASSWORD_DELAY_MS = 50;

/** What a runner does about one thing that happens; VM-Operator's order, reasons and traps. */
export function runnerStep(state: RunnerState, input: RunnerInput, now: Date): RunnerStep {
  const draft = new RunnerDraft(state, now);
  if (state.phase !== 'stopped') take(draft, input);
  return { state: draft.state, effects: draft.effects };
}

function take(draft: RunnerDraft, input: RunnerInput): void {
  switch (input.type) {
    case 'configured':
      return configured(draft, input.config, input.secret);
    case 'machine':
      return machineEvent(draft, input.event);
    case 'adopted':
      return adopted(draft);
    case 'lost':
      return lost(draft);
    case 'terminate':
      return terminate(draft, input.withinSeconds);
    case 'timer':
      return input.timer === 'displayPassword' ? applyPassword(draft) : powerdownIsOver(draft);
  }
}

function configured(draft: RunnerDraft, config: RunnerConfig, secret: DisplayPassword | undefined): void {
  const { state } = draft;
  const previous = state.config;
  state.config = config;
  if (state.phase === 'terminating') return;
  // The start's own password first: each of the two counts.
  if (state.phase === 'running') applyPassword(draft);
  state.pendingPassword = secret;
  draft.report({
    runnerVersion: RUNNER_VERSION,
    ...(config.hasDisplayPassword ? {} : { serial: -1 }),
  });
  if (state.phase === 'new') begin(draft, config);
  else if (state.phase === 'held' && config.currentCpus > 1) start(draft, config);
  else if (state.phase === 'starting') resize(draft, previous, config);
  else if (state.phase === 'created' || state.phase === 'running') reconfigure(draft, previous, config);
}

function begin(draft: RunnerDraft, config: RunnerConfig): void {
  if (draft.state.adopt) {
    draft.state.phase = 'adopting';
    draft.effect({ type: 'adopt', config });
  } else if (config.currentCpus > 1) start(draft, config);
  else hold(draft, config);
}

function start(draft: RunnerDraft, config: RunnerConfig): void {
  draft.state.phase = 'starting';
  draft.effect({ type: 'start', config });
}

function hold(draft: RunnerDraft, config: RunnerConfig): void {
  draft.state.phase = 'held';
  draft.log('the machine has one CPU only: it is never started');
  announce(draft, config);
}

function reconfigure(draft: RunnerDraft, previous: RunnerConfig | undefined, config: RunnerConfig): void {
  if (config.resetCounter > (previous?.resetCounter ?? 0)) draft.effect({ type: 'reset' });
  resize(draft, previous, config);
  if (draft.state.phase === 'running') applyPassword(draft);
  reportUser(draft);
  // Whatever the change was about, the agent is told again.
  if (draft.holds('VmopAgentConnected')) tellAgent(draft, config);
}

function resize(draft: RunnerDraft, previous: RunnerConfig | undefined, config: RunnerConfig): void {
  const { currentCpus: cpus, currentRamBytes: ramBytes } = config;
  if (cpus === previous?.currentCpus && ramBytes === previous.currentRamBytes) return;
  draft.effect({ type: 'resize', cpus, ramBytes });
}

/** RunnerStarted: everything that a previous run left is taken back. */
function announce(draft: RunnerDraft, config: RunnerConfig): void {
  if (draft.state.announced) return;
  draft.state.announced = true;
  const report = { status: false, reason: 'RunnerStarted', message: 'The runner has started' };
  const change = { cpus: 1, ramBytes: config.maximumRamBytes, ...NO_GUEST };
  draft.report(change, [{ type: 'Running', ...report }, { type: 'Booted', ...report }, ...GUEST_IS_GONE]);
  statusEvent(draft, report);
}

const NO_GUEST = { loggedInUser: undefined, consoleClient: '', osinfo: {} };

function machineEvent(draft: RunnerDraft, event: MachineEvent): void {
  switch (event.type) {
    case 'created':
      return created(draft, event.cpus, event.ramBytes);
    case 'started':
      return started(draft);
    case 'resized':
      return draft.report({ cpus: event.cpus, ramBytes: event.ramBytes });
    case 'booted':
      return booted(draft, event.osinfo);
    case 'agentLine':
      return agentSaid(draft, event.line);
    case 'agentGone':
      // VM-Operator does not take the condition back.
      return draft.log('vmop agent: the guest closed the port');
    case 'consoleConnected':
      return consoleConnected(draft, event.client, event.port);
    case 'consoleDisconnected':
      return consoleDisconnected(draft, event.client, event.port);
    case 'log':
      return draft.log(event.line);
    case 'exited':
      draft.log(`the machine has ended (${event.cause}): ${event.message}`);
      if (draft.state.phase !== 'terminating') reportTerminating(draft);
      return stopped(draft, event.cause === 'failed' ? 'failed' : 'succeeded');
  }
}

function created(draft: RunnerDraft, cpus: number, ramBytes: number): void {
  const { state } = draft;
  if (state.phase !== 'starting' || state.config === undefined) return;
  state.phase = 'created';
  announce(draft, state.config);
  draft.report({ cpus, ramBytes });
  reportUser(draft);
}

function started(draft: RunnerDraft): void {
  const { state } = draft;
  if (state.phase === 'adopting' ? draft.holds('Running') : state.phase !== 'created') return;
  if (state.phase === 'created') state.phase = 'running';
  reportPower(draft, { running: true, booted: false, reason: 'VmStarted', message: 'The machine runs' });
  draft.effect({ type: 'timer', timer: 'displayPassword', afterMs: FIRST_PASSWORD_DELAY_MS });
}

/** Also after a reset, which VM-Operator does not report. */
function booted(draft: RunnerDraft, osinfo: Record<string, string> = {}): void {
  if (draft.state.phase === 'terminating') return;
  draft.report(Object.keys(osinfo).length > 0 ? { osinfo } : {});
  if (draft.holds('Booted')) return;
  reportPower(draft, { running: true, booted: true, reason: 'VmBooted', message: 'The guest has booted' });
}

function adopted(draft: RunnerDraft): void {
  const { state } = draft;
  const { config } = state;
  if (state.phase !== 'adopting' || config === undefined) return;
  state.phase = 'running';
  state.announced = true;
  draft.log('took over the machine of an earlier process');
  if (state.console === undefined && draft.holds('ConsoleConnected')) reportDisconnect(draft, 'The client');
  applyPassword(draft);
  reportUser(draft);
  // Not told again when all is well: `logout` would end a session that was opened by hand.
  const settled = state.status.loggedInUser === config.loggedInUser;
  if (draft.holds('VmopAgentConnected') && !settled) tellAgent(draft, config);
}

function lost(draft: RunnerDraft): void {
  const { phase, config } = draft.state;
  if (phase !== 'adopting' || config === undefined) return;
  if (config.currentCpus <= 1) return hold(draft, config);
  draft.log('the machine ended while the sandbox was away');
  return stopped(draft, 'failed');
}

function terminate(draft: RunnerDraft, withinSeconds = Infinity): void {
  const { phase, config } = draft.state;
  const seconds = Math.min(config?.powerdownTimeoutSeconds ?? 0, withinSeconds);
  const timer = { type: 'timer', timer: 'powerdown', afterMs: seconds * 1000 } as const;
  if (phase === 'terminating') {
    // Asked again, and in more of a hurry.
    if (withinSeconds !== Infinity) draft.effect(timer);
    return;
  }
  reportTerminating(draft);
  draft.state.phase = 'terminating';
  if (phase === 'new' || phase === 'held') stopped(draft, 'succeeded');
  else draft.effect({ type: 'powerDown' }, timer);
}

function powerdownIsOver(draft: RunnerDraft): void {
  if (draft.state.phase !== 'terminating') return;
  draft.log('the guest has not powered down in time: the machine is ended');
  draft.effect({ type: 'kill' });
}

/** Running stays true, or even turns true, until the machine has gone. */
function reportTerminating(draft: RunnerDraft): void {
  const message = 'The VM is being shut down';
  reportPower(draft, { running: true, booted: false, reason: 'VmTerminating', message });
}

function stopped(draft: RunnerDraft, outcome: RunnerOutcome): void {
  draft.state.phase = 'stopped';
  const report = { status: false, reason: 'VmStopped', message: 'The VM has been shut down' };
  const change = { cpus: 0, ramBytes: 0, ...NO_GUEST };
  draft.report(change, [{ type: 'Running', ...report }, { type: 'Booted', ...report }, ...GUEST_IS_GONE]);
  statusEvent(draft, report);
  draft.effect({ type: 'finished', outcome });
}

interface PowerReport {
  running: boolean;
  booted: boolean;
  reason: string;
  message: string;
}

/** VM-Operator writes both conditions for each change of either. */
function reportPower(draft: RunnerDraft, { running, booted: up, ...report }: PowerReport): void {
  draft.report({}, [
    { type: 'Running', status: running, ...report },
    { type: 'Booted', status: up, ...report },
  ]);
  statusEvent(draft, report);
}

function statusEvent(draft: RunnerDraft, { reason, message }: { reason: string; message: string }): void {
  draft.effect({ type: 'event', action: 'StatusUpdate', reason, note: message });
}
