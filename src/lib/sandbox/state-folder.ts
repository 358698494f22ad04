import { constants } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, readFile, rm, rmdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { asInteger, asObject, asString, compact, parseJson } from '../cluster/parse.ts';
import { VmopError } from '../errors.ts';
import { API_NAMES, type ApiName } from './api-choice.ts';
import { isErrno } from './lock.ts';
import { writePrivate } from './private-file.ts';

/** The kubeconfigs of the sandbox itself, of its operator and of its runners, in the sandbox's folder. */
export const OWN_KUBECONFIGS = {
  system: 'system.kubeconfig',
  operator: 'operator.kubeconfig',
  runner: 'runner.kubeconfig',
} as const;

/** What is where in the sandbox's folder. */
export interface StateFolder {
  root: string;
  /** The person's kubeconfig. */
  kubeconfig: string;
  /** The API's objects, certificates and logs. */
  api: string;
  /** The running daemon; there while it runs, and after it was killed. */
  daemon: string;
  /** What stays the same from one start to the next. */
  settings: string;
  /** The first VMs have been made. */
  seeded: string;
  log: string;
  lock: string;
}

export function stateFolder(root: string): StateFolder {
  const file = (name: string): string => path.join(root, name);
  return {
    root,
    kubeconfig: file('kubeconfig'),
    api: file('api'),
    daemon: file('daemon.json'),
    settings: file('settings.json'),
    seeded: file('seeded'),
    log: file('daemon.log'),
    lock: file('lock'),
  };
}

/** Makes the folder, private. */
export async function createStateFolder(root: string): Promise<StateFolder> {
  try {
    await mkdir(root, { recursive: true, mode: 0o700 });
    await chmod(root, 0o700);
  } catch (error) {
    throw new VmopError('failed', `the sandbox's folder ${root} cannot be used`, {
      hint: 'name another one with VMOP_SANDBOX_DIR',
      cause: error,
    });
  }
  return stateFolder(root);
}

export interface SandboxSettings {
  /** What its objects are in. */
  api?: ApiName;
  /** The person's bearer token. */
  token?: string;
  /** The API's port: the same again, so that copies of the kubeconfig stay good. */
  port?: number;
  /** One folder per machine; elsewhere when the sandbox's own path is too long for sockets. */
  machinesFolder?: string;
}

export async function readSettings({ settings }: StateFolder): Promise<SandboxSettings> {
  const value = asObject(parseJson(await readFile(settings, 'utf8').catch(() => '')));
  return compact({
    // Settings that name none are of a time when there was but one.
    api: API_NAMES.find((name) => name === value['api']) ?? (value['token'] ? 'embedded' : undefined),
    token: asString(value['token']),
    port: asInteger(value['port']),
    machinesFolder: asString(value['machinesFolder']),
  });
}

export async function writeSettings(folder: StateFolder, settings: SandboxSettings): Promise<void> {
  await writePrivate(folder.settings, `${JSON.stringify(settings, null, 2)}\n`);
}

/** Paths of unix sockets are limited to 103 bytes on some systems; a machine's are its folder and up to 15 more. */
const LONGEST_MACHINES_FOLDER = 100 - '/0123456789ab/qmp-debug.sock'.length;

/** The folder for machines: the one used before where it still is, else below the sandbox's own, else a short one. */
export async function machinesFolderFor(
  { root }: StateFolder,
  known: string | undefined,
  env: Record<string, string | undefined>,
): Promise<string> {
  if (known !== undefined && (await isPrivateFolder(known))) return known;
  const own = path.join(root, 'm');
  if (Buffer.byteLength(own) <= LONGEST_MACHINES_FOLDER) {
    await mkdir(own, { recursive: true, mode: 0o700 });
    return own;
  }
  const runtime = env['XDG_RUNTIME_DIR'];
  const fits = runtime !== undefined && Buffer.byteLength(runtime) + 12 <= LONGEST_MACHINES_FOLDER;
  const base = fits && (await isPrivateFolder(runtime)) ? runtime : os.tmpdir();
  // Made with a random name and mode 0700: nobody else can have prepared it.
  return await mkdtemp(path.join(base, 'vmop-'));
}

async function isPrivateFolder(folder: string): Promise<boolean> {
  try {
    const found = await lstat(folder);
    const others = constants.S_IRWXG | constants.S_IRWXO;
    return found.isDirectory() && found.uid === process.getuid?.() && (found.mode & others) === 0;
  } catch {
    return false;
  }
}

/** Removes all that the sandbox has made, and the folder when nothing else is in it. */
export async function purgeStateFolder(folder: StateFolder): Promise<void> {
  const { machinesFolder } = await readSettings(folder);
  if (machinesFolder !== undefined && (await isPrivateFolder(machinesFolder))) {
    await rm(machinesFolder, { recursive: true, force: true });
  }
  const { root, kubeconfig, api, daemon, settings, seeded, log } = folder;
  const own = Object.values(OWN_KUBECONFIGS).map((name) => path.join(root, name));
  const files = [kubeconfig, ...own, api, daemon, settings, seeded, log];
  for (const file of [...files, `${log}.1`]) await rm(file, { recursive: true, force: true });
}

/** Only when it is empty; the lock is gone by then. */
export async function removeEmptyStateFolder({ root }: StateFolder): Promise<void> {
  try {
    await rmdir(root);
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY') && !isErrno(error, 'ENOENT')) throw error;
  }
}
