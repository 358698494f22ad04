import { EXIT, VmopError } from '../errors.ts';
import { compact } from '../cluster/parse.ts';
import type { Context } from '../cli/context.ts';
import { explainFor } from '../cli/refusal.ts';
import { AlreadyTold, asVmopError } from '../cli/report.ts';
import type { Settings } from '../cli/settings.ts';
import { resolveVm } from '../cli/targets.ts';
import type { DisconnectAction } from '../console-choices.ts';
import {
  byHand,
  disconnectDenial,
  disconnectRefusal,
  type DesktopReport,
} from '../console/session/desktop.ts';
import { connectionFile } from '../console/connection-file.ts';
import { disconnectAction, NO_LOCK } from '../console/session/desktop-decision.ts';
import { sessionError, sessionSentence } from '../console/session/report.ts';
import { namedUse, releaseConsoleUser } from '../console/console-user.ts';
import { prepareConsole, type PreparedConsole } from '../console/prepare.ts';
import { viewerPresentation } from '../console/present/viewer.ts';
import { writeConnectionFile } from '../console/private-file.ts';
import { publicProxy } from '../console/reach/address.ts';
import type { ConsoleHooks, ConsoleRequest } from '../console/request.ts';
import type { SessionOutcome } from '../console/session/session-state.ts';
import { runSessions } from '../console/session/sessions.ts';
import type { Presentation } from '../console/session/show.ts';
import { startKillGuard, type KillGuard } from '../kill-guard.ts';
import { formatTime } from '../output/plain.ts';
import type { TextView } from '../output/render.ts';
import { sanitize } from '../text.ts';
import { governingPool } from '../vm/inventory.ts';
import { permissionsOn } from '../vm/permissions.ts';
import type { Vm } from '../vm/types.ts';
import { StepClock } from './console-clock.ts';
import { readConsoleCommand, type ConsoleFlags, type ConsolePlace } from './console-request.ts';
import { finishSessionCommand, sessionArgument } from './finish-session.ts';

/** `vmop console`'s `--json` form. */
export interface ConsoleResult {
  name: string;
  namespace: string;
  host: string;
  port: number;
  proxy?: string;
  /** How the display is reached: directly, or through the API server. */
  via: 'direct' | 'tunnel';
  /** The display asks for a password. */
  protected: boolean;
  /** When the password ends that was handed over; absent: never, or there is none. */
  passwordExpiry?: Date;
  /** Whether the runner confirmed the password; absent: it was not changed. */
  confirmed?: boolean;
  /** `--file`. */
  file?: string;
  /** `--web`: the link, good for one use. */
  url?: string;
  viewer?: string;
  /** How the session ended; `connected`: it goes on, detached. */
  outcome?: SessionOutcome['kind'];
  /** From the viewer's start to its end, or until it was left alone. */
  seconds?: number;
  /** What became of the desktop when the session ended; absent where nothing was asked for, or nobody was there. */
  desktop?: Pick<DesktopReport, 'action' | 'done' | 'sentence'>;
}

/** Opens a VM's console, or writes its connection file. */
export async function runConsole(
  context: Context,
  [name, ...others]: readonly string[],
  flags: ConsoleFlags,
): Promise<void> {
  const many = flags.all === true || flags.selector !== undefined || flags['all-namespaces'] === true;
  if (others.length > 0 || many) {
    throw new VmopError('usage', 'one console at a time', { hint: '--check takes any number of VMs' });
  }
  const command = await readConsoleCommand(context, flags);
  const { terminal } = context;
  const progress = terminal.progress();
  const clock = new StepClock();
  const hooks: ConsoleHooks = {
    onStep: (text) => {
      clock.step(text);
      progress.step(text);
    },
    onNote: (text) => terminal.info(text),
    onWarning: (text) => terminal.warn(text),
    onDetail: (text) => terminal.detail(text),
    onConnected: () => clock.stop().forEach((line) => terminal.detail(line)),
    ...(terminal.interactive && { confirm: (question: string) => terminal.confirm(question) }),
  };
  try {
    hooks.onStep('looking for the VM');
    const vm = await resolveVm(context, name);
    const [subject, pool] = await Promise.all([
      context.subject(vm.namespace),
      governingPool(context.cluster, vm),
    ]);
    const me = { me: subject.name, permissions: permissionsOn(vm, pool, subject), pool };
    const request: ConsoleRequest = { ...command.request, ...me };
    let desktop: DesktopReport | undefined;
    try {
      const { place } = command;
      if (place.kind === 'file') await writeConsoleFile(context, vm, request, { ...place, flags }, hooks);
      else {
        const onDesktop = (report: DesktopReport): void => void (desktop = report);
        await openConsole(
          context,
          vm,
          request,
          { place, flags, settings: command.settings, onDesktop },
          hooks,
        );
      }
    } catch (error) {
      const permissions = [flags.take === true ? ('takeConsole' as const) : ('accessConsole' as const)];
      throw withDesktop(context, await explainFor(context, error, { vm, pool, permissions }), desktop);
    }
  } finally {
    progress.done();
    for (const line of clock.stop()) terminal.detail(line);
  }
}

/** What ended the session, and beside it what became of the desktop. */
function withDesktop({ signal }: Context, error: unknown, desktop: DesktopReport | undefined): unknown {
  if (desktop === undefined || error instanceof AlreadyTold) return error;
  const { code, message, hint, vm, cause } = asVmopError(signal.aborted ? signal.reason : error);
  return new VmopError(code, message, { hint, vm, cause, more: shown(desktop) });
}

async function writeConsoleFile(
  context: Context,
  vm: Vm,
  request: ConsoleRequest,
  { file, flags }: { file: string; flags: ConsoleFlags },
  hooks: ConsoleHooks,
): Promise<void> {
  const prepared = await prepareConsole(context.cluster, vm, request, hooks);
  const { route, password } = prepared;
  try {
    const look = lookOf(vm, flags);
    const deleteThisFile = file !== '-';
    const text = connectionFile({
      endpoint: route.endpoint,
      password: password.text,
      ...look,
      deleteThisFile,
    });
    if (file === '-') {
      await context.terminal.out(text);
      return;
    }
    await writeConnectionFile(file, text);
  } catch (error) {
    // A password that nobody received does not stay valid, nor the name of whoever was to have it.
    await password.end();
    const use = namedUse(prepared.before, { me: request.me, connected: false, own: new Set() });
    await releaseConsoleUser(request.afterwards, use, hooks);
    throw error;
  }
  const result = { ...resultOf(prepared), file };
  const until =
    result.passwordExpiry === undefined
      ? ''
      : `; its password is valid until ${formatTime(result.passwordExpiry)}`;
  await context.print<ConsoleResult>(result, viewOf(context, `${file} is written${until}`));
}

type ShownPlace = Exclude<ConsolePlace, { kind: 'file' }>;

interface OpenOptions {
  place: ShownPlace;
  flags: ConsoleFlags;
  settings: Settings;
  onDesktop: (report: DesktopReport) => void;
}

async function openConsole(
  context: Context,
  vm: Vm,
  request: ConsoleRequest,
  { place, flags, settings, onDesktop }: OpenOptions,
  hooks: ConsoleHooks,
): Promise<void> {
  const detach = flags.detach === true;
  const { action: onDisconnect, refused } = await chosenAction(context, vm, request, {
    flags,
    settings,
    hooks,
  });
  const guard = detach ? undefined : startKillGuard(finishSessionCommand(context, vm, onDisconnect));
  let leaving = false;
  // The second Ctrl-C ends the process at once; by then the person knows what is still to be done.
  const forget = context.runtime.onExit((code) => {
    if (!leaving || code !== EXIT.interrupted) return;
    guard?.dismiss();
    if (onDisconnect === 'logout' || onDisconnect === 'stop')
      context.terminal.warn(`given up: ${byHand(onDisconnect, vm)} does it by hand`);
  });
  try {
    const presentation = await presentationOf(context, vm, { request, place, flags, guard, hooks });
    const options = {
      request,
      presentation,
      detach,
      reconnect: flags.reconnect === true,
      onDisconnect,
      standing: async (current: Vm) => {
        const [subject, pool] = await Promise.all([
          context.subjectNow(current.namespace),
          governingPool(context.cluster, current),
        ]);
        return { permissions: permissionsOn(current, pool, subject), pool };
      },
      onConnection: (connection: string | undefined, user: string | undefined) =>
        guard?.session(sessionArgument(connection, user)),
      onLeaving: (pending: boolean) => (leaving = pending),
      onDesktop,
    };
    const { prepared, session, desktop = refused } = await runSessions(context.cluster, vm, options, hooks);
    const error = sessionError(session, prepared, presentation, request);
    if (error) throw error;
    const sentence = sessionSentence(session, prepared, presentation);
    if (place.kind === 'web') {
      // The link was the result.
      context.terminal.info(sentence);
    } else {
      const { outcome, seconds } = session;
      const viewer = place.plan.name;
      const result = { ...resultOf(prepared), viewer, outcome: outcome.kind, seconds, ...shown(desktop) };
      await context.print<ConsoleResult>(result, viewOf(context, sentence));
    }
    if (desktop?.code !== undefined) {
      // The page's result was its link: in JSON a second document tells it.
      const told = place.kind !== 'web' || context.format.kind !== 'json';
      throw new (told ? AlreadyTold : VmopError)(desktop.code, desktop.sentence, { vm: vm.name });
    }
  } finally {
    forget();
    guard?.dismiss();
  }
}

interface PresentationParts {
  request: ConsoleRequest;
  place: ShownPlace;
  flags: ConsoleFlags;
  guard: KillGuard | undefined;
  hooks: ConsoleHooks;
}

async function presentationOf(
  context: Context,
  vm: Vm,
  { request, place, flags, guard, hooks }: PresentationParts,
): Promise<Presentation> {
  const { env, platform } = context.runtime;
  const { signal } = context;
  if (place.kind === 'viewer') {
    const { onDetail } = hooks;
    const detach = flags.detach === true;
    return viewerPresentation({
      plan: place.plan,
      look: lookOf(vm, flags),
      env,
      detach,
      guard,
      onDetail,
      signal,
    });
  }
  const [{ webPresentation }, { admitNow }, { openInBrowser }] = await Promise.all([
    import('../console/present/web.ts'),
    import('../console/present/page-link.ts'),
    import('../console/web/browser.ts'),
  ]);
  const onFolder = (folder: string): void => guard?.watchFolder(folder);
  return webPresentation({
    listen: place.listen,
    openInBrowser:
      flags.browser === false ? undefined : (url) => openInBrowser(url, { env, platform, onFolder }),
    admit: async (prepared) => await admitNow(context.cluster, prepared, request),
    onUrl: async (url, prepared) => {
      const result = { ...resultOf(prepared), url };
      await context.print<ConsoleResult>(result, { text: () => `${url}\n`, name: () => url });
    },
    hooks,
    signal,
  });
}

function shown(desktop: DesktopReport | undefined): Pick<ConsoleResult, 'desktop'> {
  if (desktop === undefined) return {};
  const { action, done, sentence } = desktop;
  return { desktop: { action, done, sentence } };
}

interface ChosenAction {
  action: DisconnectAction;
  /** What was wished by others than the flag, and will not be done. */
  refused?: DesktopReport;
}

/**
 * What the flag asks for must be possible; what others have set gives way. Errors: `forbidden`, `state` where a pool
 * decides who is logged in.
 */
async function chosenAction(
  context: Context,
  vm: Vm,
  request: ConsoleRequest,
  {
    flags,
    settings,
    hooks: { onWarning },
  }: Pick<OpenOptions, 'flags' | 'settings'> & { hooks: ConsoleHooks },
): Promise<ChosenAction> {
  const asked = flags['on-disconnect'];
  const { action, problem } = disconnectAction(asked, vm, settings.onDisconnect);
  if (problem !== undefined) onWarning(problem);
  if (action === 'lock') onWarning(NO_LOCK);
  if (flags.detach === true && action !== 'none') {
    onWarning(`with --detach nobody is there to ${action} when the session ends`);
    return { action: 'none' };
  }
  const refusal =
    disconnectRefusal(action, vm, request) ??
    (await disconnectDenial(context.cluster, action, vm, request.me));
  if (refusal === undefined) return { action };
  if (asked !== undefined) throw refusal;
  const sentence = `${refusal.message}: the desktop stays as it is when the session ends`;
  onWarning(sentence);
  return { action: 'none', refused: { action, done: false, sentence } };
}

function lookOf(vm: Vm, flags: ConsoleFlags): { title: string; fullScreen: boolean } {
  return { title: flags.title ?? vm.name, fullScreen: flags['full-screen'] === true };
}

function viewOf({ nameOf }: Context, sentence: string): TextView<ConsoleResult> {
  return { text: () => `${sanitize(sentence)}\n`, name: nameOf };
}

function resultOf({ vm, route: { via, endpoint }, password }: PreparedConsole): ConsoleResult {
  const stored = password.stored.kind === 'none' ? undefined : password.stored;
  return compact({
    name: vm.name,
    namespace: vm.namespace,
    host: endpoint.host.value,
    port: endpoint.port.value,
    proxy: endpoint.proxy && publicProxy(endpoint.proxy),
    via,
    protected: stored !== undefined,
    passwordExpiry: stored?.expiry.kind === 'at' ? stored.expiry.date : undefined,
    confirmed: stored?.kind === 'written' ? stored.confirmation.confirmed : undefined,
  });
}
