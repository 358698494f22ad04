import { parseAgentLine } from '../../guest/agent-line.ts';
import type { RunnerConfig } from './runner-config.ts';
import type { RunnerDraft } from './runner-draft.ts';
import type { ConditionChange } from './runner-status.ts';

/**
 * An unchanged password is not set again and does not count; a changed one counts as soon as it was handed over,
 * even when the machine refuses it, and before its expiry is.
 */
export function applyPassword(draft: RunnerDraft): void {
  const { pendingPassword, password: known, status } = draft.state;
  draft.state.pendingPassword = undefined;
  const { password, expiry } = pendingPassword ?? {};
  if (password === undefined) return;
  const fresh = password !== known.password;
  if (fresh) {
    draft.effect({ type: 'setPassword', password });
    draft.report({ serial: Math.max(status.serial, 0) + 1 });
  }
  if (expiry !== undefined && (fresh || expiry !== known.expiry)) draft.effect({ type: 'setExpiry', expiry });
  draft.state.password = { password, expiry };
}

export function agentSaid(draft: RunnerDraft, line: string): void {
  const { kind } = parseAgentLine(line);
  // A refusal shows nowhere else: VM-Operator evaluates only the other three.
  draft.log(kind === 'error' ? `Error response from vmop agent: ${line}` : `vmop agent(in): ${line}`);
  if (kind === 'ready') return agentGreeted(draft);
  if (kind !== 'loggedIn' && kind !== 'loggedOut') return undefined;
  draft.report({ loggedInUser: kind === 'loggedIn' ? draft.state.sentLogin : undefined });
  return reportUser(draft);
}

function agentGreeted(draft: RunnerDraft): void {
  // The user is judged by the agent's condition before this change: a wanted user goes on waiting for the agent
  // until the agent confirms, or until the next configuration.
  reportUser(draft);
  const message = 'The agent in the guest has greeted';
  draft.report({}, [{ type: 'VmopAgentConnected', status: true, reason: 'VmopAgentStarted', message }]);
  if (draft.state.config) tellAgent(draft, draft.state.config);
}

export function tellAgent(draft: RunnerDraft, { loggedInUser }: RunnerConfig): void {
  if (loggedInUser !== undefined) draft.state.sentLogin = loggedInUser;
  const line = loggedInUser === undefined ? 'logout' : `login ${loggedInUser}`;
  draft.log(`vmop agent(out): ${line}`);
  draft.effect({ type: 'tellAgent', line });
}

/** VM-Operator's trap: with an agent the condition soon turns true, whatever the guest has done by then. */
export function reportUser(draft: RunnerDraft): void {
  const condition = userCondition(draft);
  const { config, status } = draft.state;
  const confirmed = config?.loggedInUser === status.loggedInUser;
  if (condition.status && !confirmed && !draft.holds('UserLoggedIn')) draft.report({}, [PROCESSING]);
  draft.report({}, [{ type: 'UserLoggedIn', ...condition }]);
}

const PROCESSING: ConditionChange = {
  type: 'UserLoggedIn',
  status: false,
  reason: 'Processing',
  message: 'The agent is asked to log the user in',
};

function userCondition(draft: RunnerDraft): Omit<ConditionChange, 'type'> {
  if (draft.state.config?.loggedInUser === undefined) {
    return { status: false, reason: 'NotRequested', message: 'No user is to be logged in' };
  }
  if (!draft.holds('VmopAgentConnected')) {
    const message = 'Waiting for VMOP agent to connect';
    return { status: false, reason: 'VmopAgentDisconnected', message };
  }
  return { status: true, reason: 'LoggedIn', message: 'The user is logged in' };
}

export function consoleConnected(draft: RunnerDraft, client: string, port: number): void {
  draft.state.console = { client, port };
  // Known from before the sandbox went away.
  if (draft.state.phase === 'adopting' && draft.holds('ConsoleConnected')) return;
  const text = `Connection from ${client}`;
  const condition = { type: 'ConsoleConnected', status: true, reason: 'Connection', message: text } as const;
  draft.report({ consoleClient: client }, [condition]);
  draft.effect({ type: 'event', action: 'ConsoleConnectionUpdate', reason: text });
}

export function consoleDisconnected(draft: RunnerDraft, client: string, port: number): void {
  const { console: main } = draft.state;
  if (main?.client !== client || main.port !== port) return;
  draft.state.console = undefined;
  reportDisconnect(draft, client);
  draft.effect({ type: 'event', action: 'ConsoleConnectionUpdate', reason: `Disconnected from ${client}` });
}

/** `status.consoleUser` stays: VM-Operator leaves it as it is. */
export function reportDisconnect(draft: RunnerDraft, client: string): void {
  const message = `${client} has disconnected`;
  const condition = { type: 'ConsoleConnected', status: false, reason: 'Disconnected', message } as const;
  draft.report({ consoleClient: '' }, [condition]);
}
