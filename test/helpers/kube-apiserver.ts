import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Identity } from '../../src/lib/cluster/types.ts';
import type { PolicyRule } from '../../src/lib/sandbox/api/index.ts';
import { kubeBinaries, type TestBinaries } from '../../scripts/kube-binaries/build.ts';
import { kubeCacheFolder } from '../../src/lib/sandbox/kube-apiserver/binaries.ts';
import { startKubeApiserver as start } from '../../src/lib/sandbox/kube-apiserver/index.ts';
import { kubeconfigText, type SandboxCredentials } from '../../src/lib/sandbox/kubeconfig.ts';
import { newToken } from '../../src/lib/sandbox/local-cluster.ts';
import { clientCertificate, userAuthority } from './client-certificate.ts';

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

type Found = TestBinaries | { reason: string };

let found: Promise<Found> | undefined;

/**
 * From KUBEBUILDER_ASSETS, and what that lacks built once per machine, which takes minutes the first time; or why they
 * cannot be had here, to skip with.
 */
export function findKubeBinaries(): Promise<Found> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  found ??= kubeBinaries({ env: process.env, say }).catch((error: unknown) => ({
    reason: `no kube-apiserver: ${String(error).split('\n')[0]}`,
  }));
  return found;
}

/** Why a test cannot run that reads logs of pods or forwards ports: it needs a kubelet, too. */
export function noKubelet(binaries: Found): string | undefined {
  if ('reason' in binaries) return binaries.reason;
  return binaries.kubelet === undefined ? binaries.noKubelet : undefined;
}

/** With these another process finds the same programs, wherever its home is. */
export function kubeEnvironment(binaries: Found): Record<string, string> {
  if ('reason' in binaries) return {};
  const { kubeApiserver } = binaries;
  return {
    KUBEBUILDER_ASSETS: process.env['KUBEBUILDER_ASSETS'] || path.dirname(kubeApiserver),
    VMOP_TEST_CACHE: path.dirname(kubeCacheFolder(process.env)),
  };
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
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-kube-users-'));
  const authority = await userAuthority();
  const authorityFile = path.join(folder, 'users.crt');
  await writeFile(authorityFile, authority.certPem);
  const running = await start({
    binaries,
    directory: undefined,
    port: undefined,
    tokens: { ...tokens, [adminToken]: { username: 'admin', groups: ['system:masters'] } },
    rules,
    args: [`--client-ca-file=${authorityFile}`, ...args],
    podLog: undefined,
    onFailure: (error) => void process.stderr.write(`${error.message}\n`),
  }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  const { url, caPem } = running;
  let count = 0;
  const kubeconfig = async (userName: string, credentials: SandboxCredentials): Promise<string> => {
    const file = path.join(folder, `kubeconfig-${++count}`);
    await writeFile(file, kubeconfigText({ url, caPem, userName, ...credentials }), { mode: 0o600 });
    return file;
  };
  return {
    url,
    caPem,
    adminToken,
    adminKubeconfig: await kubeconfig('admin', { token: adminToken }),
    async kubeconfigFor(user, groups = []) {
      return await kubeconfig(user, await clientCertificate(authority, { username: user, groups }));
    },
    async close() {
      await running.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
