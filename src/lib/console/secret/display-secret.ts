import { allowedNames } from '../../cluster/access-rules.ts';
import { isStatus } from '../../cluster/api-error.ts';
import { asDate, asObject, compact } from '../../cluster/parse.ts';
import type { Cluster, KubeObject, ObjectRef, Resource } from '../../cluster/types.ts';
import { inParallel } from '../../parallel.ts';
import { displaySecretSelector, vmOfDisplaySecret } from '../../vm/runner-objects.ts';

/** The Secret that holds a VM's display password. */
export interface DisplaySecret {
  name: string;
  namespace: string;
  resourceVersion: string;
  createdAt?: Date;
  /** By the API server's clock; absent where it does not say. */
  writtenAt?: Date;
  /** undefined: the Secret holds none, or something that is no text. */
  password?: string;
  /** As it was written: see `parseExpiry`. */
  expiry?: string;
  /** What in the Secret could not be understood; never shows a value. */
  problems: string[];
}

export const PASSWORD_KEY = 'display-password';
export const EXPIRY_KEY = 'password-expiry';

export const DISPLAY_SECRETS: Resource<DisplaySecret> = {
  group: '',
  version: 'v1',
  plural: 'secrets',
  kind: 'Secret',
  namespaced: true,
  parse: parseDisplaySecret,
};

function parseDisplaySecret({ metadata, ...object }: KubeObject): DisplaySecret {
  const problems: string[] = [];
  const data = asObject(object['data']);
  const text = (key: string): string | undefined => {
    if (data[key] === undefined) return undefined;
    const decoded = decodeText(data[key]);
    if (decoded === undefined) problems.push(`${key} is not text in base64`);
    return decoded;
  };
  return compact({
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    createdAt: asDate(metadata.creationTimestamp),
    writtenAt: asDate(metadata.writtenAt),
    // An empty password is none.
    password: text(PASSWORD_KEY) || undefined,
    expiry: text(EXPIRY_KEY),
    problems,
  });
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function decodeText(value: unknown): string | undefined {
  if (typeof value !== 'string' || !BASE64.test(value)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'base64'));
  } catch {
    return undefined;
  }
}

export interface FoundSecret {
  secret: DisplaySecret | undefined;
  /** Sentences for the user about a Secret that is not as it should be. */
  warnings: string[];
}

/** Of several Secrets that carry the labels the oldest is taken, whoever asks; the first by name among equals. */
export function chooseDisplaySecret(found: readonly DisplaySecret[]): FoundSecret {
  const age = ({ createdAt }: DisplaySecret): number => createdAt?.getTime() ?? Number.POSITIVE_INFINITY;
  const [secret, ...others] = found.toSorted((a, b) => {
    const older = age(a) - age(b);
    // Two without a time are NaN apart.
    return older !== 0 && !Number.isNaN(older) ? older : a.name < b.name ? -1 : 1;
  });
  if (secret === undefined) return { secret, warnings: [] };
  const warnings = secret.problems.map((problem) => `Secret ${secret.name}: ${problem}`);
  if (others.length > 0) {
    const names = others.map(({ name }) => name).join(', ');
    warnings.push(
      `several Secrets are labelled as the display secret: ${secret.name}, the oldest, is used, not ${names}`,
    );
  }
  return { secret, warnings };
}

/** The display Secret of a VM as it is now; who may not list Secrets looks at those that they may read by name. */
export async function findDisplaySecret(cluster: Cluster, vm: ObjectRef): Promise<FoundSecret> {
  const labelSelector = displaySecretSelector(vm.name);
  try {
    const { items } = await cluster.list(DISPLAY_SECRETS, { namespace: vm.namespace, labelSelector });
    return chooseDisplaySecret(items);
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    const secrets = await namedSecrets(cluster, vm);
    // Without a single one there is nothing to say but that listing is forbidden.
    if (secrets === undefined) throw error;
    return chooseDisplaySecret(secrets);
  }
}

/** A Secret that is a display Secret, and of which VM; undefined for any other. */
const LABELLED: Resource<{ vm: string | undefined; secret: DisplaySecret }> = {
  ...DISPLAY_SECRETS,
  parse: (object) => ({
    vm: vmOfDisplaySecret(object.metadata.labels ?? {}),
    secret: parseDisplaySecret(object),
  }),
};

const CONCURRENCY = 8;

/** The VM's display Secrets among those that the API server's rules name; undefined where they name none. */
async function namedSecrets(
  cluster: Cluster,
  { namespace, name: vm }: ObjectRef,
): Promise<DisplaySecret[] | undefined> {
  const names = allowedNames(await cluster.rules(namespace), 'get', { group: '', resource: 'secrets' });
  if (names === 'any' || names.length === 0) return undefined;
  const read = async (name: string): Promise<DisplaySecret[]> => {
    try {
      const found = await cluster.get(LABELLED, { namespace, name });
      return found.vm === vm ? [found.secret] : [];
    } catch (error) {
      // Permitted, and not there (yet), or no longer permitted.
      if (isStatus(error, 404) || isStatus(error, 403)) return [];
      throw error;
    }
  };
  return (await inParallel(names, CONCURRENCY, read)).flat();
}
