import { readFileSync } from 'node:fs';
import type { Kubeconfig } from './kubeconfig.ts';

/**
 * A text that differs when the kubeconfig's user, or what is in its files, does; it has secrets in it. Whom a plug-in
 * logs in is not known from outside.
 */
export async function credentialsFingerprint({ config, userExtras }: Kubeconfig): Promise<string> {
  const user = config.getCurrentUser();
  const extras = await userExtras();
  return JSON.stringify([user, extras, [extras.tokenFile, user?.certFile].map(contentOf)]);
}

/** One that cannot be read is told by the request that needs it. */
function contentOf(file: string | undefined): string | undefined {
  if (!file) return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
