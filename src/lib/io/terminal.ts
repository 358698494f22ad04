import { messageOf, VmopError } from '../errors.ts';
import { sanitizeLines, type Paint, type Role } from '../text.ts';
import { createPaint, isScreen, wantsColour, type ColourChoice } from './colour.ts';
import { createMovingProgress, createPlainProgress, type Progress } from './progress.ts';
import { askForSecret, askToChoose, askToConfirm, type Choice } from './prompts.ts';
import { createRegion, type Region, type ScreenSize } from './region.ts';
import type { OutputStream, Runtime } from './runtime.ts';

export interface TerminalOptions {
  /** `never` is `--no-color`. */
  color: ColourChoice;
  /** No `info`, no progress. */
  quiet: boolean;
  /** Shows `detail`. */
  verbose: boolean;
}

/** A person in front of the command, or the pipe where one would be. Data on stdout, everything else on stderr. */
export interface Terminal {
  /** Whether a person can be asked: standard input and stderr are terminals. */
  readonly interactive: boolean;
  /** Whether stdout is a terminal. */
  readonly isScreen: boolean;
  /** Width of stdout where it is a terminal; undefined elsewhere, where nothing is ever cut. */
  readonly columns: number | undefined;
  /** Colours for text that goes to `out`. */
  readonly paint: Paint;
  /** Aborted when the reader of stdout is gone (`vmop … | head`): whatever still produces output can end. */
  readonly outputClosed: AbortSignal;
  /**
   * Writes data to stdout as it is (render and sanitize it first); resolves when it is handed over. Rejects with
   * `OutputClosed` when the reader is gone, with a `VmopError` when it cannot be written.
   */
  out(text: string): Promise<void>;
  /** Lines on stderr; their text is sanitized here. */
  info(text: string, role?: Role): void;
  /** As `info`, prefixed `note: `. */
  note(text: string): void;
  /** Prefixed `warning: `; shown even when quiet. */
  warn(text: string): void;
  /** Only with `-v`. */
  detail(text: string): void;
  /** An error's text, shown even when quiet. */
  error(text: string): void;
  progress(): Progress;
  /** Lines of stdout that are rewritten in place; only where `isScreen`. */
  region(frame: (size: ScreenSize) => string[]): Region;
  /** Asks yes or no; a usage error where not `interactive`. */
  confirm(question: string): Promise<boolean>;
  /** A list to search in, resolves to a `value`; a usage error where not `interactive`. */
  choose(message: string, choices: readonly Choice[]): Promise<string>;
  /** Typed without echo, or the first line of standard input where that is no terminal. */
  secretInput(prompt: string): Promise<string>;
  /** Leaves the terminal to `use`, another program: until it has settled nothing moves on the screen. */
  lend<T>(use: () => Promise<T>): Promise<T>;
  /** Takes away what moves on the screen; safe to call twice. */
  close(): void;
}

/** The reader of stdout is gone. Not a failure: the command ends quietly with exit code 0. */
export class OutputClosed extends Error {
  readonly exitCode = 0;
  readonly oclif = { exit: 0 };

  constructor() {
    super('the reader of standard output is gone');
    this.name = 'OutputClosed';
  }
}

export function isOutputClosed(error: unknown): error is OutputClosed {
  return error instanceof OutputClosed;
}

const CLOSED_CODES = ['EPIPE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'];

function isClosedStream(error: Error): boolean {
  return 'code' in error && typeof error.code === 'string' && CLOSED_CODES.includes(error.code);
}

const closedSignals = new WeakMap<OutputStream, AbortSignal>();

/**
 * Aborted when the stream's reader is gone. The listener stays as long as the stream: the error arrives after the
 * write was refused, and unheard it would end the process.
 */
function closedSignal(stream: OutputStream): AbortSignal {
  const known = closedSignals.get(stream);
  if (known) return known;
  const closed = new AbortController();
  stream.on('error', (error: Error) => {
    if (isClosedStream(error)) closed.abort(new OutputClosed());
  });
  closedSignals.set(stream, closed.signal);
  return closed.signal;
}

function writeAll(stream: OutputStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (!error) resolve();
      else if (isClosedStream(error)) reject(new OutputClosed());
      else
        reject(
          new VmopError('failed', `cannot write to standard output: ${messageOf(error)}`, { cause: error }),
        );
    });
  });
}

/** Reads no library unless there is colour or a prompt. */
export async function createTerminal(runtime: Runtime, options: TerminalOptions): Promise<Terminal> {
  const { stdout, stderr, env } = runtime;
  const { color, quiet, verbose } = options;
  const errorColour = wantsColour(stderr, env, color);
  const [paint, errorPaint] = await Promise.all([
    createPaint(wantsColour(stdout, env, color)),
    createPaint(errorColour),
  ]);
  const isInteractive = (): boolean => stderr.isTTY === true && runtime.stdin.isTTY === true;
  const outputIsScreen = isScreen(stdout, env);
  const closed = closedSignal(stdout);
  closedSignal(stderr);
  /** The last one is on the screen, the others wait until it ends. */
  const regions: Region[] = [];
  /** How many there are who have the screen for themselves. */
  let lent = 0;

  /** Writes without disturbing the lines that move. */
  const aside = <T>(write: () => T): T => {
    const region = lent > 0 ? undefined : regions.at(-1);
    region?.hide();
    try {
      return write();
    } finally {
      region?.show();
    }
  };

  const line = (text: string, role?: Role): void => {
    const safe = sanitizeLines(text);
    aside(() => stderr.write(`${role ? errorPaint(role, safe) : safe}\n`));
  };

  const openRegion = (stream: OutputStream, frame: (size: ScreenSize) => string[]): Region => {
    const inner = createRegion(stream, runtime, frame);
    const region: Region = {
      ...inner,
      end(last) {
        const index = regions.indexOf(region);
        if (index < 0) return;
        if (regions.at(-1) !== region) regions.at(-1)?.hide();
        regions.splice(index, 1);
        inner.end(last);
        if (lent === 0) regions.at(-1)?.show();
      },
    };
    regions.at(-1)?.hide();
    regions.push(region);
    if (lent > 0) region.hide();
    return region;
  };

  const lend = async <T>(use: () => Promise<T>): Promise<T> => {
    regions.at(-1)?.hide();
    lent += 1;
    try {
      return await use();
    } finally {
      lent -= 1;
      if (lent === 0) regions.at(-1)?.show();
    }
  };

  const prompt = async <T>(ask: () => Promise<T>): Promise<T> => {
    if (!isInteractive())
      throw new VmopError('usage', 'cannot ask: standard input and stderr are not a terminal');
    return lend(ask);
  };

  const info = (text: string, role?: Role): void => {
    if (!quiet) line(text, role);
  };

  return {
    get interactive() {
      return isInteractive();
    },
    isScreen: outputIsScreen,
    get columns() {
      return stdout.isTTY ? stdout.columns || undefined : undefined;
    },
    paint,
    outputClosed: closed,
    async out(text) {
      if (closed.aborted) throw new OutputClosed();
      await aside(() => writeAll(stdout, text));
    },
    info,
    note: (text) => info(`note: ${text}`),
    warn: (text) => line(`warning: ${text}`, 'warn'),
    detail(text) {
      if (verbose) line(text, 'dim');
    },
    error: (text) => line(text, 'bad'),
    progress() {
      if (quiet || !isScreen(stderr, env)) return createPlainProgress({ line, quiet });
      return createMovingProgress({ line, quiet }, errorPaint, (frame) => openRegion(stderr, frame));
    },
    region: (frame) => openRegion(stdout, frame),
    confirm: (question) => prompt(() => askToConfirm(runtime, question, errorColour)),
    choose: (message, choices) => prompt(() => askToChoose(runtime, message, choices, errorColour)),
    secretInput: (text) => askForSecret(runtime, text),
    lend,
    close() {
      while (regions.length > 0) regions.at(-1)?.end('clear');
    },
  };
}
