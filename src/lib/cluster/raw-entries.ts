import path from 'node:path';
import { asArray, asObject, asString } from './parse.ts';
import type { JsonObject } from './types.ts';

/** A kubeconfig file as it was read. */
export interface KubeconfigText {
  file: string;
  text: string;
}

/** What a kubeconfig says of a user and client-node passes over. */
export interface UserExtras {
  /** Absolute. */
  tokenFile?: string | undefined;
  /** Impersonated besides the user's name: `as-groups`, `as-uid`, `as-user-extra`. */
  groups: string[];
  uid?: string | undefined;
  extra: Record<string, string[]>;
}

const NO_EXTRAS: UserExtras = { groups: [], extra: {} };

/** Files without these words need not be read a second time. */
const EXTRAS = /\b(?:tokenFile|as-groups|as-uid|as-user-extra)\b/;

/** The extras of a user; as everywhere the first file that names it is the one that counts. */
export async function findUserExtras(
  files: readonly KubeconfigText[],
  userName: string,
): Promise<UserExtras> {
  if (!files.some(({ text }) => EXTRAS.test(text))) return NO_EXTRAS;
  const found = await findEntry(files, 'users', userName);
  if (!found) return NO_EXTRAS;
  const user = asObject(found.entry['user']);
  const tokenFile = asString(user['tokenFile']);
  const extra = Object.entries(asObject(user['as-user-extra']));
  return {
    tokenFile: tokenFile && path.resolve(path.dirname(found.file), tokenFile),
    groups: strings(user['as-groups']),
    uid: asString(user['as-uid']),
    extra: Object.fromEntries(extra.map(([key, values]) => [key, strings(values)])),
  };
}

/** The configuration that a cluster's entry has for plug-ins; undefined when there is none. */
export async function findExecConfig(
  files: readonly KubeconfigText[],
  clusterName: string,
): Promise<unknown> {
  if (!files.some(({ text }) => text.includes(EXEC_EXTENSION))) return undefined;
  const found = await findEntry(files, 'clusters', clusterName);
  const extensions = asArray(asObject(found?.entry['cluster'])['extensions']).map(asObject);
  return extensions.find(({ name }) => name === EXEC_EXTENSION)?.['extension'];
}

const EXEC_EXTENSION = 'client.authentication.k8s.io/exec';

async function findEntry(
  files: readonly KubeconfigText[],
  list: 'users' | 'clusters',
  name: string,
): Promise<{ file: string; entry: JsonObject } | undefined> {
  const { parse } = await import('yaml');
  for (const { file, text } of files) {
    const config: unknown = parse(text);
    const entry = asArray(asObject(config)[list])
      .map(asObject)
      .find((candidate) => candidate['name'] === name);
    if (entry) return { file, entry };
  }
  return undefined;
}

function strings(value: unknown): string[] {
  return asArray(value).filter((item) => typeof item === 'string');
}
