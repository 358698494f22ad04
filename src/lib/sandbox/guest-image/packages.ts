import { execFile, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { VmopError } from '../../errors.ts';

const run = promisify(execFile);

/** A package that apt can download. */
export interface DebianPackage {
  name: string;
  version: string;
  /** Names from `Depends`, first alternatives only. */
  depends: string[];
}

/** Reads one paragraph of `apt-cache show`; undefined when it names no package. */
export function parsePackage(text: string): DebianPackage | undefined {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}: (.+)$`, 'm').exec(text)?.[1]?.trim();
  const name = field('Package');
  const version = field('Version');
  if (name === undefined || version === undefined) return undefined;
  const depends = (field('Depends') ?? '')
    .split(',')
    .map((entry) => /^\s*([a-z0-9][a-z0-9+.-]*)/.exec(entry)?.[1]);
  return { name, version, depends: depends.filter((depend) => depend !== undefined) };
}

async function showPackage(name: string, signal?: AbortSignal): Promise<DebianPackage | undefined> {
  try {
    const { stdout } = await run('apt-cache', ['show', '--no-all-versions', name], { signal });
    return parsePackage(stdout.split('\n\n')[0] ?? '');
  } catch (error) {
    signal?.throwIfAborted();
    if (isMissingProgram(error)) throw new VmopError('failed', 'apt is not installed', { cause: error });
    return undefined;
  }
}

/** Names that stand for "the newest kernel for virtual machines"; the real package is what they depend on. */
const KERNEL_META_PACKAGES = ['linux-image-cloud-amd64', 'linux-image-amd64', 'linux-image-virtual'];

/** The packages that the guest is made of. Rejects when apt knows none. */
export async function guestPackages(signal?: AbortSignal): Promise<DebianPackage[]> {
  const busybox = await showPackage('busybox-static', signal);
  const kernel = await kernelPackages(signal);
  if (busybox === undefined || kernel === undefined) {
    const what = busybox === undefined ? 'busybox-static' : KERNEL_META_PACKAGES[0];
    throw new VmopError('failed', `apt knows no package ${what}`, { hint: 'run `apt-get update`' });
  }
  return [...kernel, busybox];
}

async function kernelPackages(signal?: AbortSignal): Promise<DebianPackage[] | undefined> {
  for (const name of KERNEL_META_PACKAGES) {
    const meta = await showPackage(name, signal);
    const image = meta?.depends.find((depend) => /^linux-image-.*\d/.test(depend));
    const kernel = image === undefined ? undefined : await showPackage(image, signal);
    if (kernel === undefined) continue;
    // Some distributions ship the modules on their own.
    const modules = kernel.depends.find((depend) => /^linux-modules-.*\d/.test(depend));
    const extra = modules === undefined ? undefined : await showPackage(modules, signal);
    return extra === undefined ? [kernel] : [kernel, extra];
  }
  return undefined;
}

/** Downloads packages into a folder, without installing them; needs no root. Rejects with apt's own reason. */
export async function downloadPackages(
  packages: readonly DebianPackage[],
  folder: string,
  signal?: AbortSignal,
): Promise<void> {
  const wanted = packages.map(({ name, version }) => `${name}=${version}`);
  // As root apt would download as another user, who cannot write here.
  const options = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
  try {
    await run('apt-get', [...options, 'download', ...wanted], { cwd: folder, signal });
  } catch (error) {
    signal?.throwIfAborted();
    const said = /^E: (.+)$/m.exec(error instanceof Error ? error.message : '')?.[1];
    throw new VmopError('failed', `apt-get download failed: ${said ?? 'no reason given'}`, {
      hint: 'run `apt-get update`, and check that the package servers can be reached',
      cause: error,
    });
  }
}

/** Unpacks what matches the patterns (`*` also for slashes) from a package. */
export async function extractPackage(
  file: string,
  { into, patterns, signal }: { into: string; patterns: readonly string[]; signal?: AbortSignal | undefined },
): Promise<void> {
  const tarFile = path.join(into, 'data.tar');
  const unpack = spawn('dpkg-deb', ['--fsys-tarfile', file], { stdio: ['ignore', 'pipe', 'ignore'], signal });
  await Promise.all([pipeline(unpack.stdout, createWriteStream(tarFile), { signal }), spawned(unpack)]);
  // tar complains about patterns that match nothing; whoever needs a file notices that it is not there.
  await run('tar', ['-xf', tarFile, '-C', into, '--wildcards', '--no-same-owner', ...patterns], {
    signal,
  }).catch(() => undefined);
  signal?.throwIfAborted();
}

async function spawned(child: ReturnType<typeof spawn>): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
}

function isMissingProgram(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
