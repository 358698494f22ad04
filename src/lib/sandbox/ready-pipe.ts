import { closeSync, writeSync } from 'node:fs';
import { asObject, asString, parseJson } from '../cluster/parse.ts';

/** What a daemon tells whoever started it, a line of JSON each. */
export type StartMessage =
  { type: 'progress'; text: string } | { type: 'ready' } | { type: 'failed'; message: string; hint?: string };

/** The daemon's end of the pipe. */
export const READY_DESCRIPTOR = 3;
/** Set for a daemon that has such a pipe. */
export const READY_VARIABLE = 'VMOP_SANDBOX_READY';

/** The daemon's side; says nothing when there is no pipe or nobody listens any more. */
export class ReadyPipe {
  #open: boolean;

  constructor(env: Record<string, string | undefined>) {
    this.#open = env[READY_VARIABLE] === '1';
  }

  send(message: StartMessage): void {
    if (!this.#open) return;
    try {
      writeSync(READY_DESCRIPTOR, `${JSON.stringify(message)}\n`);
    } catch {
      this.#open = false;
    }
  }

  /** Nothing more is told; processes that the daemon starts do not inherit the pipe. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(READY_DESCRIPTOR);
  }
}

export function parseStartMessage(line: string): StartMessage | undefined {
  const message = asObject(parseJson(line));
  const text = asString(message['text']);
  const why = asString(message['message']);
  const hint = asString(message['hint']);
  if (message['type'] === 'ready') return { type: 'ready' };
  if (message['type'] === 'progress' && text !== undefined) return { type: 'progress', text };
  if (message['type'] === 'failed' && why !== undefined) {
    return { type: 'failed', message: why, ...(hint === undefined ? {} : { hint }) };
  }
  return undefined;
}
