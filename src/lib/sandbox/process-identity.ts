import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { asInteger, asObject, asString, parseJson } from '../cluster/parse.ts';

const run = promisify(execFile);

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  pid: number;
  /** When it started, in the system's own words. */
  started: string;
}

/** A process as `JSON.stringify` wrote it to a file. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  const value = asObject(parseJson(text));
  const pid = asInteger(value['pid']);
  const started = asString(value['started']);
  return pid === undefined || started === undefined ? undefined : { pid, started };
}

/** Undefined when no such process runs; one that has ended and was not waited for yet counts as gone. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const started = process.platform === 'linux' ? await startOnLinux(pid) : await startByPs(pid);
  return started === undefined ? undefined : { pid, started };
}

export async function isSameProcessRunning({ pid, started }: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(pid))?.started === started;
}

async function startOnLinux(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold anything; then come state and, 19 fields on, the start in ticks since boot.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state] = fields;
    if (state === 'Z' || state === 'X') return undefined;
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    return `${boot} ${fields[19] ?? ''}`;
  } catch {
    return undefined;
  }
}

async function startByPs(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await run('ps', ['-o', 'state=,lstart=', '-p', String(pid)], {
      timeout: 5000,
      env: { ...process.env, LC_ALL: 'C' },
    });
    const [, state = '', started = ''] = /^\s*(\S+)\s+(.*\S)\s*$/.exec(stdout) ?? [];
    return state === '' || state.startsWith('Z') ? undefined : started;
  } catch {
    return undefined;
  }
}

/** Sends a signal, but never to another process that got the number meanwhile. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<void> {
  if (!(await isSameProcessRunning(identity))) return;
  try {
    process.kill(identity.pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

const POLL_MS = 25;

/** Resolves to whether the process has ended within the time. */
export async function waitForProcessEnd(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (await isSameProcessRunning(identity)) {
    if (performance.now() > deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}
