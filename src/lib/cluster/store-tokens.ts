import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { asObject } from './parse.ts';
import type { OidcTokens } from './oidc.ts';

/**
 * Writes new tokens into the user's entry of a kubeconfig file, as kubectl does: most issuers take a refresh token only
 * once. What else is in the file stays as it is. Rejects when the file cannot be written, or somebody else writes it.
 */
export async function storeTokens(file: string, userName: string, tokens: OidcTokens): Promise<void> {
  const { parseDocument } = await import('yaml');
  const target = await realpath(file);
  // Also kubectl holds this while it writes.
  const lock = `${target}.lock`;
  await (await open(lock, 'wx', 0o600)).close();
  try {
    const document = parseDocument(await readFile(target, 'utf8'));
    const users: unknown = asObject(document.toJS())['users'];
    const index = Array.isArray(users) ? users.findIndex((each) => asObject(each)['name'] === userName) : -1;
    if (index < 0) return;
    const config = ['users', index, 'user', 'auth-provider', 'config'];
    document.setIn([...config, 'id-token'], tokens.idToken);
    document.setIn([...config, 'refresh-token'], tokens.refreshToken);
    const { mode } = await stat(target);
    const written = await open(`${target}.new`, 'w', mode & 0o777);
    try {
      await written.writeFile(document.toString({ lineWidth: 0 }));
      await written.sync();
    } finally {
      await written.close();
    }
    await rename(`${target}.new`, target);
  } finally {
    await rm(lock, { force: true });
  }
}
