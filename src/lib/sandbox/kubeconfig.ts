import { stringify } from 'yaml';

export const SANDBOX_CONTEXT = 'vmop-sandbox';

export type SandboxAccess = {
  url: string;
  /** The API's certificate authority. */
  caPem: string;
  userName: string;
} & SandboxCredentials;

/** A bearer token, or a client certificate. */
export type SandboxCredentials = { token: string } | { certPem: string; keyPem: string };

/** A kubeconfig with one context, `vmop-sandbox`, for one user in the namespace `default`. */
export function kubeconfigText({ url, caPem, userName, ...credentials }: SandboxAccess): string {
  const name = SANDBOX_CONTEXT;
  const cluster = { server: url, 'certificate-authority-data': base64(caPem) };
  const user =
    'token' in credentials
      ? { token: credentials.token }
      : {
          'client-certificate-data': base64(credentials.certPem),
          'client-key-data': base64(credentials.keyPem),
        };
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name: userName, user }],
    contexts: [{ name, context: { cluster: name, user: userName, namespace: 'default' } }],
    'current-context': name,
  });
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
