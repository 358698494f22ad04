import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';

/** Where a pod finds its service account. */
export const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface InCluster {
  config: KubeConfig;
  /** Read anew while vmop runs: the kubelet replaces it within its hour. */
  tokenFile: string;
}

/** The cluster of the pod that vmop runs in; undefined outside of one. */
export function inCluster(env: Record<string, string | undefined>, folder: string): InCluster | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
  const tokenFile = tokenFileIn(folder);
  if (!host || !existsSync(tokenFile)) return undefined;
  const server = `https://${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
  const config = new KubeConfig();
  const name = 'in-cluster';
  config.loadFromOptions({
    clusters: [{ name, server, caFile: path.join(folder, 'ca.crt'), skipTLSVerify: false }],
    users: [{ name: 'service-account' }],
    contexts: [{ name, cluster: name, user: 'service-account', namespace: namespaceOf(folder) }],
    currentContext: name,
  });
  return { config, tokenFile };
}

export function tokenFileIn(folder: string): string {
  return path.join(folder, 'token');
}

function namespaceOf(folder: string): string {
  const file = path.join(folder, 'namespace');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
}
