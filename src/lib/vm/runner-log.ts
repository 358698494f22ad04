import { isStatus } from '../cluster/api-error.ts';
import type { Cluster, ObjectRef } from '../cluster/types.ts';
import { messageOf } from '../errors.ts';
import { backoff, pause } from '../cluster/retry.ts';
import { sanitize, truncate } from '../text.ts';

/** One line of a runner's log with the time that the kubelet gave it. */
interface LogLine {
  at: string;
  text: string;
}

const TAIL_LINES = 200;
const POLL_MS = 250;
/** A log that hangs does not hold back what it is only to be marked for. */
const MARK_MS = 5000;

/** The runner's words for a 4xx or 5xx of the guest's agent, which it writes nowhere else. */
const REFUSAL = /Error response from vmop agent: (?<line>[45]\d\d\b.*)$/i;

/** What the agent said when it refused, as in the log's line; undefined for other lines. */
export function agentRefusal(text: string): string | undefined {
  const line = REFUSAL.exec(text)?.groups?.['line'];
  return line === undefined ? undefined : redactPasswords(line.trim());
}

/** Any line about the guest's agent; at its finest level the runner logs all that is said. */
const ABOUT_AGENT = /\bvmop.?agent\b/i;
const AGENT_LINES = 3;
const SHOWN_COLUMNS = 200;

/** A text in quotes that are themselves escaped, as where JSON stands in JSON; it ends at quotes that are so as often. */
const ESCAPED = String.raw`(?<escape>\\+)"(?:(?!(?<!\\)\k<escape>").)*(?:(?<!\\)\k<escape>")?`;
const VALUE = String.raw`${ESCAPED}|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,}]+`;
const PASSWORD = new RegExp(String.raw`(?<name>password\\*["']?\s*[:=]\s*)(?:${VALUE})`, 'gi');

/** A line of a runner's log without display passwords, which it holds in clear text at its finest level. */
export function redactPasswords(text: string): string {
  return text.replace(PASSWORD, '$<name>…');
}

function parseLines(log: string): LogLine[] {
  return log.split('\n').flatMap((line) => {
    const match = /^(\d{4}-\d\d-\d\dT\S+) (.*)$/.exec(line);
    return match ? [{ at: match[1] ?? '', text: match[2] ?? '' }] : [];
  });
}

/** Watches a runner's log for the agent's refusals that come after it was made. */
export class RunnerLog {
  readonly #cluster: Cluster;
  readonly #pod: ObjectRef;
  #seen = '';
  /** Where the log stands is known: what comes now is new. */
  #marked = false;
  /** The last lines that are about the guest's agent, without their times; fit to be shown. */
  agentLines: string[] = [];
  /** Why the log cannot be read; undefined when it can. */
  unreadable: string | undefined;

  constructor(cluster: Cluster, pod: ObjectRef) {
    this.#cluster = cluster;
    this.#pod = pod;
  }

  /** Marks where the log stands: earlier lines no longer count. Resolves to the last refusal among them; never rejects. */
  async mark(signal: AbortSignal): Promise<string | undefined> {
    const lines = await this.#newLines(AbortSignal.any([signal, AbortSignal.timeout(MARK_MS)]));
    return lines.map(({ text }) => agentRefusal(text)).findLast((line) => line !== undefined);
  }

  /** Resolves to the agent's line when it refuses, or to undefined when the signal aborts or the log is closed to us. */
  async refusal(signal: AbortSignal): Promise<string | undefined> {
    for (let failures = 0; !signal.aborted;) {
      const marked = this.#marked;
      const lines = await this.#newLines(signal);
      const line = lines.map(({ text }) => agentRefusal(text)).find((found) => found !== undefined);
      // Without a mark nobody knows what these lines are about; they are one themselves.
      if (marked && line !== undefined) return line;
      failures = this.unreadable === undefined ? 0 : failures + 1;
      await pause(POLL_MS + (failures > 0 ? backoff(failures) : 0), signal);
    }
    return undefined;
  }

  async #newLines(signal: AbortSignal): Promise<LogLine[]> {
    try {
      const log = await this.#cluster.log(this.#pod, { tailLines: TAIL_LINES, timestamps: true, signal });
      this.unreadable = undefined;
      this.#marked = true;
      // Kubernetes' time stamps are of one width and zone: as text they sort by time.
      const lines = parseLines(log).filter((line) => line.at > this.#seen);
      this.#seen = lines.at(-1)?.at ?? this.#seen;
      const about = lines.map(({ text }) => text).filter((text) => ABOUT_AGENT.test(text));
      const shown = about.map((text) => truncate(sanitize(redactPasswords(text)), SHOWN_COLUMNS));
      this.agentLines = [...this.agentLines, ...shown].slice(-AGENT_LINES);
      return lines;
    } catch (error) {
      if (signal.aborted) return [];
      this.unreadable = messageOf(error);
      // No pod, or none that has started: there is no line yet.
      if (isStatus(error, 404) || isStatus(error, 400)) this.#marked = true;
      return [];
    }
  }
}
