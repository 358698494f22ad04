import { PassThrough, Writable } from 'node:stream';
import type { EndReason, InputStream, OutputStream, Runtime } from '../../../src/lib/io/runtime.ts';
import { FakeScreen } from './fake-screen.ts';

export interface FakeRuntimeOptions {
  /** Everything is one terminal of 80 × 24; otherwise nothing is one. */
  terminal?: boolean;
  columns?: number;
  rows?: number;
  env?: Record<string, string | undefined>;
  /** What standard input holds; it ends after that. Undefined on a terminal: type with `type`. */
  input?: string;
  now?: Date;
}

export interface FakeRuntime extends Runtime {
  /** What was written so far. */
  stdoutText(): string;
  stderrText(): string;
  /** What a person sees: both streams of a terminal land on it. */
  readonly screen: FakeScreen;
  type(keys: string): void;
  interrupt(reason: EndReason): void;
  resize(columns: number, rows: number): void;
  /** Runs what was left to do at exit (code 0) and tells how much it was. */
  exit(code?: number): number;
}

interface Sink {
  stream: OutputStream;
  text(): string;
}

function createSink(screen: FakeScreen | undefined): Sink {
  const chunks: string[] = [];
  const writable = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      screen?.write(String(chunk));
      done();
    },
  });
  const size = screen && {
    isTTY: { value: true },
    columns: { get: () => screen.columns },
    rows: { get: () => screen.rows },
  };
  return { stream: Object.defineProperties(writable, size ?? {}), text: () => chunks.join('') };
}

/** A process for tests: streams that are read back, a terminal that can be looked at. */
export function createFakeRuntime(options: FakeRuntimeOptions = {}): FakeRuntime {
  const { terminal = false, columns = 80, rows = 24, env = {}, input, now } = options;
  const screen = new FakeScreen(columns, rows);
  const stdout = createSink(terminal ? screen : undefined);
  const stderr = createSink(terminal ? screen : undefined);
  const keyboard = new PassThrough();
  if (input !== undefined) keyboard.end(input);
  else if (!terminal) keyboard.end();
  const stdin: InputStream = terminal
    ? Object.assign(keyboard, { isTTY: true, setRawMode: () => undefined })
    : keyboard;
  const abort = new AbortController();
  const exits = new Set<(code: number) => void>();
  return {
    stdin,
    stdout: stdout.stream,
    stderr: stderr.stream,
    env,
    platform: 'linux',
    now: () => now ?? new Date('2026-11-22T04:53:46Z'),
    signal: abort.signal,
    onExit(listener) {
      exits.add(listener);
      return () => exits.delete(listener);
    },
    stdoutText: () => stdout.text(),
    stderrText: () => stderr.text(),
    screen,
    type: (keys) => void keyboard.write(keys),
    interrupt: (reason) => abort.abort(reason),
    resize(newColumns, newRows) {
      screen.resize(newColumns, newRows);
      stdout.stream.emit('resize');
      stderr.stream.emit('resize');
    },
    exit(code = 0) {
      for (const listener of exits) listener(code);
      return exits.size;
    },
  };
}
