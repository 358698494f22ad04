import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { OutputStream } from '../../src/lib/io/runtime.ts';
import { main } from '../../src/main.ts';
import { createFakeRuntime, type FakeRuntime, type FakeRuntimeOptions } from '../lib/io/fake-runtime.ts';

const ROOT = path.join(import.meta.dirname, '../..');
/** No command of a test takes longer, unless it hangs. */
const PATIENCE_MS = 30_000;

export interface VmopRun {
  code: number;
  stdout: string;
  stderr: string;
  /** stdout as JSON. */
  json(): unknown;
}

export interface VmopProcess {
  runtime: FakeRuntime;
  /** Resolves when the command has ended. */
  ended: Promise<VmopRun>;
  /**
   * Resolves when it has printed the text, on a terminal: when the text stands on the screen. Rejects when it ends without.
   * `times`: so often.
   */
  shows(text: string, times?: number): Promise<void>;
}

export interface VmopOptions extends Omit<FakeRuntimeOptions, 'env'> {
  kubeconfig?: string;
  env?: Record<string, string | undefined>;
  /** In place of the one that is read back. */
  stdout?: OutputStream;
}

/** What a command of this test file was asked and printed, on whichever stream. */
export interface Printed {
  args: readonly string[];
  text: string;
}

const printed: Printed[] = [];

/** Everything that was printed so far. */
export function allPrinted(): readonly Printed[] {
  return printed;
}

/** Starts a vmop command in this process, with a process of its own as a value. `home` is what HOME points to. */
export function startVmop(home: string, args: string[], options: VmopOptions = {}): VmopProcess {
  const { kubeconfig, env = {}, stdout: otherStdout, ...rest } = options;
  const fake = createFakeRuntime({
    now: new Date(),
    ...rest,
    env: { HOME: home, ...(kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig }), ...env },
  });
  // A prompt ends the stream that it wrote to, unless it is marked as Node marks a process's own.
  Object.assign(fake.stderr, { _isStdio: true });
  const runtime = otherStdout === undefined ? fake : { ...fake, stdout: otherStdout };
  let over = false;
  const late = new AbortController();
  const tooLate = pause(PATIENCE_MS, undefined, { signal: late.signal, ref: false }).then(() => {
    throw new Error(`vmop ${args.join(' ')} does not end; it shows:\n${output()}`);
  });
  tooLate.catch(() => {});
  const run = main(args, runtime, ROOT).then((code) => {
    over = true;
    late.abort();
    const stdout = fake.stdoutText();
    const stderr = fake.stderrText();
    printed.push({ args, text: stdout + stderr });
    return { code, stdout, stderr, json: (): unknown => JSON.parse(stdout) };
  });
  const output = (): string =>
    options.terminal === true ? fake.screen.textWithScrollback : fake.stdoutText() + fake.stderrText();
  return {
    runtime,
    ended: Promise.race([run, tooLate]),
    async shows(text, times = 1) {
      // A stream tells nobody what was written to it.
      for (const since = Date.now(); output().split(text).length <= times;) {
        if (over || Date.now() - since > PATIENCE_MS) {
          throw new Error(`vmop ${args.join(' ')} does not show ${JSON.stringify(text)} but:\n${output()}`);
        }
        await pause(2);
      }
    },
  };
}

/** Runs a vmop command to its end. */
export function vmop(home: string, args: string[], options: VmopOptions = {}): Promise<VmopRun> {
  return startVmop(home, args, options).ended;
}
