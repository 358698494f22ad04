import { rm } from 'node:fs/promises';
import path from 'node:path';
import { loadKubeconfig, openCluster } from '../cluster/index.ts';
import { messageOf, VmopError } from '../errors.ts';
import { VMS } from '../vm/parse.ts';
import { phaseOf, type VmPhase } from '../vm/state.ts';
import type { ApiName } from './api-choice.ts';
import { SANDBOX_CONTEXT } from './kubeconfig.ts';
import { followLog, type FollowLogOptions } from './daemon-log.ts';
import { spawnDaemon } from './daemon-process.ts';
import { readDaemonRecord, runningDaemon } from './daemon-record.ts';
import type { DaemonRecord } from './daemon-record.ts';
import type { DriverInfo, DriverName } from './drivers/driver-request.ts';
import { reapMachines } from './drivers/index.ts';
import { reapServers } from './kube-apiserver/processes.ts';
import { withLock } from './lock.ts';
import { sandboxFolder } from './paths.ts';
import { signalProcess, waitForProcessEnd } from './process-identity.ts';
import {
  createStateFolder,
  purgeStateFolder,
  readSettings,
  removeEmptyStateFolder,
  stateFolder,
  type StateFolder,
} from './state-folder.ts';

/** One VM of the sandbox. */
export interface SandboxMachine {
  name: string;
  namespace: string;
  state: VmPhase;
  /** Absent without a display. */
  spicePort?: number;
}

/** What is known of the sandbox: the `--json` form of `vmop sandbox status`. */
export interface SandboxInfo {
  running: boolean;
  /** Where its state is. */
  folder: string;
  kubeconfig: string;
  /** Name of the kubeconfig's context. */
  context: string;
  /** What is wrong with it, when something is. */
  problem?: string;
  pid?: number;
  api?: ApiName;
  url?: string;
  startedAt?: string;
  driver?: DriverInfo;
  machines?: SandboxMachine[];
}

type Env = Record<string, string | undefined>;

export interface StartSandboxOptions {
  env: Env;
  /** What makes this executable run vmop: execArgv and script, or nothing for a standalone executable. */
  entry: readonly string[];
  /** undefined: that of the last time, embedded at first. */
  api?: ApiName | undefined;
  driver: DriverName | 'auto';
  /** Path of a disk image to boot, instead of the tiny guest. */
  image?: string | undefined;
  timeoutMs: number;
  signal: AbortSignal;
  /** What is being done, for a person who waits. */
  onProgress: (text: string) => void;
}

export interface StartedSandbox extends SandboxInfo {
  /** It ran before. */
  alreadyRunning: boolean;
}

/**
 * Starts the sandbox as a process of its own, unless it runs. Errors: `state` when it runs with another API,
 * driver or image, or its VMs are in another API, `failed` when it cannot start, `timeout`.
 */
export async function startSandbox(options: StartSandboxOptions): Promise<StartedSandbox> {
  const { env, api, driver, entry, timeoutMs, signal, onProgress } = options;
  const image = options.image === undefined ? undefined : path.resolve(options.image);
  const folder = await createStateFolder(sandboxFolder(env));
  const alreadyRunning = await withLock(folder.lock, { timeoutMs, signal }, async () => {
    const running = await runningDaemon(folder);
    if (running) {
      checkSame(running, { api, driver, image });
      return true;
    }
    await checkState(folder, api);
    const choice = [
      ...(api === undefined ? [] : ['--api', api]),
      '--driver',
      driver,
      ...(image === undefined ? [] : ['--image', image]),
    ];
    const args = ['sandbox', 'daemon', '--dir', folder.root, ...choice];
    await spawnDaemon(folder, { entry, args, env, timeoutMs, signal, onProgress });
    return false;
  });
  return { ...(await sandboxStatus(env)), alreadyRunning };
}

function checkSame(
  running: DaemonRecord,
  { api, driver, image }: Pick<StartSandboxOptions, 'api' | 'driver' | 'image'>,
): void {
  const { name, guest } = running.driver;
  if (api !== undefined && api !== running.api) throw otherApi(running.api, api);
  const hint = 'vmop sandbox stop ends it; its VMs stay and start with the next one';
  if (driver !== 'auto' && driver !== name) {
    throw new VmopError('state', `the sandbox runs with the driver ${name}, not ${driver}`, { hint });
  }
  const known = 'image' in guest ? guest.image : undefined;
  if (image !== undefined && image !== known) {
    throw new VmopError('state', `the sandbox runs with ${known ?? 'another guest'}, not ${image}`, { hint });
  }
}

/** Each API keeps its objects in its own way. */
async function checkState(folder: StateFolder, api: ApiName | undefined): Promise<void> {
  const known = (await readSettings(folder)).api;
  if (api !== undefined && known !== undefined && api !== known) throw otherApi(known, api);
}

function otherApi(known: ApiName, wanted: ApiName): VmopError {
  return new VmopError('state', `the VMs of this sandbox are in the API ${known}, not ${wanted}`, {
    hint: 'vmop sandbox stop --purge forgets them; VMOP_SANDBOX_DIR names a folder for another sandbox',
  });
}

export interface StopSandboxOptions {
  env: Env;
  /** Remove the VMs and all other state, too. */
  purge: boolean;
  timeoutMs: number;
  signal: AbortSignal;
}

export interface StoppedSandbox {
  /** It ran until now. */
  wasRunning: boolean;
  /** Its process had been killed; what that left was ended. */
  wasKilled: boolean;
  purged: boolean;
  folder: string;
}

/** What the daemon needs for its guests to power down, and to end those that do not. */
const DAEMON_END_MS = 20_000;

/** Ends the sandbox and every machine of it, also after its process was killed. Nothing is left running. */
export async function stopSandbox({
  env,
  purge,
  timeoutMs,
  signal,
}: StopSandboxOptions): Promise<StoppedSandbox> {
  const root = sandboxFolder(env);
  const folder = await createStateFolder(root);
  const found = await withLock(folder.lock, { timeoutMs, signal }, async () => {
    const running = await runningDaemon(folder);
    const wasKilled = running === undefined && (await readDaemonRecord(folder)) !== undefined;
    if (running) await endDaemon(running);
    await reapRemains(folder);
    if (purge) await purgeStateFolder(folder);
    return { wasRunning: running !== undefined, wasKilled };
  });
  await removeEmptyStateFolder(folder);
  return { ...found, purged: purge, folder: root };
}

async function endDaemon(daemon: DaemonRecord): Promise<void> {
  await signalProcess(daemon, 'SIGTERM');
  if (await waitForProcessEnd(daemon, DAEMON_END_MS)) return;
  await signalProcess(daemon, 'SIGKILL');
  await waitForProcessEnd(daemon, DAEMON_END_MS);
}

async function reapRemains(folder: StateFolder): Promise<void> {
  const [record, settings] = await Promise.all([readDaemonRecord(folder), readSettings(folder)]);
  const folders = new Set([record?.machinesFolder, settings.machinesFolder]);
  for (const machines of folders) if (machines) await reapMachines(machines);
  await reapServers(folder.api);
  await rm(folder.daemon, { force: true });
}

/** How the sandbox is, whether or not it runs. */
export async function sandboxStatus(env: Env): Promise<SandboxInfo> {
  const folder = stateFolder(sandboxFolder(env));
  const place = { folder: folder.root, kubeconfig: folder.kubeconfig, context: SANDBOX_CONTEXT };
  const daemon = await runningDaemon(folder);
  if (daemon === undefined) {
    const last = await readDaemonRecord(folder);
    if (last === undefined) return { running: false, ...place };
    const why = last.problem ?? 'its process was killed';
    const problem = `${why}; vmop sandbox start takes over what still runs, stop ends it`;
    return { running: false, ...place, problem };
  }
  const { pid, api, url, startedAt, driver } = daemon;
  return { running: true, ...place, pid, api, url, startedAt, driver, ...(await askMachines(folder)) };
}

const STATUS_TIMEOUT_MS = 5000;

async function askMachines({ kubeconfig }: StateFolder): Promise<Pick<SandboxInfo, 'machines' | 'problem'>> {
  try {
    const cluster = openCluster(loadKubeconfig({ env: {}, file: kubeconfig }), {
      userAgent: 'vmop-sandbox-status',
      timeoutMs: STATUS_TIMEOUT_MS,
    });
    try {
      const { items } = await cluster.list(VMS, { namespace: undefined });
      const machines = items.map((vm) => ({
        name: vm.name,
        namespace: vm.namespace,
        state: phaseOf(vm),
        ...(vm.spec.spice ? { spicePort: vm.spec.spice.port } : {}),
      }));
      return { machines };
    } finally {
      cluster.close();
    }
  } catch (error) {
    return { problem: `its API does not answer: ${messageOf(error)}` };
  }
}

/** The lines of the sandbox's own log. */
export function sandboxLogs(env: Env, options: FollowLogOptions): AsyncIterable<string> {
  return followLog(stateFolder(sandboxFolder(env)).log, options);
}
