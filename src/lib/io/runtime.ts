import { EXIT } from '../errors.ts';

export type InputStream = NodeJS.ReadableStream & {
  isTTY?: boolean;
  setRawMode?(mode: boolean): unknown;
};

/** Emits `resize` when it is a terminal whose size changes. */
export type OutputStream = NodeJS.WritableStream & {
  isTTY?: boolean;
  columns?: number;
  rows?: number;
};

export type EndReason = 'SIGINT' | 'SIGTERM';

/** The process as a value, so that a command runs in process in tests. */
export interface Runtime {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Record<string, string | undefined>;
  readonly platform: NodeJS.Platform;
  now(): Date;
  /** Aborted when the process is asked to end; its reason is `SIGINT` or `SIGTERM`. */
  readonly signal: AbortSignal;
  /** What starts vmop in another process, arguments aside; absent where it runs inside of one. */
  readonly launcher?: readonly string[];
  /**
   * Calls `listener`, which must not wait for anything, with the exit code when the process exits whatever the cause;
   * returns its removal.
   */
  onExit(listener: (code: number) => void): () => void;
}

const SIGNALS: [NodeJS.Signals, EndReason][] = [
  ['SIGINT', 'SIGINT'],
  ['SIGTERM', 'SIGTERM'],
  ['SIGHUP', 'SIGTERM'],
];

let abort: AbortController | undefined;

/**
 * The first signal aborts; the second one exits at once, in case something hangs. A terminal that is closed sends SIGHUP
 * more than once, from its shell and from the system: nobody is in a hurry then.
 */
function endSignal(): AbortSignal {
  if (abort) return abort.signal;
  const controller = new AbortController();
  abort = controller;
  for (const [name, reason] of SIGNALS) {
    process.on(name, () => {
      if (!controller.signal.aborted) controller.abort(reason);
      else if (name !== 'SIGHUP') process.exit(reason === 'SIGINT' ? EXIT.interrupted : EXIT.terminated);
    });
  }
  return controller.signal;
}

/** This process. Takes over SIGINT, SIGTERM and SIGHUP; safe to call again. */
export function processRuntime(): Runtime {
  return {
    // Most commands read nothing, and to open it takes Node 3 ms.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    platform: process.platform,
    now: () => new Date(),
    signal: endSignal(),
    launcher: [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)],
    onExit(listener) {
      process.on('exit', listener);
      return () => process.off('exit', listener);
    },
  };
}
