import type { Context } from '../cli/context.ts';
import type { Settings } from '../cli/settings.ts';
import type { TargetFlags } from '../cli/targets.ts';
import { DEFAULT_VALIDITY_SECONDS, WEB_VALIDITY_SECONDS, type DisconnectAction } from '../console-choices.ts';
import { checkConnectionFile } from '../console/private-file.ts';
import type { ConsoleRequest } from '../console/request.ts';
import { detectViewer, type ViewerPlan } from '../console/viewer/detect.ts';
import { describePlatform } from '../console/viewer/platform.ts';
import type { ListenPlan } from '../console/web/listen.ts';
import { VmopError } from '../errors.ts';
import { parseDuration } from '../output/duration.ts';
import { consoleWay, type WayFlags } from './console-way.ts';
import { parseGuestUser } from './login.ts';
import { parseValidity } from './validity.ts';

/** The flags of `vmop console`, `--check` aside. */
export interface ConsoleFlags extends TargetFlags, WayFlags {
  file?: string | undefined;
  viewer?: string | undefined;
  'viewer-arg'?: string[] | undefined;
  detach?: boolean;
  take?: boolean;
  login?: string | undefined;
  'login-first'?: boolean;
  web?: boolean;
  browser?: boolean;
  listen?: string | undefined;
  'listen-cert'?: string | undefined;
  'listen-key'?: string | undefined;
  'listen-name'?: string | undefined;
  'listen-for-others'?: boolean;
  reconnect?: boolean;
  'on-disconnect'?: DisconnectAction | undefined;
  title?: string | undefined;
  'full-screen'?: boolean;
  validity?: string | undefined;
  timeout: string;
}

/** Where the console is shown, all of it checked. */
export type ConsolePlace =
  { kind: 'file'; file: string } | { kind: 'viewer'; plan: ViewerPlan } | { kind: 'web'; listen: ListenPlan };

/** What flags and configuration ask for. */
export interface ConsoleCommand {
  /** All but who asks, and with which permissions. */
  request: Omit<ConsoleRequest, 'me' | 'permissions' | 'pool'>;
  settings: Settings;
  place: ConsolePlace;
}

const CONFIRM_MS = 10_000;

/**
 * Everything that flags and configuration say, checked: whatever can be wrong on this side is found before the cluster
 * is asked. Errors: `usage`, `console` without a viewer.
 */
export async function readConsoleCommand(context: Context, flags: ConsoleFlags): Promise<ConsoleCommand> {
  checkCombination(flags);
  const login = flags.login === undefined ? undefined : parseGuestUser(flags.login);
  const validity = flags.validity === undefined ? undefined : parseValidity(flags.validity);
  const timeoutMs = parseDuration(flags.timeout);
  await checkOutput(context, flags);
  const settings = await context.settings;
  const way = await consoleWay(flags, settings);
  const place = await placeOf(context, flags, settings);
  const request = {
    ...way,
    leaving: place.kind === 'file' ? ('--file' as const) : flags.detach ? ('--detach' as const) : undefined,
    take: flags.take === true,
    login: login === undefined ? undefined : { user: login, first: flags['login-first'] === true },
    loginMs: timeoutMs,
    validitySeconds:
      validity ??
      settings.validitySeconds ??
      (place.kind === 'web' ? WEB_VALIDITY_SECONDS : DEFAULT_VALIDITY_SECONDS),
    confirmMs: Math.min(timeoutMs, CONFIRM_MS),
    signal: context.signal,
    afterwards: context.afterwards,
  };
  return { request, settings, place };
}

async function placeOf(context: Context, flags: ConsoleFlags, settings: Settings): Promise<ConsolePlace> {
  if (flags.file !== undefined) return { kind: 'file', file: flags.file };
  if (flags.web === true) {
    const { checkListen } = await import('../console/web/listen.ts');
    const listen = checkListen({
      address: flags.listen,
      certFile: flags['listen-cert'],
      keyFile: flags['listen-key'],
      name: flags['listen-name'],
      forOthers: flags['listen-for-others'],
    });
    return { kind: 'web', listen };
  }
  const plan = await findViewer(context, flags, settings);
  if (flags.detach === true && plan.input !== 'stdin') {
    // It would have to find the display's password in its arguments or on disk.
    throw new VmopError('usage', `${plan.name} is only ever given a ticket of vmop's, which ends with it`, {
      hint: 'leave out --detach, or use a remote-viewer that reads its standard input',
    });
  }
  return { kind: 'viewer', plan };
}

/** Flags that oclif's own rules do not keep apart. Error: `usage`. */
function checkCombination(flags: ConsoleFlags): void {
  const { file, detach, login, web } = flags;
  const refuse = (message: string, hint: string): never => {
    throw new VmopError('usage', message, { hint });
  };
  if (flags['login-first'] === true && login === undefined) {
    refuse('--login-first means something only with --login', 'name the user: --login U --login-first');
  }
  if (file !== undefined && login !== undefined && flags['login-first'] !== true) {
    refuse(
      'with --file nobody sees when the viewer connects, and so when to log in',
      'add --login-first to log in before the file is written',
    );
  }
  if (flags.browser === false && web !== true) {
    refuse('--no-browser means something only with --web', 'add --web, or leave it out');
  }
  if (flags['viewer-arg'] !== undefined && (web === true || file !== undefined)) {
    const instead = web === true ? '--web' : '--file';
    refuse(`--viewer-arg is for a viewer, and ${instead} starts none`, 'choose one');
  }
  const leaving = file === undefined ? '--detach' : '--file';
  if (file !== undefined || detach === true) {
    if (flags.tunnel === 'always') {
      refuse(
        `a tunnel lasts only as long as vmop does, and ${leaving} leaves nothing running`,
        `without ${leaving} vmop stays, and the tunnel with it`,
      );
    }
    if (flags.reconnect === true || (flags['on-disconnect'] ?? 'none') !== 'none') {
      const flag = flags.reconnect === true ? '--reconnect' : '--on-disconnect';
      refuse(
        `${flag} needs vmop to see the session's end, and ${leaving} does not wait for it`,
        'choose one',
      );
    }
  }
}

/** Where the connection file goes, and whether that goes together with the rest. Error: `usage`. */
async function checkOutput(context: Context, { file, viewer }: ConsoleFlags): Promise<void> {
  if (viewer === '') throw new VmopError('usage', '--viewer names no command');
  if (file === undefined) return;
  if (file !== '-') {
    await checkConnectionFile(file);
  } else if (context.format.kind !== 'table') {
    throw new VmopError(
      'usage',
      '--file - prints the connection file, and so leaves no room for -o or --json',
    );
  }
}

async function findViewer(context: Context, flags: ConsoleFlags, settings: Settings): Promise<ViewerPlan> {
  const { env, platform } = context.runtime;
  // Not the flag's default, which other flags exclude.
  const command = flags.viewer ?? (env['VMOP_VIEWER'] || settings.viewer);
  const args = flags['viewer-arg'] ?? settings.viewerArgs ?? [];
  const found = detectViewer(await describePlatform(env, command, platform), { command, args });
  if ('problem' in found) throw found.problem;
  return found.plan;
}
