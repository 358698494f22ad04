import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { VmopError } from '../errors.ts';
import { rotateLog } from './daemon-log.ts';
import { parseStartMessage, READY_DESCRIPTOR, READY_VARIABLE } from './ready-pipe.ts';
import type { StateFolder } from './state-folder.ts';

export interface DaemonProcessOptions {
  /** What makes this executable run vmop: execArgv and script, or nothing for a standalone executable. */
  entry: readonly string[];
  /** Arguments of the command that calls `runDaemon`. */
  args: readonly string[];
  env: Record<string, string | undefined>;
  timeoutMs: number;
  signal: AbortSignal;
  onProgress: (text: string) => void;
}

/**
 * Starts a daemon that outlives this process, and waits until it is ready. When it does not come to that it is ended
 * and the promise rejects: with the daemon's own error, `timeout`, or the signal's reason.
 */
export async function spawnDaemon(folder: StateFolder, options: DaemonProcessOptions): Promise<void> {
  const { entry, args, env, timeoutMs, signal, onProgress } = options;
  rotateLog(folder.log);
  const log = openSync(folder.log, 'a', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...entry, ...args], {
      detached: true,
      // Holds no folder busy.
      cwd: '/',
      env: { ...env, [READY_VARIABLE]: '1' },
      stdio: ['ignore', log, log, 'pipe'],
    });
  } finally {
    closeSync(log);
  }
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    await readiness(child, AbortSignal.any([signal, deadline]), onProgress, folder);
  } catch (error) {
    await endChild(child);
    signal.throwIfAborted();
    if (!deadline.aborted) throw error;
    throw new VmopError('timeout', `the sandbox was not ready after ${timeoutMs / 1000} s`, {
      hint: 'vmop sandbox logs tells what it was doing',
      cause: error,
    });
  } finally {
    pipeOf(child).destroy();
    child.unref();
  }
}

function pipeOf(child: ChildProcess): Readable {
  const pipe = child.stdio[READY_DESCRIPTOR];
  return pipe instanceof Readable ? pipe : Readable.from([]);
}

async function readiness(
  child: ChildProcess,
  signal: AbortSignal,
  onProgress: (text: string) => void,
  folder: StateFolder,
): Promise<void> {
  const spawned = once(child, 'spawn', { signal });
  await spawned;
  const lines = createInterface({ input: pipeOf(child), signal });
  for await (const line of lines) {
    const message = parseStartMessage(line);
    if (message?.type === 'ready') return;
    if (message?.type === 'progress') onProgress(message.text);
    if (message?.type === 'failed') throw new VmopError('failed', message.message, { hint: message.hint });
  }
  signal.throwIfAborted();
  throw new VmopError('failed', 'the sandbox ended before it was ready', {
    hint: `its last words are in ${folder.log}`,
  });
}

const END_MS = 10_000;

/** Politely, then by force; resolves when it has gone. */
async function endChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), END_MS);
  await exited;
  clearTimeout(force);
}
