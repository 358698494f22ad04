import { execFile, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { messageOf, VmopError } from '../../errors.ts';

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

type Environment = Record<string, string | undefined>;

/** How apt is called: with which lists, in which environment. */
interface Apt {
  options: readonly string[];
  env: Environment;
  signal: AbortSignal | undefined;
}

/**
 * Downloads the packages that the guest is made of into a folder, without installing them and without root. When the
 * system's lists are missing or outdated, lists of our own are fetched into `scratch`. Rejects with apt's reason.
 */
export async function fetchGuestPackages({
  folder,
  scratch,
  env,
  onProgress,
  signal,
}: {
  folder: string;
  scratch: string;
  env: Environment;
  onProgress?: ((what: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}): Promise<DebianPackage[]> {
  const fetch = async (lists: Apt): Promise<DebianPackage[]> => {
    const packages = await guestPackages(lists);
    onProgress?.(`downloading ${packages.map(({ name }) => name).join(', ')}`);
    await downloadPackages(packages, folder, lists);
    return packages;
  };
  onProgress?.('looking for the kernel and busybox');
  // As root apt would download as another user, who cannot write there.
  const options = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
  try {
    return await fetch({ options, env, signal });
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof VmopError && error.code === 'notFound') throw error;
  }
  onProgress?.('reading the package lists');
  return await fetch(await freshLists(scratch, { options, env, signal }));
}

/** Lists of our own, beside the system's, which only root could update. */
async function freshLists(scratch: string, { options, env, signal }: Apt): Promise<Apt> {
  for (const folder of ['lists/partial', 'cache/archives/partial']) {
    await fs.mkdir(path.join(scratch, folder), { recursive: true });
  }
  const places = {
    'Dir::State::lists': path.join(scratch, 'lists'),
    'Dir::Cache': path.join(scratch, 'cache'),
  };
  const own = Object.entries({ ...places, 'Acquire::Languages': 'none' }).flatMap(([key, to]) => [
    '-o',
    `${key}=${to}`,
  ]);
  const lists = { options: [...options, ...own], env, signal };
  await apt('apt-get', ['update'], lists);
  return lists;
}

/** Runs a program of apt; resolves to what it prints. */
async function apt(
  program: 'apt-get' | 'apt-cache',
  args: readonly string[],
  { options, env, signal, cwd }: Apt & { cwd?: string },
): Promise<string> {
  try {
    return (await run(program, [...options, ...args], { cwd, signal, env: { ...env, LC_ALL: 'C' } })).stdout;
  } catch (error) {
    signal?.throwIfAborted();
    if (isMissingProgram(error))
      throw new VmopError('notFound', `${program} is not installed`, { cause: error });
    const said = /^E: (.+)$/m.exec(messageOf(error))?.[1];
    throw new VmopError('failed', `${program} failed: ${said ?? messageOf(error)}`, {
      hint: 'check that the package servers can be reached',
      cause: error,
    });
  }
}

async function showPackage(name: string, lists: Apt): Promise<DebianPackage | undefined> {
  try {
    const text = await apt('apt-cache', ['show', '--no-all-versions', name], lists);
    return parsePackage(text.split('\n\n')[0] ?? '');
  } catch (error) {
    // apt-cache fails when it does not know the name.
    if (error instanceof VmopError && error.code === 'failed') return undefined;
    throw error;
  }
}

/** Names that stand for "the newest kernel for virtual machines"; the real package is what they depend on. */
const KERNEL_META_PACKAGES = ['linux-image-cloud-amd64', 'linux-image-amd64', 'linux-image-virtual'];

async function guestPackages(lists: Apt): Promise<DebianPackage[]> {
  const busybox = await showPackage('busybox-static', lists);
  const kernel = busybox === undefined ? undefined : await kernelPackages(lists);
  if (busybox === undefined || kernel === undefined) {
    const what = busybox === undefined ? 'busybox-static' : KERNEL_META_PACKAGES[0];
    throw new VmopError('failed', `apt knows no package ${what}`, { hint: 'run `apt-get update`' });
  }
  return [...kernel, busybox];
}

async function kernelPackages(lists: Apt): Promise<DebianPackage[] | undefined> {
  for (const name of KERNEL_META_PACKAGES) {
    const meta = await showPackage(name, lists);
    const image = meta?.depends.find((depend) => /^linux-image-.*\d/.test(depend));
    const kernel = image === undefined ? undefined : await showPackage(image, lists);
    if (kernel === undefined) continue;
    // Some distributions ship the modules on their own.
    const modules = kernel.depends.find((depend) => /^linux-modules-.*\d/.test(depend));
    const extra = modules === undefined ? undefined : await showPackage(modules, lists);
    return extra === undefined ? [kernel] : [kernel, extra];
  }
  return undefined;
}

async function downloadPackages(
  packages: readonly DebianPackage[],
  folder: string,
  lists: Apt,
): Promise<void> {
  const wanted = packages.map(({ name, version }) => `${name}=${version}`);
  await apt('apt-get', ['download', ...wanted], { ...lists, cwd: folder });
}

interface ExtractOptions {
  into: string;
  patterns: readonly string[];
  env: Environment;
  signal?: AbortSignal | undefined;
}

/** Unpacks what matches the patterns (`*` also for slashes) from a package. */
export async function extractPackage(
  file: string,
  { into, patterns, env, signal }: ExtractOptions,
): Promise<void> {
  const tarFile = path.join(into, 'data.tar');
  const unpack = spawn('dpkg-deb', ['--fsys-tarfile', file], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env,
    signal,
  });
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
