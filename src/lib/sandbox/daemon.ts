import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import { messageOf, VmopError } from '../errors.ts';
import { chooseApi, type ApiName } from './api-choice.ts';
import { DaemonLog } from './daemon-log.ts';
import { readDaemonRecord, writeDaemonRecord, type DaemonRecord } from './daemon-record.ts';
import type { DriverRequest } from './drivers/driver-request.ts';
import { chooseDriver, reapMachines } from './drivers/index.ts';
import { newToken, startLocalCluster, type LocalCluster } from './local-cluster.ts';
import { writePrivate } from './private-file.ts';
import { identifyProcess } from './process-identity.ts';
import { ReadyPipe } from './ready-pipe.ts';
import { userRules } from './rules.ts';
import { createSeeds, SEED_NAMES } from './seeds.ts';
import { createStateFolder, machinesFolderFor, readSettings, writeSettings } from './state-folder.ts';
import type { StateFolder } from './state-folder.ts';

export interface DaemonOptions {
  /** The sandbox's folder. */
  root: string;
  /** undefined: that of the last time. */
  api?: ApiName | undefined;
  driver: DriverRequest['wanted'];
  /** Absolute path of a disk image. */
  image?: string | undefined;
  env: Record<string, string | undefined>;
  /** Ends the daemon in order. */
  signal: AbortSignal;
}

/** What guests get to power down when the sandbox stops. */
const STOP_SECONDS = 5;

/**
 * The sandbox's process: API, operator and driver until the signal aborts; then it ends the machines. Tells whoever
 * started it over the ready pipe how it goes. Rejects when it cannot start, and when the API server ends by itself.
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const folder = await createStateFolder(options.root);
  const log = new DaemonLog(folder.log).write;
  const pipe = new ReadyPipe(options.env);
  const failure = new AbortController();
  try {
    const local = await startDaemon(folder, options, {
      onProgress(text) {
        log(text);
        pipe.send({ type: 'progress', text });
      },
      onFailure: (error) => failure.abort(error),
    });
    log(`ready: ${local.api.url}`);
    pipe.send({ type: 'ready' });
    pipe.close();
    await aborted(AbortSignal.any([options.signal, failure.signal]));
    if (failure.signal.aborted) {
      await local.abandon();
      await recordProblem(folder, messageOf(failure.signal.reason));
      failure.signal.throwIfAborted();
    }
    log('stopping');
    await local.stop({ withinSeconds: STOP_SECONDS });
    await rm(folder.daemon, { force: true });
    log('stopped');
  } catch (error) {
    log(`failed: ${messageOf(error)}`);
    const hint = error instanceof VmopError ? error.hint : undefined;
    pipe.send({ type: 'failed', message: messageOf(error), ...(hint === undefined ? {} : { hint }) });
    pipe.close();
    throw error;
  }
}

interface DaemonHooks {
  onProgress: (text: string) => void;
  /** The API server has ended by itself. */
  onFailure: (error: VmopError) => void;
}

async function startDaemon(
  folder: StateFolder,
  { driver: wanted, image, env, signal, ...options }: DaemonOptions,
  { onProgress, onFailure }: DaemonHooks,
): Promise<LocalCluster> {
  const known = await readSettings(folder);
  const api = options.api ?? known.api ?? 'embedded';
  const startApi = await chooseApi(api, env);
  const choice = await chooseDriver({ wanted, image, env, onProgress, signal });
  signal.throwIfAborted();
  const machinesFolder = await machinesFolderFor(folder, known.machinesFolder, env);
  // Machines of a sandbox that was killed are taken over by their own driver only.
  await reapMachines(machinesFolder, choice.info.name);
  const person = personName(env);
  const token = known.token ?? newToken();
  onProgress(`starting ${api === 'embedded' ? 'the API' : api}, machines are ${choice.info.name}`);
  const local = await startOnPort(known.port, {
    folder: folder.root,
    startApi,
    apiFolder: folder.api,
    users: { kubeconfig: { username: person, groups: ['system:masters'], token } },
    // Where Roles can be made, `vmop access apply` makes them.
    rules: api === 'embedded' ? userRules(SEED_NAMES) : [],
    driver: choice.driver,
    machinesFolder,
    log: new DaemonLog(folder.log).write,
    onFailure,
  });
  try {
    await writeSettings(folder, { api, token, port: local.api.port, machinesFolder });
    if (!existsSync(folder.seeded)) {
      onProgress(`making ${SEED_NAMES.join(', ')}`);
      await createSeeds(local.admin, person);
      await writePrivate(folder.seeded, '');
    }
    await record(folder, local, { api, driver: choice.info, machinesFolder });
    return local;
  } catch (error) {
    await local.stop({ withinSeconds: 0 });
    throw error;
  }
}

type Settings = Omit<Parameters<typeof startLocalCluster>[0], 'port'>;

/** On the port of the last time, or on any when somebody else has that now. */
async function startOnPort(port: number | undefined, settings: Settings): Promise<LocalCluster> {
  if (port !== undefined) {
    try {
      return await startLocalCluster({ ...settings, port });
    } catch (error) {
      if (!isTaken(error)) throw error;
    }
  }
  return await startLocalCluster({ ...settings, port: undefined });
}

function isTaken(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return (
    cause instanceof Error && 'code' in cause && (cause.code === 'EADDRINUSE' || cause.code === 'EACCES')
  );
}

async function record(
  folder: StateFolder,
  local: LocalCluster,
  choices: Pick<DaemonRecord, 'api' | 'driver' | 'machinesFolder'>,
): Promise<void> {
  const identity = await identifyProcess(process.pid);
  if (identity === undefined)
    throw new VmopError('failed', 'the system does not tell when a process started');
  const { url, port } = local.api;
  const startedAt = new Date().toISOString();
  await writeDaemonRecord(folder, { ...identity, url, port, startedAt, ...choices });
}

/** For `vmop sandbox status`, now that nobody runs any more. */
async function recordProblem(folder: StateFolder, problem: string): Promise<void> {
  const known = await readDaemonRecord(folder);
  if (known) await writeDaemonRecord(folder, { ...known, problem });
}

function personName(env: Record<string, string | undefined>): string {
  try {
    return os.userInfo().username;
  } catch {
    // A user that the system has no name for, as in some containers.
    return env['USER'] || env['LOGNAME'] || 'me';
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
