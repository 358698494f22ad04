import { existsSync } from 'node:fs';
import path from 'node:path';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { VmopError, messageOf } from '../errors.ts';
import type { ContextInfo } from './types.ts';

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

/** Files are merged as kubectl merges them: of several entries with one name the first wins. */
function mergeFiles(files: string[]): KubeConfig {
  const configs = files.map((file) => {
    const config = new KubeConfig();
    try {
      config.loadFromFile(file);
    } catch (error) {
      throw new VmopError('unreachable', `the kubeconfig ${file} cannot be read: ${messageOf(error)}`, {
        hint: 'name another one with --kubeconfig or KUBECONFIG',
        cause: error,
      });
    }
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
  let config: KubeConfig;
  let origin = files.join(', ');
  let fallback = false;
  if (files.length > 0) {
    config = mergeFiles(files);
  } else if (source.env['KUBERNETES_SERVICE_HOST'] !== undefined && existsSync(SERVICE_ACCOUNT_TOKEN)) {
    config = new KubeConfig();
    config.loadFromCluster();
    origin = 'in-cluster';
  } else {
    const file = source.fallback?.();
    if (file === undefined) throw notConfigured();
    config = mergeFiles([file]);
    origin = file;
    fallback = true;
  }
  return { config, info: contextInfo(config, source, origin), origin, fallback };
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
  const info = { name, cluster: cluster.name, namespace: entry.namespace ?? 'default' };
  return { ...info, server: (server ?? cluster.server).replace(/\/+$/, '') };
}
