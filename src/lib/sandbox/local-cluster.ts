import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { VmopError } from '../errors.ts';
import { loadKubeconfig, openCluster, type Cluster, type Identity } from '../cluster/index.ts';
import type { StartApi } from './start-api.ts';
import type { PolicyRule, RunningApi } from './api/index.ts';
import type { Driver } from './drivers/driver.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { startOperator, type Operator } from './operator/index.ts';
import { followPodLog, podLogText } from './pod-log.ts';
import { writePrivate } from './private-file.ts';
import { accountRules, OPERATOR_USER, RUNNER_ACCOUNT, RUNNER_USER } from './rules.ts';
import { OWN_KUBECONFIGS } from './state-folder.ts';

export interface LocalUser extends Identity {
  /** Default: a new one. */
  token?: string | undefined;
}

export interface LocalClusterOptions {
  startApi: StartApi;
  /** Private (0700); gets the kubeconfig of each user. */
  folder: string;
  /** Where objects survive; undefined: in memory only. */
  apiFolder: string | undefined;
  /** undefined: any free one. */
  port: number | undefined;
  /** By the name of their kubeconfig file. */
  users: Record<string, LocalUser>;
  /** Beside those of the operator and its runners. */
  rules: PolicyRule[];
  driver: Driver;
  machinesFolder: string;
  /** One line for the sandbox's own log. */
  log: (line: string) => void;
  /** See `ApiOptions`. */
  onFailure: (error: VmopError) => void;
}

/** A cluster on this machine: API and operator, run by this process. */
export interface LocalCluster {
  readonly api: RunningApi;
  /** With all rights. */
  readonly admin: Cluster;
  /** Path of a user's kubeconfig. */
  kubeconfigOf(file: string): string;
  /** See `Operator.stop`. */
  stop(machines: Parameters<Operator['stop']>[0]): Promise<void>;
  /** After `onFailure`: ends what is left of the API, and leaves the machines to a later start. */
  abandon(): Promise<void>;
}

const ACCOUNT_GROUPS = ['system:serviceaccounts', 'system:serviceaccounts:default'];
const REQUEST_TIMEOUT_MS = 30_000;

/** Rejects when the port is taken or the folder is unusable; nothing is left running then. */
export async function startLocalCluster(options: LocalClusterOptions): Promise<LocalCluster> {
  const { folder, startApi, port, rules, driver, machinesFolder, log, onFailure } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const users = Object.entries<LocalUser>({
    ...options.users,
    [OWN_KUBECONFIGS.system]: { username: 'vmop-sandbox', groups: ['system:masters'] },
    [OWN_KUBECONFIGS.operator]: { username: OPERATOR_USER, groups: ACCOUNT_GROUPS },
    [OWN_KUBECONFIGS.runner]: { username: RUNNER_USER, groups: ACCOUNT_GROUPS },
  }).map(([file, { token = newToken(), ...identity }]) => ({ file, token, identity }));
  let operator: Operator | undefined;
  const api = await startApi({
    directory: options.apiFolder,
    port,
    tokens: Object.fromEntries(users.map(({ token, identity }) => [token, identity])),
    rules: [...accountRules(), ...rules],
    podLog: async (namespace, name, query) => {
      const log = operator?.logOf({ namespace, name });
      if (query.follow === true) return log && followPodLog(log, query, new Date());
      return log && podLogText(log.lines(), query, new Date());
    },
    onFailure,
  });
  const clusters: Cluster[] = [];
  const closeClusters = (): void => clusters.forEach((cluster) => cluster.close());
  let admin: Cluster;
  try {
    for (const { file, token, identity } of users) {
      const text = kubeconfigText({ url: api.url, caPem: api.caPem, userName: identity.username, token });
      await writePrivate(path.join(folder, file), text);
    }
    const open = (file: string): Cluster => {
      const kubeconfig = loadKubeconfig({ env: {}, file: path.join(folder, file) });
      const cluster = openCluster(kubeconfig, { userAgent: 'vmop-sandbox', timeoutMs: REQUEST_TIMEOUT_MS });
      clusters.push(cluster);
      return cluster;
    };
    admin = open(OWN_KUBECONFIGS.system);
    operator = await startOperator({
      cluster: open(OWN_KUBECONFIGS.operator),
      runnerCluster: open(OWN_KUBECONFIGS.runner),
      driver,
      machinesFolder,
      serviceAccountName: RUNNER_ACCOUNT,
      log,
    });
  } catch (error) {
    closeClusters();
    await api.close();
    throw error;
  }
  const running = operator;
  return {
    api,
    admin,
    kubeconfigOf: (file) => path.join(folder, file),
    async stop(machines) {
      await running.stop(machines);
      closeClusters();
      await api.close();
    },
    async abandon() {
      // First, so that what the operator still asks is refused at once.
      await api.close();
      closeClusters();
      await running.stop({ detach: true });
    },
  };
}

export function newToken(): string {
  return randomBytes(32).toString('base64url');
}
