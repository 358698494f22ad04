import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { machineFiles, removeSockets, type MachineFiles } from './files.ts';

const run = promisify(execFile);

/** A QEMU that was started here or found running. */
export interface QemuProcess {
  pid: number;
  /** Whether it still runs. Never true for another process that got its number. */
  isRunning(): Promise<boolean>;
  /** What has ended it; undefined: no signal, or nobody knows, as somebody else started it. */
  endedBy(): NodeJS.Signals | undefined;
}

/**
 * Starts QEMU in a process group of its own, without our terminal, so that it outlives us. Rejects when there is
 * nothing to start.
 */
export async function startQemu(program: string, args: string[], files: MachineFiles): Promise<QemuProcess> {
  const log = await fs.open(files.qemuLog, 'w', 0o600);
  try {
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { ...process.env, LC_ALL: 'C' },
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    return {
      pid: child.pid ?? 0,
      isRunning: () => Promise.resolve(child.exitCode === null && child.signalCode === null),
      endedBy: () => child.signalCode ?? undefined,
    };
  } finally {
    await log.close();
  }
}

/** The QEMU of this machine, started by whomever; undefined when none runs. */
export async function findRunningQemu(files: MachineFiles): Promise<QemuProcess | undefined> {
  const pid = Number(await fs.readFile(files.pid, 'utf8').catch(() => ''));
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  const isRunning = async (): Promise<boolean> => names(await commandLine(pid), files.pid);
  return (await isRunning()) ? { pid, isRunning, endedBy: () => undefined } : undefined;
}

/** Whether a command line is that of a QEMU with this pid file: a process number alone proves nothing. */
export function names(args: readonly string[], pidFile: string): boolean {
  return args.some((arg, index) => arg === '-pidfile' && args[index + 1] === pidFile);
}

async function commandLine(pid: number): Promise<string[]> {
  try {
    if (process.platform === 'linux') return (await fs.readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    const { stdout } = await run('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { timeout: 5000 });
    return stdout.trim().split(' ');
  } catch {
    return [];
  }
}

/** Waits for a process to end; false when it still runs after `timeoutMs`. */
export async function hasEnded(qemu: QemuProcess, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (await qemu.isRunning()) {
    if (performance.now() > deadline) return false;
    await delay(25);
  }
  return true;
}

/** Ends a process for good: politely, then by force. */
export async function endQemu(qemu: QemuProcess): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!(await qemu.isRunning())) return;
    try {
      process.kill(qemu.pid, signal);
    } catch {
      // It ended meanwhile.
    }
    if (await hasEnded(qemu, 3000)) return;
  }
}

/** Ends whatever runs in a machine's folder and removes its sockets. */
export async function reapQemu(directory: string): Promise<void> {
  const files = machineFiles(directory);
  const qemu = await findRunningQemu(files);
  if (qemu) await endQemu(qemu);
  await removeSockets(files);
}
