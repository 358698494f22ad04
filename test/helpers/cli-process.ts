import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { globSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { withLock } from '../../src/lib/sandbox/lock.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PATIENCE_MS = 60_000;
const POLL_MS = 20;

export interface CliRun {
  /** null: a signal ended it that it did not handle. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** stdout as JSON. */
  json(): unknown;
}

/** A vmop that runs as a process of its own. */
export interface CliProcess {
  pid: number;
  stdout(): string;
  stderr(): string;
  /** Resolves when it has printed what matches, on either stream; rejects when it ends without. */
  shows(pattern: RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has ended; rejects, and ends it, when that takes longer than a minute. */
  ended(): Promise<CliRun>;
}

/** A process that was started by a vmop of this home, directly or not. */
export interface OwnProcess {
  pid: number;
  args: string[];
}

const MARK = 'VMOP_TEST_MARK';

/** An empty home in a private temporary folder, and whatever runs with it. */
export class CliHome {
  /** Everything that is made here is below it. */
  readonly folder: string;
  /** Where programs put temporary files; empty when nothing is left behind. */
  readonly temporary: string;
  readonly sandboxFolder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #mark = randomUUID();

  private constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.temporary = path.join(folder, 'tmp');
    this.sandboxFolder = path.join(folder, 'sandbox');
    const kept = Object.entries(process.env).filter(
      ([name]) => !/^(?:VMOP_|XDG_|NODE_)|^(?:KUBECONFIG|DISPLAY|WAYLAND_DISPLAY|FORCE_COLOR)$/.test(name),
    );
    this.env = {
      ...Object.fromEntries(kept),
      HOME: path.join(folder, 'home'),
      TMPDIR: this.temporary,
      VMOP_SANDBOX_DIR: this.sandboxFolder,
      [MARK]: this.#mark,
      ...env,
    };
  }

  /** Builds vmop first where that was not done. */
  static async create(env: NodeJS.ProcessEnv = {}): Promise<CliHome> {
    await ensureBuilt();
    const home = new CliHome(await mkdtemp(path.join(os.tmpdir(), 'vmop-e2e-')), env);
    for (const made of ['home', 'tmp']) await mkdir(path.join(home.folder, made), { mode: 0o700 });
    return home;
  }

  start(args: readonly string[], env: NodeJS.ProcessEnv = {}): CliProcess {
    const child = spawn(process.execPath, [path.join(ROOT, 'bin/run.js'), ...args], {
      cwd: this.folder,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return cliProcess(child, `vmop ${args.join(' ')}`);
  }

  async run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliRun> {
    return await this.start(args, env).ended();
  }

  /** As `run`; fails unless it ends with 0. */
  async succeed(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliRun> {
    const done = await this.run(args, env);
    assert.equal(done.code, 0, `vmop ${args.join(' ')}:\n${done.stdout}${done.stderr}`);
    return done;
  }

  /** All that run now. A program cannot shed the mark, because it inherits it. */
  async processes(): Promise<OwnProcess[]> {
    const found: OwnProcess[] = [];
    for (const name of await readdir('/proc')) {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid === process.pid) continue;
      const environ = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      if (!environ.split('\0').includes(`${MARK}=${this.#mark}`)) continue;
      const cmdline = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      // Empty: a zombie, or one that has just ended.
      if (cmdline !== '') found.push({ pid, args: cmdline.split('\0').slice(0, -1) });
    }
    return found;
  }

  /** Resolves to those that are left as soon as `holds` is true of them. */
  async waitForProcesses(
    what: string,
    holds: (running: readonly OwnProcess[]) => boolean,
  ): Promise<OwnProcess[]> {
    return await eventually(what, async () => {
      const running = await this.processes();
      assert.ok(holds(running), running.map(({ pid, args }) => `${pid} ${args.join(' ')}`).join('\n'));
      return running;
    });
  }

  /** Every file, socket and folder below the home's folder, relative to it. */
  async files(): Promise<string[]> {
    const entries = await readdir(this.folder, { recursive: true, withFileTypes: true });
    return entries.map((entry) => path.relative(this.folder, path.join(entry.parentPath, entry.name)));
  }

  /** Ends the sandbox and what else runs, and removes everything. */
  async close(): Promise<void> {
    try {
      await this.run(['sandbox', 'stop', '--purge']);
      for (const { pid } of await this.processes()) kill(pid);
    } finally {
      await rm(this.folder, { recursive: true, force: true });
    }
  }
}

export function isViewer({ args }: OwnProcess): boolean {
  return path.basename(args[0] ?? '') === 'remote-viewer';
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended just now.
  }
}

/** Tries until nothing is thrown; rejects with the last error after 20 s. */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T>,
  patienceMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`still not so: ${what}`, { cause: error });
    }
    await delay(POLL_MS);
  }
}

function cliProcess(child: ChildProcess, command: string): CliProcess {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => (output[name] += chunk));
  }
  let over = false;
  const end = new Promise<CliRun>((resolve, reject) => {
    child.once('error', reject);
    // After the streams' ends.
    child.once('close', (code, signal) => {
      over = true;
      resolve({ code, signal, ...output, json: (): unknown => JSON.parse(output.stdout) });
    });
  });
  const printed = (): string => `${command} printed:\n${output.stdout}${output.stderr}`;
  return {
    pid: child.pid ?? 0,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    async shows(pattern) {
      for (const since = performance.now(); !pattern.test(output.stdout + output.stderr);) {
        assert.ok(!over && performance.now() - since < PATIENCE_MS, `no ${pattern}: ${printed()}`);
        await delay(POLL_MS);
      }
    },
    kill: (signal) => void child.kill(signal),
    async ended() {
      const late = new AbortController();
      const limit = delay(PATIENCE_MS, undefined, { signal: late.signal }).then(
        () => {
          child.kill('SIGKILL');
          throw new Error(`it does not end: ${printed()}`);
        },
        () => end,
      );
      const run = await Promise.race([end, limit]);
      late.abort();
      return run;
    },
  };
}

let built: Promise<void> | undefined;

function ensureBuilt(): Promise<void> {
  built ??= build();
  return built;
}

/** `npm test` has built it; who runs a file by hand gets what the sources say now. Files may run side by side. */
async function build(): Promise<void> {
  if (isUpToDate()) return;
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const lock = path.join(ROOT, 'node_modules/.test-build.lock');
  await withLock(lock, { timeoutMs: PATIENCE_MS, signal }, async () => {
    if (isUpToDate()) return;
    await promisify(execFile)(process.execPath, [path.join(ROOT, 'scripts/build.ts')], { cwd: ROOT });
  });
}

function isUpToDate(): boolean {
  // What a build writes last.
  const last = path.join(ROOT, 'dist/THIRD-PARTY-LICENSES.txt');
  const made = statSync(last, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = globSync('src/**/*.{ts,js,css,html,svg}', { cwd: ROOT });
  return sources.every((file) => statSync(path.join(ROOT, file)).mtimeMs < made);
}
