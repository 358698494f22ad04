import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { loadKubeconfig, openCluster } from '../../src/lib/cluster/index.ts';
import type { Cluster, JsonObject } from '../../src/lib/cluster/types.ts';
import { startApi } from '../../src/lib/sandbox/api/index.ts';
import { kubeconfigText } from '../../src/lib/sandbox/kubeconfig.ts';
import type { LogLine } from '../../src/lib/sandbox/operator/index.ts';
import { podLogText } from '../../src/lib/sandbox/pod-log.ts';
import { userRules } from '../../src/lib/sandbox/rules.ts';
import { POOLS } from '../../src/lib/vm/parse.ts';
import { ScriptedVm, type ScriptedVmOptions } from './scripted-vm.ts';

export interface ScriptedOperatorOptions {
  /** Groups by user name, beside the administrator `admin`. */
  users?: Record<string, string[]>;
  /** The VMs that those users may change, as far as the API server is concerned. */
  changeable?: string[];
}

/** A cluster in which nobody acts but the test: it writes what VM-Operator's manager and runner would write. */
export interface ScriptedOperator {
  /** As manager and runner. */
  readonly admin: Cluster;
  /** Private and temporary. */
  readonly folder: string;
  /** Path of a user's kubeconfig. */
  kubeconfigFor(user: string): string;
  vm(name: string, options?: ScriptedVmOptions): Promise<ScriptedVm>;
  pool(name: string, spec: JsonObject): Promise<void>;
  close(): Promise<void>;
}

const ADMIN = 'admin';

/** The embedded API over HTTPS, and no operator. */
export async function startScriptedOperator(
  options: ScriptedOperatorOptions = {},
): Promise<ScriptedOperator> {
  const { users = { alice: ['staff'], bob: [] }, changeable = [] } = options;
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-test-'));
  const identities = Object.entries({ ...users, [ADMIN]: ['system:masters'] });
  const logs = new Map<string, LogLine[]>();
  const api = await startApi({
    tokens: Object.fromEntries(
      identities.map(([username, groups]) => [tokenOf(username), { username, groups }]),
    ),
    rules: userRules(changeable),
    podLog: async (_namespace, name, query) => podLogText(logs.get(name) ?? [], query, new Date()),
  });
  const kubeconfigFor = (user: string): string => path.join(folder, `${user}.kubeconfig`);
  for (const [userName] of identities) {
    const access = { url: api.url, caPem: api.caPem, userName, token: tokenOf(userName) };
    await writeFile(kubeconfigFor(userName), kubeconfigText(access), { mode: 0o600 });
  }
  const admin = openCluster(loadKubeconfig({ env: {}, file: kubeconfigFor(ADMIN) }), {
    userAgent: 'vmop-test',
    timeoutMs: 30_000,
  });
  return {
    admin,
    folder,
    kubeconfigFor,
    vm(name, vmOptions) {
      const log: LogLine[] = [];
      logs.set(name, log);
      return ScriptedVm.create(admin, name, log, vmOptions);
    },
    async pool(name, spec) {
      await admin.create(POOLS, 'default', { metadata: { name }, spec: { permissions: [], ...spec } });
    },
    async close() {
      admin.close();
      await api.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function tokenOf(user: string): string {
  return `token-of-${user}`;
}
