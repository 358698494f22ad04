import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { binariesIn, kubeCacheFolder, KUBE_PROGRAMS } from '../../src/lib/sandbox/kube-apiserver/binaries.ts';
import type { KubeBinaries } from '../../src/lib/sandbox/kube-apiserver/binaries.ts';
import { withLock } from '../../src/lib/sandbox/lock.ts';
import { findGo } from './go.ts';

export interface BuildOptions {
  env: Record<string, string | undefined>;
  /** Told now and then what is being done. */
  say: (line: string) => void;
}

const SOURCES = path.join(import.meta.dirname, '../../tools/kubernetes');
const FILES = ['go.mod', 'go.sum', 'kubelet/main.go'];

/** The smallest first, so that what cannot be built is seen early. */
const PACKAGES: [program: string, goPackage: string][] = [
  [KUBE_PROGRAMS.kubelet, './kubelet'],
  [KUBE_PROGRAMS.etcd, 'go.etcd.io/etcd/server/v3'],
  [KUBE_PROGRAMS.kubectl, 'k8s.io/kubernetes/cmd/kubectl'],
  [KUBE_PROGRAMS.kubeApiserver, 'k8s.io/kubernetes/cmd/kube-apiserver'],
];

/** From nothing, on a slow machine that does other things as well. */
const BUILD_TIMEOUT_MS = 45 * 60_000;
const PROGRESS_MS = 15_000;

/**
 * The programs of tools/kubernetes, built once per machine and version of the sources; another process that builds them
 * is waited for. Rejects with the reason where they cannot be built.
 */
export async function buildKubeBinaries({ env, say }: BuildOptions): Promise<Required<KubeBinaries>> {
  const cache = kubeCacheFolder(env);
  const folder = path.join(cache, await sourcesHash());
  const built = await allIn(folder);
  if (built) return built;
  await mkdir(cache, { recursive: true });
  const signal = AbortSignal.timeout(BUILD_TIMEOUT_MS);
  const wait = { timeoutMs: BUILD_TIMEOUT_MS, signal, work: 'builds kube-apiserver' };
  return await withLock(path.join(cache, 'lock'), wait, async () => {
    const meanwhile = await allIn(folder);
    if (meanwhile) return meanwhile;
    const go = await findGo(env, cache, say);
    const fresh = await mkdtemp(path.join(cache, '.new-'));
    try {
      await build(go, fresh, { env, say, signal });
      await rename(fresh, folder);
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
    const all = await allIn(folder);
    if (all === undefined) throw new Error(`the build left ${folder} incomplete`);
    return all;
  });
}

async function sourcesHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const file of FILES) hash.update(await readFile(path.join(SOURCES, file)));
  return hash.digest('hex').slice(0, 16);
}

async function allIn(folder: string): Promise<Required<KubeBinaries> | undefined> {
  const found = await binariesIn(folder);
  if (found?.kubectl === undefined || found.kubelet === undefined) return undefined;
  return { ...found, kubectl: found.kubectl, kubelet: found.kubelet };
}

async function build(
  go: string,
  folder: string,
  { env, say, signal }: BuildOptions & { signal: AbortSignal },
): Promise<void> {
  const started = performance.now();
  const flags = ['-trimpath', '-ldflags', await linkerFlags()];
  for (const [program, goPackage] of PACKAGES) {
    const tell = (): void =>
      say(`building ${program}, ${Math.round((performance.now() - started) / 1000)} s so far`);
    tell();
    const timer = setInterval(tell, PROGRESS_MS);
    try {
      await runGo(go, ['build', ...flags, '-o', path.join(folder, program), goPackage], env, signal);
    } finally {
      clearInterval(timer);
    }
  }
}

/** What `kube-apiserver --version` and `/version` say. */
async function linkerFlags(): Promise<string> {
  const text = await readFile(path.join(SOURCES, 'go.mod'), 'utf8');
  const [, version, major, minor] = /\bk8s\.io\/kubernetes (v(\d+)\.(\d+)\.\d+)/.exec(text) ?? [];
  if (version === undefined) throw new Error('tools/kubernetes/go.mod names no version of Kubernetes');
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  const settings = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((goPackage) =>
    Object.entries(values).map(([name, value]) => `-X ${goPackage}.${name}=${value}`),
  );
  return ['-s', '-w', ...settings].join(' ');
}

const LAST_WORDS = 4000;

async function runGo(
  go: string,
  args: string[],
  env: BuildOptions['env'],
  signal: AbortSignal,
): Promise<void> {
  const settings = { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false', GOWORK: 'off' };
  const child = spawn(go, args, {
    cwd: SOURCES,
    env: { ...env, ...settings },
    stdio: ['ignore', 'ignore', 'pipe'],
    signal,
  });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-LAST_WORDS);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`go ${args[0] ?? ''} ${args.at(-1) ?? ''} failed: ${words.trim()}`);
}
