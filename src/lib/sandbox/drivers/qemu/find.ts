import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type Accelerator = 'kvm' | 'tcg';

/** What QEMU denies itself where it can. */
export const SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

/** A QEMU that can run machines here. */
export interface QemuProgram {
  path: string;
  version: string;
  accel: Accelerator;
  /** It can deny itself what it does not need (seccomp). */
  sandbox: boolean;
}

export interface FindQemuOptions {
  /** A path or a name to look for in PATH; default `qemu-system-x86_64`. */
  qemu?: string | undefined;
  /** Default: KVM where it really works. */
  accel?: Accelerator | undefined;
}

/** Looks for QEMU, asks its version, tries KVM (less than a second where it works, up to three where it hangs). */
export async function findQemu(
  env: Record<string, string | undefined>,
  { qemu = 'qemu-system-x86_64', accel }: FindQemuOptions = {},
): Promise<QemuProgram | { missing: string }> {
  const program = await findProgram(qemu, env['PATH'] ?? '');
  if (program === undefined) return { missing: `${qemu} is not installed` };
  // Options are read in order: a QEMU without seccomp refuses the first one.
  const sandboxed = await versionOf(program, ['-sandbox', SANDBOX]);
  const version = sandboxed ?? (await versionOf(program, []));
  if (version === undefined) return { missing: `${program} does not tell its version` };
  return {
    path: program,
    version,
    accel: accel ?? ((await kvmWorks(program)) ? 'kvm' : 'tcg'),
    sandbox: sandboxed !== undefined,
  };
}

async function findProgram(name: string, searchPath: string): Promise<string | undefined> {
  const candidates = name.includes('/')
    ? [path.resolve(name)]
    : searchPath
        .split(path.delimiter)
        .filter((folder) => path.isAbsolute(folder))
        .map((folder) => path.join(folder, name));
  for (const candidate of candidates) {
    try {
      await fs.access(candidate, fs.constants.X_OK);
      return candidate;
    } catch {
      // The next one, then.
    }
  }
  return undefined;
}

async function versionOf(program: string, options: string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run(program, [...options, '-version'], { timeout: 10_000 });
    return /version (\d+(?:\.\d+)*)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

/**
 * Whether a machine really runs with KVM: a device file that can be opened proves nothing inside other virtual
 * machines. The firmware's first words on its debug port do.
 */
async function kvmWorks(program: string): Promise<boolean> {
  try {
    await fs.access('/dev/kvm', fs.constants.R_OK | fs.constants.W_OK);
  } catch {
    return false;
  }
  const options = ['-no-user-config', '-nodefaults', '-display', 'none', '-machine', 'pc', '-m', '32'];
  const kvm = ['-accel', 'kvm', '-cpu', 'host', '-chardev', 'stdio,id=debug'];
  const probe = spawn(program, [...options, ...kvm, '-device', 'isa-debugcon,iobase=0x402,chardev=debug'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 3000,
    killSignal: 'SIGKILL',
  });
  return await new Promise((resolve) => {
    let said = '';
    probe.on('error', () => resolve(false));
    probe.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1');
      if (said.includes('SeaBIOS')) {
        resolve(true);
        probe.kill('SIGKILL');
      }
    });
    probe.on('close', () => resolve(false));
  });
}
