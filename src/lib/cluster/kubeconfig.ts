import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { VmopError, messageOf } from '../errors.ts';
import { inCluster, SERVICE_ACCOUNT, tokenFileIn } from './in-cluster.ts';
import { asObject, asString } from './parse.ts';
import { environmentProxy, kubeconfigProxy, type Proxy } from './proxy.ts';
import { findExecConfig, findUserExtras, type KubeconfigText, type UserExtras } from './raw-entries.ts';
import type { ContextInfo } from './types.ts';

export interface KubeconfigSource {
  env: Record<string, string | undefined>;
  /** `--kubeconfig`: replaces KUBECONFIG and ~/.kube/config. */
  file?: string | undefined;
  /** `--context`. */
  context?: string | undefined;
  /** `--server`. */
  server?: string | undefined;
  /** Tried last; a sandbox's own file. */
  fallback?: (() => string | undefined) | undefined;
  /** Where a pod finds its service account. */
  serviceAccount?: string | undefined;
}

export interface Kubeconfig {
  config: KubeConfig;
  info: ContextInfo;
  /** Where it came from, for messages: the files, `in-cluster`. */
  origin: string;
  /** The fallback file was used. */
  fallback: boolean;
  env: Record<string, string | undefined>;
  /** Where the context's cluster and user are set, for messages: entry and file. */
  places: { cluster: string; user: string };
  /** The file of the user's entry. */
  userFile: string;
  proxy: Proxy | undefined;
  /** What client-node passes over, looked up when it is needed. */
  userExtras: () => Promise<UserExtras>;
  execConfig: () => Promise<unknown>;
}

/** The kubeconfig files that hold, in kubectl's order of precedence; empty when there are none. */
function kubeconfigFiles({ env, file }: KubeconfigSource): string[] {
  if (file !== undefined) return [file];
  const listed = listedFiles(env);
  // Missing ones are passed over, as kubectl does.
  if (listed.length > 0) return listed.filter((name) => existsSync(name));
  const home = env['HOME'] ?? env['USERPROFILE'];
  const standard = home === undefined || home === '' ? undefined : path.join(home, '.kube', 'config');
  return standard !== undefined && existsSync(standard) ? [standard] : [];
}

function listedFiles(env: KubeconfigSource['env']): string[] {
  return (env['KUBECONFIG'] ?? '').split(path.delimiter).filter((name) => name !== '');
}

function readTexts(files: string[]): KubeconfigText[] {
  return files.map((file) => {
    try {
      return { file, text: readFileSync(file, 'utf8') };
    } catch (error) {
      throw unreadable(file, error);
    }
  });
}

function unreadable(file: string, error: unknown): VmopError {
  // client-node trips over what is no map.
  // The parser goes on with the lines around the place, and tokens may stand in them.
  const [why] = error instanceof TypeError ? ['it is not a kubeconfig'] : messageOf(error).split('\n', 1);
  return new VmopError('unreachable', `the kubeconfig ${file} cannot be read: ${why}`, {
    hint: 'name another one with --kubeconfig or KUBECONFIG',
    cause: error,
  });
}

/** Files are merged as kubectl merges them: of several entries with one name the first wins. */
function mergeFiles(texts: KubeconfigText[]): {
  config: KubeConfig;
  /** The file whose entry of this name counts. */
  fileOf: (list: 'users' | 'clusters', name: string) => string;
} {
  const configs = texts.map(({ file, text }) => {
    const config = new KubeConfig();
    // client-node takes an empty file for a broken one.
    if (/^(?:\s*#.*|\s*---|\s)*$/.test(text)) return config;
    try {
      // As to kubectl, what is incomplete matters only to who uses it.
      config.loadFromString(text, { onInvalidEntry: 'filter' });
      refuseNonsense(config, text);
    } catch (error) {
      throw unreadable(file, error);
    }
    config.makePathsAbsolute(path.dirname(file));
    asKubectlReads(config, path.dirname(file));
    return config;
  });
  const fileOf = (list: 'users' | 'clusters', name: string): string =>
    texts[configs.findIndex((config) => config[list].some((entry) => entry.name === name))]?.file ?? '';
  const [first] = configs;
  if (configs.length === 1 && first) return { config: first, fileOf };
  const firstOf = <E extends { name: string }>(lists: E[][]): E[] => [
    ...new Map(
      lists
        .flat()
        .toReversed()
        .map((entry) => [entry.name, entry]),
    ).values(),
  ];
  const merged = new KubeConfig();
  merged.loadFromOptions({
    clusters: firstOf(configs.map((config) => config.clusters)),
    users: firstOf(configs.map((config) => config.users)),
    contexts: firstOf(configs.map((config) => config.contexts)),
    currentContext: configs.map((config) => config.currentContext).find((name) => Boolean(name)),
  });
  return { config: merged, fileOf };
}

/** What kubectl does not read either. */
function refuseNonsense({ clusters, users, contexts, currentContext }: KubeConfig, text: string): void {
  for (const entries of [clusters, users, contexts]) {
    const names = entries.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw new Error(`it has the name "${twice}" twice in one list`);
  }
  const isNothing = [clusters, users, contexts].every(({ length }) => length === 0) && !currentContext;
  if (isNothing && !BEGINS_MAP.test(text)) throw new TypeError();
}

/** `{`, or `key:` at the beginning of a line. */
const BEGINS_MAP = /^\s*(?:---\s*)?(?:\{|["']?[\w.-]+["']?\s*:)/m;

/** Data win over files, and a plug-in with a folder in its name is looked for from where the kubeconfig lies. */
function asKubectlReads(config: KubeConfig, folder: string): void {
  config.clusters = config.clusters.map((cluster) => (cluster.caData ? { ...cluster, caFile: '' } : cluster));
  config.users = config.users.map((user) => {
    const command = asString(asObject(user.exec)['command']);
    return {
      ...user,
      ...(user.certData ? { certFile: '' } : {}),
      ...(user.keyData ? { keyFile: '' } : {}),
      ...(command && path.basename(command) !== command
        ? { exec: { ...asObject(user.exec), command: path.resolve(folder, command) } }
        : {}),
    };
  });
}

function notConfigured({ env }: KubeconfigSource, serviceAccount: string): VmopError {
  const listed = listedFiles(env);
  const file =
    listed.length === 0 ? 'there is no kubeconfig' : `KUBECONFIG names ${listed.join(', ')}: not there`;
  const why = env['KUBERNETES_SERVICE_HOST']
    ? `${file}, and this pod has no ${tokenFileIn(serviceAccount)}`
    : file;
  return new VmopError('unreachable', `no cluster is configured: ${why}`, {
    hint: 'set KUBECONFIG or pass --kubeconfig FILE; to try vmop without a cluster: vmop sandbox start',
  });
}

/**
 * Loads the cluster, user and context to use.
 * Errors: `unreachable` when nothing is configured or a file is unreadable, `usage` for an unknown context.
 */
export function loadKubeconfig(source: KubeconfigSource): Kubeconfig {
  const { env, serviceAccount = SERVICE_ACCOUNT } = source;
  const files = kubeconfigFiles(source);
  const pod = files.length > 0 ? undefined : inCluster(env, serviceAccount);
  // Whoever names a kubeconfig does not mean another cluster.
  const last = files.length > 0 || pod || env['KUBECONFIG'] ? undefined : source.fallback?.();
  if (files.length === 0 && !pod && last === undefined) throw notConfigured(source, serviceAccount);
  const texts = readTexts(last === undefined ? files : [last]);
  const { config, fileOf } = pod ? { config: pod.config, fileOf: () => serviceAccount } : mergeFiles(texts);
  const origin = pod ? 'in-cluster' : texts.map(({ file }) => file).join(', ');
  const info = contextInfo(config, source, origin);
  prepareUser(config, info.name, origin);
  const userName = config.getCurrentUser()?.name ?? '';
  const userFile = fileOf('users', userName);
  const places = {
    cluster: `cluster "${info.cluster}" in ${fileOf('clusters', info.cluster)}`,
    user: userName === '' ? `context "${info.name}" in ${origin}` : `user "${userName}" in ${userFile}`,
  };
  const proxyUrl = config.getCurrentCluster()?.proxyUrl;
  const userExtras = () => findUserExtras(texts, userName);
  return {
    config,
    info,
    origin,
    env,
    places,
    userFile,
    fallback: last !== undefined,
    proxy: proxyUrl
      ? kubeconfigProxy(proxyUrl, `proxy-url of ${places.cluster}`)
      : environmentProxy(info.server, env),
    userExtras: pod ? () => Promise.resolve({ tokenFile: pod.tokenFile, groups: [], extra: {} }) : userExtras,
    execConfig: () => findExecConfig(texts, info.cluster),
  };
}

/** client-node trusts the cluster's certificate only for somebody. */
function prepareUser(config: KubeConfig, context: string, origin: string): void {
  const userName = config.contexts.find(({ name }) => name === context)?.user;
  if (!userName) {
    config.users = [...config.users, { name: '' }];
    config.contexts = config.contexts.map((entry) =>
      entry.name === context ? { ...entry, user: '' } : entry,
    );
    return;
  }
  if (!config.users.some(({ name }) => name === userName)) {
    throw new VmopError(
      'unreachable',
      `context "${context}" names the user "${userName}", which ${origin} lacks`,
      {
        hint: 'correct the kubeconfig, or choose another context with --context',
      },
    );
  }
}

function contextInfo(config: KubeConfig, { context, server }: KubeconfigSource, origin: string): ContextInfo {
  const names = config.contexts.map((entry) => entry.name);
  const name = context ?? config.currentContext;
  if (!name) {
    throw new VmopError('unreachable', `no current context is set in ${origin}`, {
      hint:
        names.length > 0
          ? `choose one with --context: ${names.join(', ')}`
          : 'the file names no context at all',
    });
  }
  const entry = config.contexts.find((candidate) => candidate.name === name);
  if (!entry) {
    throw new VmopError('usage', `there is no context "${name}" in ${origin}`, {
      hint: names.length > 0 ? `it has: ${names.join(', ')}` : 'it names no context at all',
    });
  }
  config.setCurrentContext(name);
  const cluster = config.clusters.find((candidate) => candidate.name === entry.cluster);
  if (!cluster) {
    throw new VmopError(
      'unreachable',
      `context "${name}" names the cluster "${entry.cluster}", which ${origin} lacks, or its server`,
      {
        hint: 'correct the kubeconfig, or choose another context with --context',
      },
    );
  }
  const info = { name, cluster: cluster.name, namespace: entry.namespace || 'default' };
  if (server === undefined) return { ...info, server: serverAddress(cluster.server, 'unreachable') };
  const address = serverAddress(server, 'usage');
  // As kubectl: another server has another name.
  const elsewhere = { ...cluster, server: address, tlsServerName: '' };
  config.clusters = config.clusters.map((one) => (one === cluster ? elsewhere : one));
  return { ...info, server: address };
}

function serverAddress(text: string, code: 'usage' | 'unreachable'): string {
  const match = /^(?<scheme>https?):\/\/(?<rest>.+)$/i.exec(text);
  if (match?.groups === undefined || !URL.canParse(text)) {
    throw new VmopError(code, `not the address of an API server: ${JSON.stringify(text)}`, {
      hint: 'it begins with https:// or http://, for example https://192.0.2.1:6443',
    });
  }
  const { scheme = '', rest = '' } = match.groups;
  return `${scheme.toLowerCase()}://${rest.replace(/\/+$/, '')}`;
}
