import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

type Env = Record<string, string | undefined>;

/** Paths of the programs that a real API server on this machine is made of. */
export interface KubeBinaries {
  kubeApiserver: string;
  etcd: string;
  kubectl?: string;
  /** tools/kubernetes/kubelet. Without it there are no logs of pods and no port forwarding. */
  kubelet?: string;
}

/** The programs by the names of their files. */
export const KUBE_PROGRAMS = {
  kubeApiserver: 'kube-apiserver',
  etcd: 'etcd',
  kubectl: 'kubectl',
  kubelet: 'vmop-kubelet',
} as const;

/** Where `scripts/kube-binaries.ts` puts what it builds, one folder per version of the sources. */
export function kubeCacheFolder(env: Env): string {
  if (env['VMOP_TEST_CACHE']) return path.join(env['VMOP_TEST_CACHE'], 'kubernetes');
  const home = env['HOME'] || os.homedir();
  return path.join(env['XDG_CACHE_HOME'] || path.join(home, '.cache'), 'vmop', 'kubernetes');
}

/**
 * From the folder `KUBEBUILDER_ASSETS` where that is set, else the newest that were built on this machine. What was
 * built stands in for what the folder lacks besides, the kubelet above all: nobody else has it.
 */
export async function findKubeBinaries(env: Env): Promise<KubeBinaries | { missing: string }> {
  const assets = env['KUBEBUILDER_ASSETS'];
  const built = await builtPrograms(kubeCacheFolder(env));
  if (!assets) {
    return built.find(isComplete) ?? { missing: 'no kube-apiserver has been built on this machine' };
  }
  const given = await programsIn(assets);
  const all = Object.assign({}, ...built.toReversed(), given);
  if ((given.kubeApiserver ?? given.etcd) === undefined || !isComplete(all))
    return { missing: `no kube-apiserver and etcd in KUBEBUILDER_ASSETS=${assets}` };
  return all;
}

/** Of each version that was built, or begun; the newest first. */
async function builtPrograms(cache: string): Promise<Partial<KubeBinaries>[]> {
  const names = await readdir(cache).catch(() => []);
  const folders = await Promise.all(
    names
      .filter((name) => /^[0-9a-f]+$/.test(name))
      .map(async (name) => {
        const folder = path.join(cache, name);
        return { programs: await programsIn(folder), at: (await stat(folder)).mtimeMs };
      }),
  );
  return folders.toSorted((a, b) => b.at - a.at).map(({ programs }) => programs);
}

function isComplete(programs: Partial<KubeBinaries>): programs is KubeBinaries {
  return programs.kubeApiserver !== undefined && programs.etcd !== undefined;
}

/** Those that the folder holds. */
export async function programsIn(folder: string): Promise<Partial<KubeBinaries>> {
  const [kubeApiserver, etcd, kubectl, kubelet] = await Promise.all(
    [KUBE_PROGRAMS.kubeApiserver, KUBE_PROGRAMS.etcd, KUBE_PROGRAMS.kubectl, KUBE_PROGRAMS.kubelet].map(
      (name) => executable(path.resolve(folder, name)),
    ),
  );
  return {
    ...(kubeApiserver === undefined ? {} : { kubeApiserver }),
    ...(etcd === undefined ? {} : { etcd }),
    ...(kubectl === undefined ? {} : { kubectl }),
    ...(kubelet === undefined ? {} : { kubelet }),
  };
}

async function executable(file: string): Promise<string | undefined> {
  return await access(file, constants.X_OK).then(
    () => file,
    () => undefined,
  );
}
