import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { loadKubeconfig, openCluster } from '../../src/lib/cluster/index.ts';
import type { Cluster, JsonObject } from '../../src/lib/cluster/types.ts';
import type { PolicyRule } from '../../src/lib/sandbox/api/index.ts';
import type { Driver } from '../../src/lib/sandbox/drivers/driver.ts';
import { startEmbeddedApi } from '../../src/lib/sandbox/api-choice.ts';
import type { StartApi } from '../../src/lib/sandbox/start-api.ts';
import { SimulatedDriver } from '../../src/lib/sandbox/drivers/simulated.ts';
import { startLocalCluster, type LocalCluster } from '../../src/lib/sandbox/local-cluster.ts';
import { userRules } from '../../src/lib/sandbox/rules.ts';
import { followVm } from '../../src/lib/vm/follow.ts';
import { POOLS, VMS } from '../../src/lib/vm/parse.ts';
import type { Vm } from '../../src/lib/vm/types.ts';

export interface TestVm {
  name: string;
  annotations?: Record<string, string>;
  labels?: Record<string, string>;
  /** Merged over two CPUs, stopped, a SPICE display. */
  spec?: JsonObject;
  /** Merged into the status after creation. */
  status?: JsonObject;
}

export interface TestPool {
  name: string;
  spec?: JsonObject;
}

export interface TestSandboxOptions<D extends Driver> {
  /** Default: simulated. */
  driver?: D;
  /** Default: embedded. */
  startApi?: StartApi;
  vms?: TestVm[];
  pools?: TestPool[];
  /** Groups by user name, beside the administrator `admin`; default: alice and bob without groups. */
  users?: Record<string, string[]>;
  /** Default: users see everything and may change the VMs given above. */
  rules?: PolicyRule[];
}

export interface TestSandbox<D extends Driver> {
  /** To play guests and people at consoles. */
  readonly driver: D;
  /** The administrator's kubeconfig file. */
  readonly kubeconfig: string;
  /** As the administrator. */
  readonly admin: Cluster;
  readonly url: string;
  /** Private and temporary; free to use. */
  readonly folder: string;
  /** What went wrong inside; empty in a good test. */
  readonly troubles: string[];
  /** The kubeconfig file of one of the users. */
  kubeconfigFor(user: string): string;
  /** Closed with the sandbox. */
  clusterFor(user: string): Cluster;
  addVm(vm: TestVm): Promise<Vm>;
  addPool(pool: TestPool): Promise<void>;
  /** Merges into the VM's spec; `null` removes. */
  patchSpec(name: string, spec: JsonObject): Promise<Vm>;
  /** Merges into the VM's status; `null` removes. */
  patchStatus(name: string, status: JsonObject): Promise<Vm>;
  /** Resolves to the VM as soon as the condition holds; rejects with its last state after 10 s. */
  waitFor(name: string, holds: (vm: Vm) => boolean): Promise<Vm>;
  /** Ends everything; nothing is left. */
  close(): Promise<void>;
}

const NAMESPACE = 'default';
const ADMIN = 'admin';
const WAIT_MS = 10_000;

/** A whole sandbox in this process and in memory: API over HTTPS, operator, driver. */
export function startTestSandbox(
  options?: TestSandboxOptions<SimulatedDriver>,
): Promise<TestSandbox<SimulatedDriver>>;
export function startTestSandbox<D extends Driver>(
  options: TestSandboxOptions<D> & { driver: D },
): Promise<TestSandbox<D>>;
export async function startTestSandbox(
  options: TestSandboxOptions<Driver> = {},
): Promise<TestSandbox<Driver>> {
  const { vms = [], pools = [], users = { alice: [], bob: [] }, driver = new SimulatedDriver() } = options;
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-test-'));
  const troubles: string[] = [];
  const identities = Object.entries({ ...users, [ADMIN]: ['system:masters'] });
  const local = await startLocalCluster({
    folder,
    startApi: options.startApi ?? startEmbeddedApi,
    apiFolder: undefined,
    port: undefined,
    users: Object.fromEntries(
      identities.map(([username, groups]) => [kubeconfigName(username), { username, groups }]),
    ),
    rules: options.rules ?? userRules(vms.map(({ name }) => name)),
    driver,
    machinesFolder: path.join(folder, 'm'),
    log: (line) => troubles.push(line),
    onFailure: (error) => troubles.push(error.message),
  });
  const sandbox = testSandbox(local, { driver, folder, troubles });
  try {
    for (const pool of pools) await sandbox.addPool(pool);
    for (const vm of vms) await sandbox.addVm(vm);
    return sandbox;
  } catch (error) {
    await sandbox.close();
    throw error;
  }
}

function kubeconfigName(user: string): string {
  return `${encodeURIComponent(user)}.kubeconfig`;
}

function testSandbox(
  local: LocalCluster,
  parts: Pick<TestSandbox<Driver>, 'driver' | 'folder' | 'troubles'>,
): TestSandbox<Driver> {
  const { admin } = local;
  const opened: Cluster[] = [];
  const kubeconfigFor = (user: string): string => local.kubeconfigOf(kubeconfigName(user));
  const patch = (name: string, body: JsonObject, subresource?: 'status'): Promise<Vm> =>
    admin.patch(VMS, { namespace: NAMESPACE, name }, { type: 'merge', body }, { subresource });
  const sandbox: TestSandbox<Driver> = {
    ...parts,
    admin,
    url: local.api.url,
    kubeconfig: kubeconfigFor(ADMIN),
    kubeconfigFor,
    clusterFor(user) {
      const kubeconfig = loadKubeconfig({ env: {}, file: kubeconfigFor(user) });
      const cluster = openCluster(kubeconfig, { userAgent: 'vmop-test', timeoutMs: WAIT_MS });
      opened.push(cluster);
      return cluster;
    },
    async addVm({ name, annotations = {}, labels = {}, spec = {}, status }) {
      const created = await admin.create(VMS, NAMESPACE, {
        metadata: { name, annotations, labels },
        spec: merged(
          { vm: { maximumCpus: 4, currentCpus: 2, maximumRam: '1Gi', display: { spice: {} } } },
          spec,
        ),
      });
      return status === undefined ? created : await sandbox.patchStatus(name, status);
    },
    async addPool({ name, spec = {} }) {
      await admin.create(POOLS, NAMESPACE, { metadata: { name }, spec: { permissions: [], ...spec } });
    },
    patchSpec: (name, spec) => patch(name, { spec }),
    patchStatus: (name, status) => patch(name, { status }, 'status'),
    waitFor: (name, holds) => waitFor(admin, name, holds),
    async close() {
      for (const cluster of opened) cluster.close();
      await local.stop({ withinSeconds: 0 });
      await rm(parts.folder, { recursive: true, force: true });
    },
  };
  return sandbox;
}

async function waitFor(cluster: Cluster, name: string, holds: (vm: Vm) => boolean): Promise<Vm> {
  return await followVm(
    cluster,
    { namespace: NAMESPACE, name },
    {
      resource: VMS,
      decide: (vm) => (holds(vm) ? { done: vm } : undefined),
      describe: (vm) => ({ state: JSON.stringify(vm?.status) }),
      timeoutMs: WAIT_MS,
      signal: new AbortController().signal,
    },
  );
}

/** A merge patch without removals. */
function merged(base: JsonObject, change: JsonObject): JsonObject {
  const result = { ...base };
  for (const [key, value] of Object.entries(change)) {
    const old = result[key];
    result[key] = isPlain(old) && isPlain(value) ? merged(old, value) : value;
  }
  return result;
}

function isPlain(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
