import path from 'node:path';
import { asArray, asObject, asString } from './parse.ts';

/** A kubeconfig file as it was read. */
export interface KubeconfigText {
  file: string;
  text: string;
}

/**
 * The path of the `tokenFile` of a user, which client-node does not know; undefined when there is none. As everywhere
 * the first file that names the user is the one that counts.
 */
export async function findTokenFile(
  files: readonly KubeconfigText[],
  userName: string,
): Promise<string | undefined> {
  if (!files.some(({ text }) => text.includes('tokenFile'))) return undefined;
  const { parse } = await import('yaml');
  for (const { file, text } of files) {
    const config: unknown = parse(text);
    const users = asArray(asObject(config)['users']).map(asObject);
    const entry = users.find(({ name }) => name === userName);
    if (entry === undefined) continue;
    const tokenFile = asString(asObject(entry['user'])['tokenFile']);
    return tokenFile === undefined ? undefined : path.resolve(path.dirname(file), tokenFile);
  }
  return undefined;
}
