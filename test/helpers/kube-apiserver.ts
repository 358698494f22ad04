import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Identity } from '../../src/lib/cluster/types.ts';
import type { PolicyRule } from '../../src/lib/sandbox/api/index.ts';
import { buildKubeBinaries } from '../../scripts/kube-binaries/build.ts';
import { binariesIn, type KubeBinaries } from '../../src/lib/sandbox/kube-apiserver/binaries.ts';
import { clientCertificate } from '../../src/lib/sandbox/kube-apiserver/certificates.ts';
import { startKubeApiserver as start } from '../../src/lib/sandbox/kube-apiserver/index.ts';
import { kubeconfigText, type SandboxCredentials } from '../../src/lib/sandbox/kubeconfig.ts';
import { newToken } from '../../src/lib/sandbox/local-cluster.ts';

/** A real API server with VM-Operator's kinds and the namespace `default`. */
export interface KubeApiserver {
  url: string;
  caPem: string;
  /** Bearer token of a member of `system:masters`. */
  adminToken: string;
  /** Path of a kubeconfig of a member of `system:masters`. */
  adminKubeconfig: string;
  /** Path of a kubeconfig for a user with a client certificate. */
  kubeconfigFor(user: string, groups?: string[]): Promise<string>;
  close(): Promise<void>;
}

let found: Promise<Required<KubeBinaries> | { reason: string }> | undefined;

/**
 * From KUBEBUILDER_ASSETS where all are there, else built once per machine, which takes minutes the first time; or why
 * they cannot be had here, to skip with.
 */
export function findKubeBinaries(): Promise<Required<KubeBinaries> | { reason: string }> {
  found ??= assets().catch((error: unknown) => ({
    reason: `no kube-apiserver: ${String(error).split('\n')[0]}`,
  }));
  return found;
}

async function assets(): Promise<Required<KubeBinaries>> {
  const folder = process.env['KUBEBUILDER_ASSETS'];
  const given = folder ? await binariesIn(folder) : undefined;
  if (given?.kubectl !== undefined && given.kubelet !== undefined)
    return { ...given, kubectl: given.kubectl, kubelet: given.kubelet };
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const built = await buildKubeBinaries({ env: process.env, say });
  return { ...built, ...given };
}

export interface KubeApiserverSettings {
  /** Users by their bearer tokens, beside the administrator. */
  tokens?: Record<string, Identity>;
  rules?: PolicyRule[];
  /** More arguments of kube-apiserver. */
  args?: string[];
}

/** Starts one in 2 to 3 seconds. Rejects where `findKubeBinaries` has a reason. */
export async function startKubeApiserver(settings: KubeApiserverSettings = {}): Promise<KubeApiserver> {
  const { tokens = {}, rules = [], args = [] } = settings;
  const binaries = await findKubeBinaries();
  if ('reason' in binaries) throw new Error(binaries.reason);
  const adminToken = newToken();
  const running = await start({
    binaries,
    directory: undefined,
    port: undefined,
    tokens: { ...tokens, [adminToken]: { username: 'admin', groups: ['system:masters'] } },
    rules,
    args,
    podLog: undefined,
    onFailure: (error) => void process.stderr.write(`${error.message}\n`),
  });
  const { url, caPem, directory, close } = running;
  let count = 0;
  const kubeconfig = async (userName: string, credentials: SandboxCredentials): Promise<string> => {
    const file = path.join(directory, `kubeconfig-${++count}`);
    await writeFile(file, kubeconfigText({ url, caPem, userName, ...credentials }), { mode: 0o600 });
    return file;
  };
  return {
    url,
    caPem,
    adminToken,
    adminKubeconfig: await kubeconfig('admin', { token: adminToken }),
    async kubeconfigFor(user, groups = []) {
      return await kubeconfig(user, await clientCertificate(directory, { username: user, groups }));
    },
    close,
  };
}
