import { appendFileSync, renameSync, statSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { pause } from '../cluster/retry.ts';

const LIMIT_BYTES = 1024 * 1024;

/** Appends lines with their time to a file; when it grows large it is put aside as `<file>.1`. */
export class DaemonLog {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  readonly write = (line: string): void => {
    rotateLog(this.#file);
    appendFileSync(this.#file, `${new Date().toISOString()} ${line.replaceAll(/\p{Cc}/gu, ' ')}\n`, {
      mode: 0o600,
    });
  };
}

export function rotateLog(file: string): void {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LIMIT_BYTES) renameSync(file, `${file}.1`);
}

export interface FollowLogOptions {
  /** How many of the last lines come first. */
  tailLines: number;
  /** Go on with what is added until the signal aborts. */
  follow: boolean;
  signal: AbortSignal;
}

const POLL_MS = 200;

/** The lines of a log, without line ends; none when the file does not exist. */
export async function* followLog(
  file: string,
  { tailLines, follow, signal }: FollowLogOptions,
): AsyncIterable<string> {
  let position = 0;
  let rest = '';
  let first = true;
  for (;;) {
    const { text, size } = await readFrom(file, position);
    position = size;
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    yield* first ? lines.slice(Math.max(lines.length - tailLines, 0)) : lines;
    first = false;
    if (!follow) return;
    await pause(POLL_MS, signal);
    if (signal.aborted) return;
  }
}

/** What comes after the position; a file that was put aside is read from its beginning. */
async function readFrom(file: string, position: number): Promise<{ text: string; size: number }> {
  const { size } = await stat(file).catch(() => ({ size: 0 }));
  if (size === position) return { text: '', size };
  const start = size < position ? 0 : position;
  const handle = await open(file);
  try {
    const buffer = Buffer.alloc(size - start);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
    return { text: buffer.subarray(0, bytesRead).toString('utf8'), size: start + bytesRead };
  } finally {
    await handle.close();
  }
}
