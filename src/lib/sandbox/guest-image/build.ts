import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { messageOf, VmopError } from '../../errors.ts';
import { cpioArchive, cpioFile, cpioFolder, type CpioEntry } from './cpio.ts';
import { GUEST_FILES, GUEST_KERNEL_PARAMETERS, GUEST_MODULES } from './guest-files.ts';
import type { GuestImage } from './image.ts';
import { extractPackage, fetchGuestPackages, type DebianPackage } from './packages.ts';

export interface GuestImageOptions {
  env: Record<string, string | undefined>;
  /** What is being done, for a person who waits. */
  onProgress?: ((what: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * The tiny guest: from the cache when it was built before (nothing else is asked then), else built from the
 * distribution's kernel and busybox without root: about 28 MB to download, a few seconds.
 */
export async function guestImage(options: GuestImageOptions): Promise<GuestImage | { missing: string }> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return {
      missing: `the tiny guest is for Linux on amd64 (this is ${process.platform} on ${process.arch})`,
    };
  }
  const cache = guestCache(options.env);
  try {
    return (await findCached(cache)) ?? (await build(cache, options));
  } catch (error) {
    options.signal?.throwIfAborted();
    const hint = error instanceof VmopError && error.hint !== undefined ? ` (${error.hint})` : '';
    return { missing: `the tiny guest cannot be built: ${messageOf(error)}${hint}` };
  }
}

/** The folder of all built guests: below the XDG cache folder. */
export function guestCache(env: Record<string, string | undefined>): string {
  const home = env['HOME'] || os.homedir();
  return path.join(env['XDG_CACHE_HOME'] || path.join(home, '.cache'), 'vmop', 'guest');
}

/** Changes with everything that goes into the guest beside the packages. */
function ownFilesHash(): string {
  const content = JSON.stringify([GUEST_FILES, GUEST_MODULES, FOLDERS]);
  return createHash('sha256').update(content).digest('hex').slice(0, 12);
}

/** The folder's name of one build: package versions, then the hash of our own files. */
function buildName(packages: readonly DebianPackage[]): string {
  const versions = packages.map(({ version }) => version.replaceAll(/[^A-Za-z0-9.+~-]/g, '_'));
  return `${versions.join('_')}_${ownFilesHash()}`;
}

/** Any build of our own files will do, whichever packages it was made from: apt is not asked. */
async function findCached(cache: string): Promise<GuestImage | undefined> {
  const names = await fs.readdir(cache).catch(() => []);
  const name = names
    .filter((entry) => entry.endsWith(`_${ownFilesHash()}`))
    .sort()
    .at(-1);
  return name === undefined ? undefined : await imageIn(path.join(cache, name));
}

async function imageIn(folder: string): Promise<GuestImage> {
  return {
    kernel: path.join(folder, 'vmlinuz'),
    initramfs: path.join(folder, 'initramfs'),
    parameters: GUEST_KERNEL_PARAMETERS,
    description: (await fs.readFile(path.join(folder, 'description'), 'utf8')).trim(),
  };
}

async function build(cache: string, { env, onProgress, signal }: GuestImageOptions): Promise<GuestImage> {
  await fs.mkdir(cache, { recursive: true });
  await removeAbandoned(cache);
  const work = await fs.mkdtemp(path.join(cache, '.build-'));
  try {
    const packed = await folderIn(work, 'packed');
    const unpacked = await folderIn(work, 'unpacked');
    const result = await folderIn(work, 'result');
    const packages = await fetchGuestPackages({
      folder: packed,
      scratch: path.join(work, 'apt'),
      env,
      onProgress,
      signal,
    });
    onProgress?.('building the guest');
    for (const file of await fs.readdir(packed)) {
      await extractPackage(path.join(packed, file), { into: unpacked, patterns: PATTERNS, env, signal });
    }
    await assemble(unpacked, result, packages);
    const target = path.join(cache, buildName(packages));
    // A folder appears whole or not at all. When another process was faster, its work is as good.
    await fs.rename(result, target).catch(async (error: unknown) => {
      if ((await findCached(cache)) === undefined) throw error;
    });
    return await imageIn(target);
  } finally {
    await fs.rm(work, { recursive: true, force: true });
  }
}

const ABANDONED_MS = 3600 * 1000;

/** What builds have left that were killed. */
async function removeAbandoned(cache: string): Promise<void> {
  for (const name of await fs.readdir(cache)) {
    const folder = path.join(cache, name);
    const { mtimeMs } = await fs.stat(folder).catch(() => ({ mtimeMs: Date.now() }));
    if (name.startsWith('.build-') && Date.now() - mtimeMs > ABANDONED_MS) {
      await fs.rm(folder, { recursive: true, force: true });
    }
  }
}

async function folderIn(parent: string, name: string): Promise<string> {
  const folder = path.join(parent, name);
  await fs.mkdir(folder);
  return folder;
}

const PATTERNS = [
  'vmlinuz-*',
  'modules.builtin',
  'bin/busybox',
  ...GUEST_MODULES.map((name) => `${name}.ko*`),
].map((pattern) => `*/${pattern}`);

const FOLDERS = 'bin dev etc home lib lib/modules lib/vmop proc root run sys tmp'.split(' ');

async function assemble(unpacked: string, result: string, packages: readonly DebianPackage[]): Promise<void> {
  const files = await fs.readdir(unpacked, { recursive: true });
  const find = (matches: (name: string) => boolean): string | undefined => {
    const file = files.find((candidate) => matches(path.basename(candidate)));
    return file === undefined ? undefined : path.join(unpacked, file);
  };
  const kernel = find((name) => name.startsWith('vmlinuz-'));
  const busybox = find((name) => name === 'busybox');
  if (kernel === undefined || busybox === undefined) {
    throw new Error(`the packages have no ${kernel === undefined ? 'kernel' : 'busybox'}`);
  }
  const builtin = find((name) => name === 'modules.builtin');
  const modules = await guestModules(find, builtin === undefined ? '' : await fs.readFile(builtin, 'utf8'));
  const entries: CpioEntry[] = [
    ...FOLDERS.map(cpioFolder),
    cpioFile('bin/busybox', await fs.readFile(busybox), 0o755),
    cpioFile('etc/passwd', 'root:x:0:0::/root:/bin/sh\n'),
    cpioFile('etc/group', 'root:x:0:\n'),
    ...modules,
    cpioFile('lib/modules/order', modules.map((entry) => `${path.basename(entry.path)}\n`).join('')),
    ...Object.entries(GUEST_FILES).map(([file, text]) => cpioFile(file, text, 0o755)),
  ];
  await fs.writeFile(path.join(result, 'initramfs'), cpioArchive(entries));
  await fs.copyFile(kernel, path.join(result, 'vmlinuz'));
  const made = packages.map(({ name, version }) => `${name} ${version}`).join(', ');
  await fs.writeFile(path.join(result, 'description'), `tiny guest from ${made}\n`);
}

/** The modules that the kernel does not have built in, in the order in which they are loaded. */
async function guestModules(
  find: (matches: (name: string) => boolean) => string | undefined,
  builtin: string,
): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = [];
  for (const module of GUEST_MODULES) {
    const file = find((name) => name === `${module}.ko` || name.startsWith(`${module}.ko.`));
    if (file !== undefined) entries.push(await moduleEntry(module, file));
    else if (!builtin.includes(`/${module}.ko`)) throw new Error(`the kernel has no module ${module}`);
  }
  return entries;
}

/** busybox loads plain modules and those packed with xz. */
async function moduleEntry(module: string, file: string): Promise<CpioEntry> {
  const data = await fs.readFile(file);
  if (file.endsWith('.zst')) return cpioFile(`lib/modules/${module}.ko`, zstdDecompressSync(data));
  return cpioFile(`lib/modules/${path.basename(file)}`, data);
}
