import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Writable, type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { VmopError, messageOf } from '../../errors.ts';
import { LineSplitter } from '../../lines.ts';
import { sanitize, truncate } from '../../text.ts';
import { onProcessEnd } from '../exit-guard.ts';
import { createPrivateFile, type PrivateFile } from '../private-file.ts';
import { isPresentable, parseViewerLine } from './debug-output.ts';
import type { DisplayEvent } from '../session/display-event.ts';
import { FILE_PLACE, OTHERWISE, type ViewerPlan } from './detect.ts';
import type { Environment } from './platform.ts';

export interface LaunchOptions {
  /** Ends the viewer (TERM, after 2 s KILL); with `detach` only until `launchViewer` resolves. */
  signal: AbortSignal;
  /** The viewer, which reads its stdin, shall outlive this process: nothing is heard from it but its end. */
  detach?: boolean | undefined;
  /** Events of a viewer whose output can be understood, in order. */
  onEvent?: ((event: DisplayEvent) => void) | undefined;
  env: Environment;
  /** Told of the private folder that the connection file is put into. */
  onFolder?: ((folder: string) => void) | undefined;
  /** Told of the process before the viewer's own program begins, so that it can be watched over from the start. */
  onProcess?: ((pid: number) => void) | undefined;
}

export interface ViewerEnd {
  /** Says nothing about the session: remote-viewer ends with 0 after nearly everything. */
  code: number | null;
  signal: NodeJS.Signals | null;
  /** It was ended from here. */
  stopped: boolean;
  /** Why its program did not begin, where the shell that held it says so. */
  notStarted?: string;
}

export interface RunningViewer {
  pid: number;
  /** Resolves when the process is gone and what it left is tidied; never rejects. */
  ended: Promise<ViewerEnd>;
  /** The last lines that it wrote and that may be shown, sanitized. */
  output(): readonly string[];
  /** TERM, after 2 s KILL; not in the moment between its connection and its display. */
  stop(): Promise<ViewerEnd>;
}

/**
 * A process that becomes the viewer when it is told so, and ends when nobody is there any more to tell it: whoever is
 * killed between the two leaves no viewer behind.
 */
const HELD = ['/bin/sh', '-c', 'read -r begin <&3 && exec 3<&- && exec "$@"', 'viewer'];

/** What the shell says, with these codes, when there is no such program, or one that nothing can run. */
const NOT_BEGUN = /^viewer: (?:\d+: )?(?:exec: )?(.+)$/;
const NOT_BEGUN_CODES = [126, 127];

const WSLPATH_MS = 5000;
const KILL_AFTER_MS = 2000;
/** How long a viewer that has just connected may take to have its display. */
const DISPLAY_MS = 1500;
/** How long the last output of a viewer that has ended is waited for. */
const DRAIN_MS = 500;
const KEPT_LINES = 50;
const LONGEST_LINE_BYTES = 4096;
const LONGEST_KEPT_LINE = 500;

/**
 * Starts a viewer and hands it the connection file, on stdin or in a private file that is gone as soon as it was
 * read, at the latest with the viewer or with this process. For `input: 'file'` the text should say
 * `delete-this-file`. Errors: `console` when it cannot be started; the signal's reason.
 */
export async function launchViewer(
  plan: ViewerPlan,
  connectionFile: string,
  options: LaunchOptions,
): Promise<RunningViewer> {
  options.signal.throwIfAborted();
  const { onFolder } = options;
  const file =
    plan.input === 'file' ? await createPrivateFile('console.vv', connectionFile, onFolder) : undefined;
  try {
    const place = file && (await pathFor(plan, file.path));
    const viewer = new ViewerProcess(plan, viewerArguments(plan, place, options), file, options);
    await viewer.started();
    viewer.feed(connectionFile);
    if (options.detach === true) await viewer.release();
    return viewer;
  } catch (error) {
    await file?.remove();
    throw error;
  }
}

/** The arguments in full; `place` stands where the plan says `{file}`. */
export function viewerArguments(
  plan: ViewerPlan,
  place: string | undefined,
  { detach = false }: Pick<LaunchOptions, 'detach'>,
): string[] {
  const debug = plan.output === 'remote-viewer' && !detach ? ['--debug'] : [];
  const args = plan.args.map((argument) =>
    place === undefined ? argument : argument.replaceAll(FILE_PLACE, () => place),
  );
  return [...plan.launcherArgs, ...debug, ...args];
}

/** The viewer's environment. Where GLib finds no session bus it starts one, which would outlive the viewer. */
export function viewerEnvironment(env: Environment): NodeJS.ProcessEnv {
  const { DBUS_SESSION_BUS_ADDRESS: bus, XDG_RUNTIME_DIR: runtime } = env;
  const hasBus = Boolean(bus) || (Boolean(runtime) && existsSync(`${runtime}/bus`));
  return hasBus || process.platform !== 'linux' ? env : { ...env, DBUS_SESSION_BUS_ADDRESS: 'disabled:' };
}

async function pathFor(plan: ViewerPlan, file: string): Promise<string> {
  if (plan.pathStyle === 'native') return file;
  try {
    return (await promisify(execFile)('wslpath', ['-w', file], { timeout: WSLPATH_MS })).stdout.trim();
  } catch (error) {
    throw new VmopError(
      'console',
      `wslpath gives no Windows path for ${plan.name}: ${sanitize(messageOf(error))}`,
      {
        cause: error,
      },
    );
  }
}

class ViewerProcess implements RunningViewer {
  readonly ended: Promise<ViewerEnd>;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #file: PrivateFile | undefined;
  readonly #signal: AbortSignal;
  readonly #lines: string[] = [];
  readonly #onAbort = (): void => void this.stop();
  readonly #forget: () => void;
  /** From its connection on: resolves when it has its display. */
  #display: PromiseWithResolvers<void> | undefined;
  #stopped = false;

  constructor(
    plan: ViewerPlan,
    args: string[],
    file: PrivateFile | undefined,
    { signal, detach = false, onEvent = () => {}, onProcess, env }: LaunchOptions,
  ) {
    this.#name = plan.name;
    this.#file = file;
    this.#signal = signal;
    const understood = plan.output === 'remote-viewer';
    const stdin = plan.input === 'stdin' ? 'pipe' : 'ignore';
    const stdout = understood && !detach ? 'pipe' : 'ignore';
    const stderr = detach ? 'ignore' : 'pipe';
    const held = onProcess !== undefined && process.platform !== 'win32';
    const [command = '', ...rest] = [...(held ? HELD : []), plan.command, ...args];
    this.#child = spawn(command, rest, {
      stdio: [stdin, stdout, stderr, ...(held ? (['pipe'] as const) : [])],
      env: viewerEnvironment(env),
      // A group of its own: Ctrl-C in the terminal is for vmop, which ends the viewer in order.
      detached: process.platform !== 'win32' || detach,
    });
    if (this.#child.pid !== undefined) onProcess?.(this.#child.pid);
    this.#letBegin();
    const notice = (line: string): void => {
      const event = understood ? parseViewerLine(line) : undefined;
      if (event === undefined) return;
      if (event.type === 'linking') void file?.remove();
      if (event.type === 'mainOpened') this.#display ??= Promise.withResolvers();
      if (event.type === 'displayCreated') this.#display?.resolve();
      onEvent(event);
    };
    readLines(this.#child.stdout, notice);
    readLines(this.#child.stderr, (line) => {
      if (isPresentable(line)) this.#keep(line);
      notice(line);
    });
    this.#forget = onProcessEnd(() => this.#kill('SIGTERM'));
    this.ended = this.#untilEnded();
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  #letBegin(): void {
    const gate = this.#child.stdio[3];
    if (gate instanceof Writable) gate.on('error', () => {}).end('\n');
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  output(): readonly string[] {
    return this.#lines;
  }

  /** Resolves when the process is there. */
  async started(): Promise<void> {
    if (this.#child.pid !== undefined) return;
    const [error] = await once(this.#child, 'error');
    await this.ended;
    throw new VmopError('console', `${this.#name} cannot be started: ${sanitize(messageOf(error))}`, {
      hint: OTHERWISE,
      cause: error,
    });
  }

  /** Hands over what the viewer reads on stdin. A viewer that dies before it has read says more by its end. */
  feed(text: string): void {
    this.#child.stdin?.on('error', () => {}).end(text);
  }

  /** Lets the viewer go on alone, once it has read its stdin. */
  async release(): Promise<void> {
    const { stdin } = this.#child;
    if (stdin && !stdin.closed) await Promise.race([once(stdin, 'close'), this.ended]);
    this.#letGo();
    this.#child.unref();
    this.#signal.throwIfAborted();
  }

  async stop(): Promise<ViewerEnd> {
    this.#stopped = true;
    await this.#untilDisplay();
    this.#kill('SIGTERM');
    const killer = setTimeout(() => this.#kill('SIGKILL'), KILL_AFTER_MS);
    const end = await this.ended;
    clearTimeout(killer);
    return end;
  }

  async #untilEnded(): Promise<ViewerEnd> {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      this.#child.once('exit', (...end) => resolve(end));
      this.#child.on('error', () => {
        if (this.#child.pid === undefined) resolve([null, null]);
      });
    });
    // Whatever it started may hold its pipes open for ever.
    const drained = AbortSignal.timeout(DRAIN_MS);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream && !stream.closed)
        await once(stream, 'close', { signal: drained }).catch(() => stream.destroy());
    }
    this.#letGo();
    await this.#file?.remove();
    const notStarted =
      code !== null && NOT_BEGUN_CODES.includes(code)
        ? NOT_BEGUN.exec(this.#lines.at(-1) ?? '')?.[1]
        : undefined;
    return { code, signal, stopped: this.#stopped, ...(notStarted !== undefined && { notStarted }) };
  }

  /** A SPICE server whose viewer goes while its display is being linked may crash, and the VM with it. */
  async #untilDisplay(): Promise<void> {
    if (this.#display === undefined) return;
    const late = new AbortController();
    const time = sleep(DISPLAY_MS, undefined, { signal: late.signal }).catch(() => {});
    await Promise.race([this.#display.promise, this.ended, time]);
    late.abort();
  }

  #keep(line: string): void {
    this.#lines.push(truncate(sanitize(line), LONGEST_KEPT_LINE));
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
  }

  #letGo(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#forget();
  }

  #isRunning(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  #kill(signal: NodeJS.Signals): void {
    if (!this.#isRunning()) return;
    try {
      // The whole group: a script that starts the viewer would leave it behind.
      if (process.platform !== 'win32') process.kill(-this.pid, signal);
      else this.#child.kill(signal);
    } catch {
      // It ended just now.
    }
  }
}

function readLines(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream === null) return;
  const lines = new LineSplitter(LONGEST_LINE_BYTES);
  stream.on('data', (chunk: Buffer) => lines.push(chunk).forEach(onLine));
  stream.on('end', () => {
    const last = lines.flush();
    if (last !== undefined) onLine(last);
  });
}
