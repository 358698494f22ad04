import { VmopError } from '../../errors.ts';
import { quoted } from '../reach/address.ts';
import { viewerInstallCommand } from './install-hint.ts';
import {
  FLATPAK_APP,
  isPath,
  knownPlaces,
  pathCandidates,
  registeredProgram,
  type PlatformDescription,
} from './platform.ts';

/** How a viewer is started. */
export interface ViewerPlan {
  /** For messages: `remote-viewer`, `remote-viewer (Flatpak)`. */
  name: string;
  command: string;
  /** What the command needs to start the viewer proper; in front of the viewer's own arguments. */
  launcherArgs: string[];
  /** The viewer's arguments; `{file}` stands for the connection file's path. */
  args: string[];
  /** How it learns where to connect: from the connection file, or from its arguments, which hold a ticket then. */
  input: 'stdin' | 'file' | 'arguments';
  /** `windows`: a Windows program started from Linux, which needs its own form of the file's path. */
  pathStyle: 'native' | 'windows';
  /** `remote-viewer`: `--debug` makes it report on stdout what it does; `none`: only its end can be seen. */
  output: 'remote-viewer' | 'none';
}

/** What stands for a way to the console that the viewer may have: never the display's own password. */
const PLACES = ['{uri}', '{socket}', '{ticket}'] as const;

/** A door of this machine that a viewer is led to: a unix socket that only its owner gets to. */
export interface ViewerDoor {
  socket: string;
  ticket: string;
}

/** The plan with its places filled in. */
export function fillPlaces(plan: ViewerPlan, { socket, ticket }: ViewerDoor): ViewerPlan {
  const values: Record<(typeof PLACES)[number], string> = {
    '{uri}': `spice+unix://${socket}`,
    '{socket}': socket,
    '{ticket}': ticket,
  };
  const fill = (argument: string): string =>
    PLACES.reduce((text, place) => text.replaceAll(place, () => values[place]), argument);
  return { ...plan, args: plan.args.map(fill) };
}

/** The viewer is only given a ticket: arguments are for everybody to see, and a file is on a disk. */
export function needsBridge({ input }: ViewerPlan): boolean {
  return input !== 'stdin';
}

/** The viewer can open a unix socket of this machine; others are led to a port of loopback. */
export function reachesSockets({ command, launcherArgs, pathStyle }: ViewerPlan): boolean {
  const apart = pathStyle === 'windows' || /\.exe$/i.test(command) || launcherArgs.includes(FLATPAK_APP);
  return !apart;
}

/** What the user asked for: `--viewer` and `--viewer-arg`. */
export interface WantedViewer {
  /** A name to look for in PATH, or a path. */
  command?: string | undefined;
  /** In front of the connection file, unless one of them says `{file}`. */
  args?: readonly string[] | undefined;
}

export type ViewerSearch = { plan: ViewerPlan } | { problem: VmopError };

export const FILE_PLACE = '{file}';

const REMOTE_VIEWER = /(?:^|[\\/])remote-viewer(?:\.exe)?$/i;
const MAC_BUNDLE = /\.app\/Contents\/MacOS\/RemoteViewer$/;

/** spicy reads no connection file. Its arguments are for all to see, but the socket is only for its owner. */
const SPICY = 'spicy';
const SPICY_ARGS = ['--uri={uri}', '--password={ticket}'];

/** Programs that people try and that cannot work. */
const UNFIT: Record<string, string> = {
  'virt-viewer':
    'virt-viewer opens the machines of libvirt; remote-viewer, of the same package, opens consoles',
};

/** The viewer to use on a machine, or why there is none (`console`; `usage` for a `--viewer` that cannot be used). */
export function detectViewer(platform: PlatformDescription, wanted: WantedViewer = {}): ViewerSearch {
  const { command, args = [] } = wanted;
  if (command !== undefined) return askedViewer(platform, command, args);
  const native = nativeViewer(platform, args);
  const windows = platform.os === 'linux' ? windowsViewer(platform, args) : undefined;
  if (native && hasDisplay(platform, native)) return { plan: native };
  if (windows) return { plan: windows };
  const spicy = native ?? spicyPlan(platform, args);
  if (spicy && hasDisplay(platform, spicy)) return { plan: spicy };
  if (spicy) return { problem: noDisplay(spicy) };
  const problem = new VmopError('console', 'no viewer for SPICE consoles was found on this machine', {
    hint: `--web opens it in a browser now; or install a viewer: ${viewerInstallCommand(platform)}`,
  });
  return { problem };
}

/** What works without the viewer that was asked for. */
export const OTHERWISE = 'without --viewer vmop looks for one itself, and --web needs none';

function askedViewer(platform: PlatformDescription, command: string, args: readonly string[]): ViewerSearch {
  const { os, env, files } = platform;
  const base = command.replace(/^.*[\\/]/, '').replace(/\.exe$/i, '');
  const unfit = UNFIT[base];
  if (unfit !== undefined) return { problem: new VmopError('usage', `--viewer: ${unfit}`) };
  const candidates = isPath(command) ? [command] : pathCandidates(os, env, command);
  const found = candidates.find((file) => files.has(file));
  if (found === undefined) {
    const where = isPath(command) ? 'does not exist or may not be executed' : 'was not found in PATH';
    return {
      problem: new VmopError('console', `the viewer ${quoted(command)} ${where}`, { hint: OTHERWISE }),
    };
  }
  const known: readonly string[] = [...PLACES, FILE_PLACE];
  const strange = args
    .flatMap((argument) => argument.match(/\{[a-z]+\}/g) ?? [])
    .find((one) => !known.includes(one));
  if (strange !== undefined) {
    const problem = new VmopError('usage', `--viewer-arg: ${strange} stands for nothing`, {
      hint: `what can be filled in: ${known.join(' ')}`,
    });
    return { problem };
  }
  const plan = programPlan(platform, found, base, args);
  if (plan.input === 'arguments' && !reachesSockets(plan)) {
    // A port is open to everybody here, and so is what stands in arguments.
    const hint = 'use {file}: a private connection file';
    const problem = new VmopError('usage', `${plan.name} cannot be led to a unix socket by its arguments`, {
      hint,
    });
    return { problem };
  }
  return hasDisplay(platform, plan) ? { plan } : { problem: noDisplay(plan) };
}

function nativeViewer(platform: PlatformDescription, args: readonly string[]): ViewerPlan | undefined {
  const { os, env, files } = platform;
  if (os === 'win32') return windowsViewer(platform, args);
  const places = pathCandidates(os, env, 'remote-viewer');
  if (os === 'darwin') places.push(...knownPlaces(os, env));
  const found = places.find((file) => files.has(file));
  if (found !== undefined) return programPlan(platform, found, 'remote-viewer', args);
  const flatpak = pathCandidates(os, env, 'flatpak').find((file) => files.has(file));
  if (flatpak === undefined || !knownPlaces(os, env).some((app) => files.has(app))) return undefined;
  return {
    name: 'remote-viewer (Flatpak)',
    command: flatpak,
    launcherArgs: ['run', '--command=remote-viewer', FLATPAK_APP],
    args: [...args, '-'],
    // A sandboxed viewer need not see our temporary folder.
    input: 'stdin',
    pathStyle: 'native',
    output: 'remote-viewer',
  };
}

function spicyPlan(platform: PlatformDescription, args: readonly string[]): ViewerPlan | undefined {
  const { os, env, files } = platform;
  const found = pathCandidates(os, env, SPICY).find((file) => files.has(file));
  return found === undefined ? undefined : programPlan(platform, found, SPICY, args);
}

/** The newest of the Windows installations; in WSL they are seen through /mnt/c. */
function windowsViewer(platform: PlatformDescription, args: readonly string[]): ViewerPlan | undefined {
  const { os, env, files, registeredCommand } = platform;
  const registered = registeredCommand === undefined ? undefined : registeredProgram(registeredCommand);
  const installed = [...files]
    .flatMap((file) => {
      const version = /VirtViewer v(?<version>[^\\/]+)[\\/]bin[\\/]remote-viewer\.exe$/i.exec(file)?.groups?.[
        'version'
      ];
      return version === undefined ? [] : [{ file, version: (version.match(/\d+/g) ?? []).map(Number) }];
    })
    .sort((a, b) => compareVersions(b.version, a.version));
  const inPath =
    os === 'win32' ? pathCandidates(os, env, 'remote-viewer').find((file) => files.has(file)) : undefined;
  const found =
    inPath ??
    installed[0]?.file ??
    (registered !== undefined && files.has(registered) ? registered : undefined);
  return found === undefined ? undefined : programPlan(platform, found, 'remote-viewer', args);
}

function compareVersions(a: readonly number[], b: readonly number[]): number {
  for (let place = 0; place < Math.max(a.length, b.length); place++) {
    const difference = (a[place] ?? 0) - (b[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function programPlan(
  platform: PlatformDescription,
  file: string,
  name: string,
  args: readonly string[],
): ViewerPlan {
  const bundle = MAC_BUNDLE.test(file);
  const windows = platform.os === 'win32' || /\.exe$/i.test(file);
  const known = REMOTE_VIEWER.test(file) || bundle;
  const template = args.some((argument) => argument.includes(FILE_PLACE));
  const led = args.some((argument) => PLACES.some((place) => argument.includes(place)));
  if (led || name === SPICY) {
    return {
      name,
      command: file,
      launcherArgs: [],
      args: led ? [...args] : [...args, ...SPICY_ARGS],
      input: 'arguments',
      pathStyle: windows && platform.os === 'linux' ? 'windows' : 'native',
      output: 'none',
    };
  }
  // A Windows program has no stdin to speak of, and a bundle may be started by a script that passes on arguments only.
  const input = known && !windows && !bundle && !template ? 'stdin' : 'file';
  return {
    name,
    command: file,
    launcherArgs: [],
    args: template ? [...args] : [...args, input === 'stdin' ? '-' : FILE_PLACE],
    input,
    pathStyle: windows && platform.os === 'linux' ? 'windows' : 'native',
    // On Windows remote-viewer attaches itself to our console and would write there, typed keys included.
    output: known && !windows ? 'remote-viewer' : 'none',
  };
}

function hasDisplay({ os, env }: PlatformDescription, plan: ViewerPlan): boolean {
  // Of another program nobody knows whether it needs one.
  const needless = plan.output === 'none' && plan.name !== SPICY;
  if (os !== 'linux' || plan.pathStyle === 'windows' || needless) return true;
  if (plan.args.some((argument) => argument.startsWith('--display'))) return true;
  return Boolean(env['DISPLAY']) || Boolean(env['WAYLAND_DISPLAY']);
}

function noDisplay({ name }: ViewerPlan): VmopError {
  return new VmopError(
    'console',
    `${name} is installed, but there is no desktop to show it on: neither DISPLAY nor WAYLAND_DISPLAY is set`,
    {
      hint: 'run vmop in a terminal of your desktop (or ssh -X); --web --no-browser prints a link, --file PATH writes a file',
    },
  );
}
