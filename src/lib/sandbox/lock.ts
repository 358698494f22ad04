import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { pause } from '../cluster/retry.ts';
import { VmopError } from '../errors.ts';
import { identifyProcess, isSameProcessRunning, parseIdentity } from './process-identity.ts';

export interface LockOptions {
  timeoutMs: number;
  signal: AbortSignal;
  /** What the holder of the lock does, for the error. */
  work?: string;
}

const POLL_MS = 100;

/**
 * Runs the work while no other process holds the lock `file`; waits for its turn. A lock whose holder has died is
 * taken over. Rejects with `timeout` when its turn does not come, or with the signal's reason.
 */
export async function withLock<T>(
  file: string,
  { timeoutMs, signal, work: what = 'starts or stops the sandbox' }: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  const own = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const identity = (await identifyProcess(process.pid)) ?? { pid: process.pid, started: '' };
  await writeFile(own, JSON.stringify(identity), { mode: 0o600 });
  try {
    while (!(await take(file, own))) {
      signal.throwIfAborted();
      if (performance.now() > deadline) {
        throw new VmopError('timeout', `another vmop ${what} and does not come to an end`, {
          hint: `if none runs any more, remove ${file}`,
        });
      }
      await pause(POLL_MS, signal);
    }
    try {
      return await work();
    } finally {
      await rm(file, { force: true });
    }
  } finally {
    await rm(own, { force: true });
  }
}

/** A hard link is made by one process only. */
async function take(file: string, own: string): Promise<boolean> {
  try {
    await link(own, file);
    return true;
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
  const holder = await readFile(file, 'utf8').catch(() => undefined);
  if (holder === undefined || (await isHeld(holder))) return false;
  await removeStale(file, own, holder);
  return false;
}

async function isHeld(holder: string): Promise<boolean> {
  const identity = parseIdentity(holder);
  return identity !== undefined && (await isSameProcessRunning(identity));
}

/** Only the very lock that was found stale: another process may have taken it over since. */
async function removeStale(file: string, own: string, stale: string): Promise<void> {
  const aside = `${own}.stale`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, 'utf8')) !== stale) await link(aside, file).catch(() => {});
  await rm(aside, { force: true });
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
