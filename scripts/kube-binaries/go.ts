import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { zipEntries } from './zip.ts';

const run = promisify(execFile);

type Env = Record<string, string | undefined>;

/** Go itself as a module, for machines that have none; pinned by its content. */
const TOOLCHAIN = {
  version: 'v0.0.1-go1.26.8.linux-amd64',
  sha256: '30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7',
};
/** 72 MB. */
const DOWNLOAD_TIMEOUT_MS = 300_000;
/** The first Go that fetches the version that go.mod asks for by itself. */
const OLDEST = [1, 21];

/** The path of `go`: from PATH, a usual place, or fetched into `cache`. Rejects with the reason where none can be had. */
export async function findGo(env: Env, cache: string, say: (line: string) => void): Promise<string> {
  const folders = (env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  const places = [...folders, '/usr/local/go/bin', ...globSync('/usr/lib/go*/bin').toSorted().toReversed()];
  for (const place of places) {
    const go = path.join(place, 'go');
    if (existsSync(go) && (await isRecent(go))) return go;
  }
  return await fetchedGo(env, cache, say);
}

async function isRecent(go: string): Promise<boolean> {
  try {
    const { stdout } = await run(go, ['env', 'GOVERSION'], { timeout: 30_000, cwd: '/' });
    const [, major, minor] = /^go(\d+)\.(\d+)/.exec(stdout) ?? [];
    const [oldestMajor = 0, oldestMinor = 0] = OLDEST;
    return Number(major) > oldestMajor || Number(minor) >= oldestMinor;
  } catch {
    return false;
  }
}

async function fetchedGo(env: Env, cache: string, say: (line: string) => void): Promise<string> {
  const folder = path.join(cache, 'go', TOOLCHAIN.sha256.slice(0, 16));
  const go = path.join(folder, 'bin', 'go');
  if (existsSync(go)) return go;
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('no Go on this machine');
  const proxy = proxyOf(env);
  if (proxy === undefined) throw new Error('no Go on this machine, and GOPROXY allows to fetch none');
  say('fetching Go');
  const archive = await download(`${proxy}/golang.org/toolchain/@v/${TOOLCHAIN.version}.zip`);
  if (createHash('sha256').update(archive).digest('hex') !== TOOLCHAIN.sha256)
    throw new Error('the Go that was fetched is not the one that is known');
  await mkdir(path.dirname(folder), { recursive: true });
  const fresh = await mkdtemp(path.join(path.dirname(folder), '.new-'));
  try {
    await unpack(archive, fresh);
    await rename(fresh, folder);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return go;
}

function proxyOf({ GOPROXY }: Env): string | undefined {
  const first = (GOPROXY || 'https://proxy.golang.org').split(/[,|]/)[0] ?? '';
  return /^https?:/.test(first) ? first.replace(/\/$/, '') : undefined;
}

async function download(url: string): Promise<Buffer> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`answered with ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (cause) {
    throw new Error('no Go on this machine, and none can be fetched', { cause });
  }
}

async function unpack(archive: Buffer, folder: string): Promise<void> {
  const prefix = `golang.org/toolchain@${TOOLCHAIN.version}/`;
  for (const { name, read } of zipEntries(archive)) {
    const inner = name.slice(prefix.length);
    if (!name.startsWith(prefix) || name.endsWith('/') || inner.split('/').includes('..')) continue;
    const file = path.join(folder, inner);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, read());
    // Modules carry no modes.
    if (/^(bin|pkg\/tool)\//.test(inner)) await chmod(file, 0o755);
  }
}
