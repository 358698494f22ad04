import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { asArray, asObject, isObject, parseJson } from './parse.ts';
import type { OidcTokens } from './oidc.ts';

/**
 * Writes new tokens into the user's entry of a kubeconfig file, as kubectl does: most issuers take a refresh token only
 * once. What else is in the file stays as it is, and JSON stays JSON. Rejects when the file cannot be written, or somebody
 * else writes it.
 */
export async function storeTokens(file: string, userName: string, tokens: OidcTokens): Promise<void> {
  const target = await realpath(file);
  // Also kubectl holds this while it writes.
  const lock = `${target}.lock`;
  await (await open(lock, 'wx', 0o600)).close();
  try {
    const text = await withTokens(await readFile(target, 'utf8'), userName, tokens);
    const { mode } = await stat(target);
    const written = await open(`${target}.new`, 'w', mode & 0o777);
    try {
      await written.writeFile(text);
      await written.sync();
    } finally {
      await written.close();
    }
    await rename(`${target}.new`, target);
  } finally {
    await rm(lock, { force: true });
  }
}

async function withTokens(text: string, userName: string, tokens: OidcTokens): Promise<string> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text);
  const index = asArray(asObject(document.toJS())['users']).findIndex(
    (each) => asObject(each)['name'] === userName,
  );
  if (index < 0) return text;
  const config = ['users', index, 'user', 'auth-provider', 'config'];
  document.setIn([...config, 'id-token'], tokens.idToken);
  document.setIn([...config, 'refresh-token'], tokens.refreshToken);
  if (!isObject(parseJson(text))) return document.toString({ lineWidth: 0 });
  const [, indent = ''] = /^\{\r?\n([ \t]+)/.exec(text.trimStart()) ?? [];
  return JSON.stringify(document.toJS(), undefined, indent) + (text.endsWith('\n') ? '\n' : '');
}
