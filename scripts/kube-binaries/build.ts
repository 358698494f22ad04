import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { kubeCacheFolder, KUBE_PROGRAMS, programsIn } from '../../src/lib/sandbox/kube-apiserver/binaries.ts';
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

type ProgramName = keyof typeof KUBE_PROGRAMS;

const PACKAGES: Record<ProgramName, string> = {
  kubelet: './kubelet',
  etcd: 'go.etcd.io/etcd/server/v3',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  kubeApiserver: 'k8s.io/kubernetes/cmd/kube-apiserver',
};

/** Nothing can be tested without them; the smallest first, so that what cannot be built is seen early. */
const NEEDED = ['etcd', 'kubectl', 'kubeApiserver'] as const satisfies ProgramName[];

/** From nothing, on a slow machine that does other things as well. */
const BUILD_TIMEOUT_MS = 45 * 60_000;
const PROGRESS_MS = 15_000;

export type TestBinaries = Required<Pick<KubeBinaries, (typeof NEEDED)[number]>> &
  ({ kubelet: string } | { kubelet?: never; noKubelet: string });

/** Builds programs, or finds them built; rejects with the reason where it cannot. */
export type BuildPrograms = (names: readonly ProgramName[]) => Promise<Partial<KubeBinaries>>;

/**
 * The programs from the folder KUBEBUILDER_ASSETS, as setup-envtest fills it, and what it lacks built; without it all are
 * built. Rejects with the reason where one cannot be had; without a kubelet there is only `noKubelet`, why.
 */
export async function kubeBinaries(
  options: BuildOptions,
  build: BuildPrograms = (names) => builtPrograms(names, options),
): Promise<TestBinaries> {
  const folder = options.env['KUBEBUILDER_ASSETS'];
  const given = folder ? await programsIn(folder) : {};
  const missing = NEEDED.filter((name) => given[name] === undefined);
  const found = missing.length === 0 ? given : { ...(await build(missing)), ...given };
  const { kubeApiserver, etcd, kubectl } = found;
  if (kubeApiserver === undefined || etcd === undefined || kubectl === undefined)
    throw new Error('the build left the programs incomplete');
  const needed = { kubeApiserver, etcd, kubectl };
  if (given.kubelet !== undefined) return { ...needed, kubelet: given.kubelet };
  try {
    const { kubelet } = await build(['kubelet']);
    if (kubelet === undefined) throw new Error('the build left it out');
    return { ...needed, kubelet };
  } catch (error) {
    return { ...needed, noKubelet: `no kubelet for logs and port-forward: ${firstLine(error)}` };
  }
}

function firstLine(error: unknown): string {
  return String(error).split('\n')[0] ?? '';
}

/** Once per machine and version of the sources; another process that builds is waited for. */
async function builtPrograms(
  names: readonly ProgramName[],
  { env, say }: BuildOptions,
): Promise<Partial<KubeBinaries>> {
  const cache = kubeCacheFolder(env);
  const folder = path.join(cache, await sourcesHash());
  const missingThere = async (): Promise<ProgramName[]> => {
    const there = await programsIn(folder);
    return names.filter((name) => there[name] === undefined);
  };
  if ((await missingThere()).length === 0) return await programsIn(folder);
  await mkdir(cache, { recursive: true });
  const signal = AbortSignal.timeout(BUILD_TIMEOUT_MS);
  const wait = { timeoutMs: BUILD_TIMEOUT_MS, signal, work: 'builds kube-apiserver' };
  return await withLock(path.join(cache, 'lock'), wait, async () => {
    const missing = await missingThere();
    if (missing.length > 0) {
      const go = await findGo(env, cache, say);
      const fresh = await mkdtemp(path.join(cache, '.new-'));
      try {
        await build(go, missing, { env, say, signal, fresh, folder });
      } finally {
        await rm(fresh, { recursive: true, force: true });
      }
    }
    return await programsIn(folder);
  });
}

async function sourcesHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const file of FILES) hash.update(await readFile(path.join(SOURCES, file)));
  return hash.digest('hex').slice(0, 16);
}

/** In `fresh`; each is moved to `folder` when it is whole. */
async function build(
  go: string,
  names: readonly ProgramName[],
  { env, say, signal, fresh, folder }: BuildOptions & { signal: AbortSignal; fresh: string; folder: string },
): Promise<void> {
  const started = performance.now();
  const flags = ['-trimpath', '-ldflags', await linkerFlags()];
  for (const name of names) {
    const program = KUBE_PROGRAMS[name];
    const tell = (): void =>
      say(`building ${program}, ${Math.round((performance.now() - started) / 1000)} s so far`);
    tell();
    const timer = setInterval(tell, PROGRESS_MS);
    try {
      await runGo(go, ['build', ...flags, '-o', path.join(fresh, program), PACKAGES[name]], env, signal);
      await mkdir(folder, { recursive: true });
      await rename(path.join(fresh, program), path.join(folder, program));
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
  // An older Go fetches the one that go.mod asks for, also where that was switched off for the whole machine.
  const settings = {
    CGO_ENABLED: '0',
    GOTOOLCHAIN: 'auto',
    GOFLAGS: '-mod=readonly -buildvcs=false',
    GOWORK: 'off',
  };
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
  const why = words.replaceAll(/^go: downloading .*\n/gm, '').trim();
  if (code !== 0) throw new Error(`go ${args[0] ?? ''} ${args.at(-1) ?? ''} failed: ${why}`);
}
