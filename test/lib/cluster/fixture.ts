import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {
  loadKubeconfig,
  openCluster,
  type Cluster,
  type ClusterOptions,
} from '../../../src/lib/cluster/index.ts';
import type { KubeObject, Resource } from '../../../src/lib/cluster/types.ts';
import { startApi, type ApiOptions, type RunningApi } from '../../../src/lib/sandbox/api/index.ts';
import { kubeconfigText } from '../../../src/lib/sandbox/kubeconfig.ts';
import { startFaultProxy, type FaultProxy } from '../../helpers/fault-proxy.ts';

/** What cleans up after a test or a suite: a `TestContext` is one. */
export interface Owner {
  after(end: () => void | Promise<void>): void;
}

export const TOKEN = 'admin-token';

const TIMEOUT_MS = 20_000;

/** A folder that is gone after the test. */
export async function temporaryFolder(owner: Owner): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-test-'));
  owner.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The sandbox's API in memory; `admin` holds every right in it. */
export async function startTestApi(owner: Owner, options: Partial<ApiOptions> = {}): Promise<RunningApi> {
  const api = await startApi({
    tokens: { [TOKEN]: { username: 'admin', groups: ['system:masters'] } },
    ...options,
  });
  owner.after(() => api.close());
  return api;
}

/** A client of an API server, made from a kubeconfig file as every client is. */
export async function openTestCluster(
  owner: Owner,
  { url, caPem }: { url: string; caPem: string },
  options: Partial<ClusterOptions> & { token?: string } = {},
): Promise<Cluster> {
  const file = path.join(await temporaryFolder(owner), 'config');
  const { token = TOKEN, ...rest } = options;
  await writeFile(file, kubeconfigText({ url, caPem, userName: 'admin', token }));
  const cluster = openCluster(loadKubeconfig({ env: {}, file }), {
    userAgent: 'vmop-test',
    timeoutMs: TIMEOUT_MS,
    ...rest,
  });
  owner.after(() => cluster.close());
  return cluster;
}

/** API, a proxy before it that makes faults, and a client on either side of it. */
export async function startFaultyApi(
  owner: Owner,
  options: Partial<ApiOptions> = {},
): Promise<{ api: RunningApi; proxy: FaultProxy; direct: Cluster; cluster: Cluster }> {
  const api = await startTestApi(owner, options);
  const proxy = await startFaultProxy(api);
  owner.after(() => proxy.close());
  return {
    api,
    proxy,
    direct: await openTestCluster(owner, api),
    cluster: await openTestCluster(owner, proxy),
  };
}

export const CONFIG_MAPS: Resource<KubeObject> = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
  parse: (object) => object,
};

/** Makes namespaces for the objects of a test. */
export async function makeNamespaces(cluster: Cluster, ...names: string[]): Promise<void> {
  const resource = { ...CONFIG_MAPS, plural: 'namespaces', kind: 'Namespace', namespaced: false };
  for (const name of names) await cluster.create(resource, '', { metadata: { name } });
}

/** Rejects with what came instead, when the promise does not reject. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => Promise.reject(new Error(`not rejected: ${JSON.stringify(value)}`)),
    (error: unknown) => error,
  );
}
