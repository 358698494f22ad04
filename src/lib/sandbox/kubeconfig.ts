import { stringify } from 'yaml';

export const SANDBOX_CONTEXT = 'vmop-sandbox';

export interface SandboxAccess {
  url: string;
  /** The API's certificate authority. */
  caPem: string;
  userName: string;
  token: string;
}

/** A kubeconfig with one context, `vmop-sandbox`, for one user in the namespace `default`. */
export function kubeconfigText({ url, caPem, userName, token }: SandboxAccess): string {
  const name = SANDBOX_CONTEXT;
  const cluster = { server: url, 'certificate-authority-data': Buffer.from(caPem).toString('base64') };
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name: userName, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: userName, namespace: 'default' } }],
    'current-context': name,
  });
}
