import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { open, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { VmopError } from '../../errors.ts';
import type { KillGuard } from '../../kill-guard.ts';
import { writePrivate } from '../private-file.ts';
import { identifyProcess, parseIdentity, signalProcess, waitForProcessEnd } from '../process-identity.ts';

/** The processes of an API server, in the order in which they end. */
const NAMES = ['kubelet', 'kube-apiserver', 'etcd'] as const;
export type ServerName = (typeof NAMES)[number];

/** kube-apiserver waits a minute for open watches; its state is safe in etcd. */
const POLITE_MS: Record<ServerName, number> = { kubelet: 1000, 'kube-apiserver': 2000, etcd: 5000 };
const END_MS = 10_000;

export interface ServerProcess {
  name: ServerName;
  /** The first line of its standard output. */
  firstLine: Promise<string>;
  /** Resolves when it has ended, asked to or not, with a clause on why: `was ended by SIGKILL`. */
  ended: Promise<string>;
  /** TERM, then KILL. Resolves when it is gone. */
  stop(): Promise<void>;
}

export interface ServerProgram {
  name: ServerName;
  program: string;
  args: readonly string[];
}

const pidFile = (directory: string, name: ServerName): string => path.join(directory, `${name}.pid`);
const logFile = (directory: string, name: ServerName): string => path.join(directory, `${name}.log`);

/**
 * Starts a program with `directory` as its working directory; it logs into `<name>.log` there, and `<name>.pid` tells
 * `reapServers` of it. Rejects with `failed` when there is nothing to start.
 */
export async function startServer(
  directory: string,
  server: ServerProgram,
  guard: KillGuard,
): Promise<ServerProcess> {
  const { name, program, args } = server;
  const log = openSync(logFile(directory, name), 'w', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      cwd: directory,
      env: environment(),
      // An open standard input tells the kubelet that we live.
      stdio: ['pipe', 'pipe', log],
      // The guard ends a group.
      detached: true,
    });
  } finally {
    closeSync(log);
  }
  const firstLine = readLine(child);
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once('exit', (_code, ending) => resolve(ending));
    child.once('error', () => resolve(null));
  }).then(async (ending) => {
    // What it logged before somebody ended it is not why.
    if (ending !== null) return `was ended by ${ending}`;
    const words = (await lastWords(directory, name)).split('\n').at(-1) ?? '';
    return `has ended by itself${words === '' ? '' : `: ${words}`}`;
  });
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
  } catch (cause) {
    throw new VmopError('failed', `${program} cannot be started`, { cause });
  }
  // Without etcd, kube-apiserver does not heed TERM.
  const forget = guard.watchProcess(child.pid ?? 0, 'KILL');
  void ended.then(forget);
  const identity = await identifyProcess(child.pid ?? 0);
  if (identity) await writePrivate(pidFile(directory, name), `${JSON.stringify(identity)}\n`);
  return {
    name,
    firstLine,
    ended,
    async stop() {
      child.kill('SIGTERM');
      const force = setTimeout(() => child.kill('SIGKILL'), POLITE_MS[name]);
      await ended;
      clearTimeout(force);
      await rm(pidFile(directory, name), { force: true });
    },
  };
}

/** No proxies, and nothing of ours that they would take for a flag, as etcd does with `ETCD_…`. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^ETCD_|_proxy$/i.test(name));
  return Object.fromEntries(kept);
}

function readLine({ stdout }: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
  });
}

const LAST_WORDS_BYTES = 2000;

/** The end of a program's log. */
async function lastWords(directory: string, name: ServerName): Promise<string> {
  const handle = await open(logFile(directory, name)).catch(() => undefined);
  if (handle === undefined) return '';
  try {
    const { size } = await stat(logFile(directory, name));
    const buffer = Buffer.alloc(Math.min(size, LAST_WORDS_BYTES));
    await handle.read(buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8').trim();
  } finally {
    await handle.close();
  }
}

/** Ends what a process that was killed has left running in `directory`. */
export async function reapServers(directory: string): Promise<void> {
  for (const name of NAMES) {
    const file = pidFile(directory, name);
    const identity = parseIdentity(await readFile(file, 'utf8').catch(() => ''));
    if (identity) {
      await signalProcess(identity, 'SIGTERM');
      if (!(await waitForProcessEnd(identity, POLITE_MS[name]))) await signalProcess(identity, 'SIGKILL');
      await waitForProcessEnd(identity, END_MS);
    }
    await rm(file, { force: true });
  }
}
