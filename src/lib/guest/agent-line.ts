/**
 * VM-Operator's agent protocol: lines between the runner and the guest's agent on the virtio port
 * `org.jdrupes.vmop_agent.0`. The guest is not trusted: whatever it sends becomes a value of a closed set.
 */

export type AgentMessageKind =
  /** 220: the agent has started. */
  | 'ready'
  /** 201 */
  | 'loggedIn'
  /** 202 */
  | 'loggedOut'
  /** 1xx: something that happens on the way to an answer. */
  | 'info'
  /** 4xx and 5xx */
  | 'error'
  /** Any other code, or none. */
  | 'other';

export interface AgentMessage {
  /** Three digits; undefined when the line does not start with exactly three. */
  code: number | undefined;
  kind: AgentMessageKind;
  /** What follows the code, as the guest wrote it: show its control characters, never send them to a terminal. */
  text: string;
}

function kindOf(code: number): AgentMessageKind {
  if (code === 220) return 'ready';
  if (code === 201) return 'loggedIn';
  if (code === 202) return 'loggedOut';
  if (code >= 100 && code < 200) return 'info';
  if (code >= 400 && code < 600) return 'error';
  return 'other';
}

/** Reads one line of the agent, without its line end. */
export function parseAgentLine(line: string): AgentMessage {
  const match = /^([0-9]{3})(?![0-9])[ \t-]?([^]*)$/.exec(line);
  if (match === null) return { code: undefined, kind: 'other', text: line };
  const code = Number(match[1]);
  return { code, kind: kindOf(code), text: (match[2] ?? '').trim() };
}
