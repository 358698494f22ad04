import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a viewer's detection depends on, as data. */
export interface PlatformDescription {
  os: 'linux' | 'darwin' | 'win32';
  /** Linux inside Windows, where programs of both can be started. */
  wsl: boolean;
  env: Environment;
  /** Those of the places looked at that exist and may be executed (or entered). */
  files: ReadonlySet<string>;
  /** Windows: the command registered for connection files, as the registry gives it. */
  registeredCommand?: string | undefined;
  /** Linux: ID and ID_LIKE of os-release, the nearest first. */
  distributions: readonly string[];
}

export const FLATPAK_APP = 'org.virt_manager.virt-viewer';

const MAC_BUNDLE = 'Applications/RemoteViewer.app/Contents/MacOS/RemoteViewer';
const WSL_PROGRAM_FILES = '/mnt/c/Program Files';
/** Its folder carries the version: `VirtViewer v11.0-256`. */
const WINDOWS_FOLDER = /^VirtViewer v/i;

type Paths = Pick<typeof path.posix, 'join' | 'isAbsolute' | 'delimiter'>;

function pathsOf(os: PlatformDescription['os']): Paths {
  return os === 'win32' ? path.win32 : path.posix;
}

/** Where a command of this name would be found, in PATH's order. Entries relative to the current folder are left out. */
export function pathCandidates(os: PlatformDescription['os'], env: Environment, name: string): string[] {
  const { join, isAbsolute, delimiter } = pathsOf(os);
  const file = os === 'win32' && !/\.[a-z]+$/i.test(name) ? `${name}.exe` : name;
  const folders = (env['PATH'] ?? env['Path'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  return folders.map((folder) => join(folder, file));
}

/** The places beside PATH where a viewer may be, in order of preference. */
export function knownPlaces(os: PlatformDescription['os'], env: Environment): string[] {
  const home = env['HOME'] ?? '';
  if (os === 'darwin') {
    return [
      '/opt/homebrew/bin/remote-viewer',
      '/usr/local/bin/remote-viewer',
      `/${MAC_BUNDLE}`,
      path.posix.join(home, MAC_BUNDLE),
    ];
  }
  if (os === 'win32') return [];
  const userData = env['XDG_DATA_HOME'] ?? path.posix.join(home, '.local/share');
  return [userData, '/var/lib'].map((data) => path.posix.join(data, 'flatpak/app', FLATPAK_APP));
}

/** Whether the viewer is a path rather than a name to look for. */
export function isPath(viewer: string): boolean {
  return /[\\/]/.test(viewer);
}

/**
 * Describes this machine as far as a viewer's detection needs it; `viewer` is the one that was asked for. Starts a
 * process only on Windows, and there only when the usual folder holds no viewer.
 */
export async function describePlatform(
  env: Environment,
  viewer?: string,
  platform: NodeJS.Platform = process.platform,
): Promise<PlatformDescription> {
  const os = platform === 'win32' || platform === 'darwin' ? platform : 'linux';
  const wsl = os === 'linux' && env['WSL_DISTRO_NAME'] !== undefined;
  const asked = viewer === undefined ? [] : isPath(viewer) ? [viewer] : pathCandidates(os, env, viewer);
  const [usual, windows, distributions] = await Promise.all([
    existing([
      ...asked,
      ...pathCandidates(os, env, 'remote-viewer'),
      ...pathCandidates(os, env, 'spicy'),
      ...(os === 'linux' ? pathCandidates(os, env, 'flatpak') : []),
      ...knownPlaces(os, env),
    ]),
    windowsViewers(os, wsl, env),
    os === 'linux' ? readDistributions() : [],
  ]);
  const files = new Set([...usual, ...windows]);
  const registeredCommand = os === 'win32' && windows.length === 0 ? await readRegistry() : undefined;
  if (registeredCommand !== undefined) {
    const registered = registeredProgram(registeredCommand);
    for (const file of await existing(registered === undefined ? [] : [registered])) files.add(file);
  }
  return { os, wsl, env, files, registeredCommand, distributions };
}

async function existing(files: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    files.map((file) =>
      access(file, constants.X_OK).then(
        () => [file],
        () => [],
      ),
    ),
  );
  return found.flat();
}

async function windowsViewers(os: string, wsl: boolean, env: Environment): Promise<string[]> {
  if (os !== 'win32' && !wsl) return [];
  const roots = wsl
    ? [WSL_PROGRAM_FILES]
    : ['ProgramFiles', 'ProgramW6432', 'ProgramFiles(x86)'].flatMap((name) => env[name] ?? []);
  const { join } = wsl ? path.posix : path.win32;
  const found = await Promise.all(
    [...new Set(roots)].map(async (root) => {
      const names = await readdir(root).catch(() => []);
      const folders = names.filter((name) => WINDOWS_FOLDER.test(name));
      return folders.map((name) => join(root, name, 'bin', 'remote-viewer.exe'));
    }),
  );
  return existing(found.flat());
}

/** The program of a registered command such as `"C:\…\remote-viewer.exe" "%1"`. */
export function registeredProgram(command: string): string | undefined {
  const { quoted, plain } =
    /^\s*(?:"(?<quoted>[^"]+)"|(?<plain>.*?\.exe)(?:\s|$))/i.exec(command)?.groups ?? {};
  return quoted ?? plain;
}

const REGISTRY_KEY = 'HKLM\\SOFTWARE\\Classes\\VirtViewer.vvfile\\shell\\open\\command';
const REGISTRY_TIMEOUT_MS = 3000;

async function readRegistry(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('reg', ['query', REGISTRY_KEY, '/ve'], {
      timeout: REGISTRY_TIMEOUT_MS,
      windowsHide: true,
    });
    // The value's name is translated, its type is not.
    return /REG_(?:EXPAND_)?SZ\s+(?<command>.+)/.exec(stdout)?.groups?.['command']?.trim();
  } catch {
    return undefined;
  }
}

async function readDistributions(): Promise<string[]> {
  return parseOsRelease(await readFile('/etc/os-release', 'utf8').catch(() => ''));
}

/** ID, then ID_LIKE, of an os-release file. */
export function parseOsRelease(text: string): string[] {
  const value = (key: string): string[] => {
    const line = new RegExp(`^${key}=(?<value>.*)$`, 'm').exec(text)?.groups?.['value'] ?? '';
    return line
      .replace(/^(["'])(.*)\1$/, '$2')
      .split(/\s+/)
      .filter((word) => word !== '');
  };
  return [...value('ID'), ...value('ID_LIKE')];
}
