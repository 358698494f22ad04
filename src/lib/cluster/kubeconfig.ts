import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { VmopError, messageOf } from '../errors.ts';
import { asArray, isObject } from './parse.ts';
import { findTokenFile, type KubeconfigText } from './token-file.ts';
import type { ContextInfo, JsonObject } from './types.ts';

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

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
}

export interface Kubeconfig {
  config: KubeConfig;
  info: ContextInfo;
  /** Where it came from, for messages: the files, `in-cluster`. */
  origin: string;
  /** The fallback file was used. */
  fallback: boolean;
  /** The path of the user's `tokenFile`, looked up when it is needed. */
  tokenFile?: (() => Promise<string | undefined>) | undefined;
}

/** The kubeconfig files that hold, in kubectl's order of precedence; empty when there are none. */
function kubeconfigFiles({ env, file }: KubeconfigSource): string[] {
  if (file !== undefined) return [file];
  const listed = (env['KUBECONFIG'] ?? '').split(path.delimiter).filter((name) => name !== '');
  // Missing files of a list are passed over, as kubectl does.
  if (listed.length > 0) return listed.length === 1 ? listed : listed.filter((name) => existsSync(name));
  const home = env['HOME'] ?? env['USERPROFILE'];
  const standard = home === undefined || home === '' ? undefined : path.join(home, '.kube', 'config');
  return standard !== undefined && existsSync(standard) ? [standard] : [];
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
  const why = error instanceof TypeError ? 'it is not a kubeconfig' : messageOf(error);
  return new VmopError('unreachable', `the kubeconfig ${file} cannot be read: ${why}`, {
    hint: 'name another one with --kubeconfig or KUBECONFIG',
    cause: error,
  });
}

/** Files are merged as kubectl merges them: of several entries with one name the first wins. */
function mergeFiles(texts: KubeconfigText[]): KubeConfig {
  const configs = texts.map(({ file, text }) => {
    const config = new KubeConfig();
    // client-node takes an empty file for a broken one.
    if (/^(?:\s*#.*|\s*---|\s)*$/.test(text)) return config;
    try {
      config.loadFromString(text);
    } catch (error) {
      throw unreadable(file, error);
    }
    config.makePathsAbsolute(path.dirname(file));
    return config;
  });
  const [first] = configs;
  if (configs.length === 1 && first) return first;
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
  return merged;
}

function notConfigured(): VmopError {
  return new VmopError('unreachable', 'no cluster is configured: there is no kubeconfig', {
    hint: 'set KUBECONFIG or pass --kubeconfig FILE; to try vmop without a cluster: vmop sandbox start',
  });
}

/**
 * Loads the cluster, user and context to use.
 * Errors: `unreachable` when nothing is configured or a file is unreadable, `usage` for an unknown context.
 */
export function loadKubeconfig(source: KubeconfigSource): Kubeconfig {
  const files = kubeconfigFiles(source);
  let texts = readTexts(files);
  let config: KubeConfig;
  let origin = files.join(', ');
  let fallback = false;
  if (files.length > 0) {
    config = mergeFiles(texts);
  } else if (source.env['KUBERNETES_SERVICE_HOST'] !== undefined && existsSync(SERVICE_ACCOUNT_TOKEN)) {
    config = new KubeConfig();
    config.loadFromCluster();
    origin = 'in-cluster';
  } else {
    const file = source.fallback?.();
    if (file === undefined) throw notConfigured();
    texts = readTexts([file]);
    config = mergeFiles(texts);
    origin = file;
    fallback = true;
  }
  const info = contextInfo(config, source, origin);
  prepareUser(config, info.name, origin);
  const userName = config.getCurrentUser()?.name ?? '';
  return { config, info, origin, fallback, tokenFile: () => findTokenFile(texts, userName) };
}

/** client-node trusts the cluster's certificate only for somebody, and tells plug-ins nothing of who asks. */
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
  config.users = config.users.map((user) =>
    user.name === userName && isObject(user.exec) ? { ...user, exec: withExecInfo(user.exec) } : user,
  );
}

/** As client-go: plug-ins look there for the version of the answer that they are to give. */
function withExecInfo(exec: JsonObject): JsonObject {
  const info = { apiVersion: exec['apiVersion'], kind: 'ExecCredential', spec: { interactive: false } };
  const env = [...asArray(exec['env']), { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }];
  return { ...exec, env };
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
      `context "${name}" names the cluster "${entry.cluster}", which ${origin} lacks`,
      {
        hint: 'correct the kubeconfig, or choose another context with --context',
      },
    );
  }
  const info = { name, cluster: cluster.name, namespace: entry.namespace || 'default' };
  if (server === undefined) return { ...info, server: serverAddress(cluster.server, 'unreachable') };
  const address = serverAddress(server, 'usage');
  config.clusters = config.clusters.map((one) => (one === cluster ? { ...one, server: address } : one));
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
