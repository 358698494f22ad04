import { readFile } from 'node:fs/promises';
import { messageOf, VmopError } from '../errors.ts';
import { compact } from '../cluster/parse.ts';
import type { Given } from '../console/address.ts';
import { checkDisconnectAction, dealWithDesktop } from '../console/after-session.ts';
import { connectionFile } from '../console/connection-file.ts';
import { disconnectAction, isDisconnectAction, type DisconnectAction } from '../console/disconnect.ts';
import type { EndpointOverrides } from '../console/endpoint.ts';
import { startGuard, type SessionGuard } from '../console/guard.ts';
import { sessionError, sessionSentence } from '../console/open-report.ts';
import { prepareConsole, type PreparedConsole } from '../console/prepare.ts';
import { viewerPresentation } from '../console/present/viewer.ts';
import { checkConnectionFile, writeConnectionFile } from '../console/private-file.ts';
import type { ConsoleHooks, ConsoleRequest } from '../console/request.ts';
import type { TunnelChoice } from '../console/route.ts';
import { connectionOf, type SessionOutcome } from '../console/session-state.ts';
import { runSessions } from '../console/sessions.ts';
import type { Presentation } from '../console/show.ts';
import { detectViewer, needsBridge, type ViewerPlan } from '../console/viewer/detect.ts';
import { describePlatform } from '../console/viewer/platform.ts';
import { parseDuration } from '../output/duration.ts';
import { formatTime } from '../output/plain.ts';
import type { TextView } from '../output/render.ts';
import { sanitize } from '../text.ts';
import { permissionsOn } from '../vm/permissions.ts';
import { explainRefusal } from '../vm/refusal.ts';
import type { Vm } from '../vm/types.ts';
import { vmArgument } from '../vm/write.ts';
import type { Context } from '../cli/context.ts';
import { parseGuestUser } from './login.ts';
import { parseValidity } from './secret.ts';
import type { Settings } from '../cli/settings.ts';
import { resolveVm, type TargetFlags } from '../cli/targets.ts';
import { governingPool } from '../vm/inventory.ts';
import { StepClock } from './console-clock.ts';

export interface ConsoleFlags extends TargetFlags {
  file?: string | undefined;
  viewer?: string | undefined;
  'viewer-arg'?: string[] | undefined;
  detach?: boolean;
  take?: boolean;
  login?: string | undefined;
  'login-first'?: boolean;
  host?: string | undefined;
  port?: number | undefined;
  proxy?: string | undefined;
  ca?: string | undefined;
  tunnel?: TunnelChoice | undefined;
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
  /** Hidden: only what is left to do after a session whose vmop was killed. */
  'after-session'?: string | undefined;
}

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
}

const CONFIRM_MS = 10_000;
const DEFAULT_VALIDITY = 60;

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
  const after = flags['after-session'];
  if (after !== undefined) return finishKilledSession(context, after);
  // Whatever can be wrong on this side is found before the cluster is asked.
  const command = await readCommand(context, flags);
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
    try {
      if (flags.file !== undefined) await writeConsoleFile(context, vm, request, flags.file, flags, hooks);
      else await openConsole(context, vm, request, flags, command, hooks);
    } catch (error) {
      const permissions = [flags.take === true ? ('takeConsole' as const) : ('accessConsole' as const)];
      throw explainRefusal(error, { vm, pool, user: subject.name, permissions });
    }
  } finally {
    progress.done();
    for (const line of clock.lines()) terminal.detail(line);
  }
}

interface ConsoleCommand {
  request: Omit<ConsoleRequest, 'me' | 'permissions' | 'pool'>;
  settings: Settings;
  /** Absent: `--file` or `--web`. */
  plan: ViewerPlan | undefined;
}

/** Everything that flags and configuration say, checked. Errors: `usage`, `console` without a viewer. */
async function readCommand(context: Context, flags: ConsoleFlags): Promise<ConsoleCommand> {
  const login = flags.login === undefined ? undefined : parseGuestUser(flags.login);
  const validity = flags.validity === undefined ? undefined : parseValidity(flags.validity);
  const timeoutMs = parseDuration(flags.timeout);
  await checkOutput(context, flags);
  const settings = await context.settings;
  // Whoever names the way wants that one.
  const named = flags.host !== undefined || flags.proxy !== undefined;
  const tunnel = flags.tunnel ?? (named ? 'never' : (settings.tunnel ?? 'auto'));
  const shown = flags.file === undefined && flags.web !== true;
  const plan = shown ? await findViewer(context, flags, settings) : undefined;
  checkCombination(flags, tunnel, plan);
  // What works without vmop cannot lead through it.
  const alone = flags.file !== undefined || flags.detach === true;
  const request = {
    take: flags.take === true,
    login: login === undefined ? undefined : { user: login, first: flags['login-first'] === true },
    loginMs: timeoutMs,
    overrides: await endpointOverrides(flags, settings),
    hosts: settings.hosts ?? {},
    tunnel: alone ? ('never' as const) : tunnel,
    validitySeconds: validity ?? settings.validitySeconds ?? DEFAULT_VALIDITY,
    confirmMs: Math.min(timeoutMs, CONFIRM_MS),
    signal: context.signal,
    afterwards: context.afterwards,
  };
  return { request, settings, plan };
}

/** Flags that oclif's own rules do not keep apart. Error: `usage`. */
function checkCombination(flags: ConsoleFlags, tunnel: TunnelChoice, plan: ViewerPlan | undefined): void {
  const { file, detach, login } = flags;
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
  if (detach === true && plan && needsBridge(plan)) {
    refuse(`${plan.name} is only ever given a ticket of vmop's, which ends with it`, 'leave out --detach');
  }
  if (tunnel === 'always' && (flags.host !== undefined || flags.proxy !== undefined)) {
    refuse('--host and --proxy are ways of their own, and --tunnel always is another', 'choose one');
  }
}

async function writeConsoleFile(
  context: Context,
  vm: Vm,
  request: ConsoleRequest,
  file: string,
  flags: ConsoleFlags,
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
    // A password that nobody received does not stay valid.
    await password.end();
    throw error;
  }
  const result = { ...resultOf(prepared), file };
  const until =
    result.passwordExpiry === undefined
      ? ''
      : `; its password is valid until ${formatTime(result.passwordExpiry)}`;
  await context.print<ConsoleResult>(result, viewOf(`${file} is written${until}`));
}

async function openConsole(
  context: Context,
  vm: Vm,
  request: ConsoleRequest,
  flags: ConsoleFlags,
  { settings, plan }: ConsoleCommand,
  hooks: ConsoleHooks,
): Promise<void> {
  const detach = flags.detach === true;
  const onDisconnect = chosenAction(vm, request, flags, settings, hooks);
  const guard = detach ? undefined : startGuard(afterKill(context, vm, onDisconnect));
  try {
    const shown: { prepared?: PreparedConsole } = {};
    const presentation = await presentationOf(context, vm, { flags, plan, guard, hooks }, shown);
    const options = {
      request,
      presentation,
      detach,
      reconnect: flags.reconnect === true,
      onDisconnect,
      onConnected: () => guard?.connected(),
      onPrepared: (prepared: PreparedConsole) => (shown.prepared = prepared),
    };
    const { prepared, session } = await runSessions(context.cluster, vm, options, hooks);
    const error = sessionError(session, prepared, presentation);
    if (error) throw error;
    const sentence = sessionSentence(session, prepared, presentation);
    if (plan === undefined) {
      // The link was the result.
      context.terminal.info(sentence);
      return;
    }
    const { outcome, seconds } = session;
    const result = { ...resultOf(prepared), viewer: plan.name, outcome: outcome.kind, seconds };
    await context.print<ConsoleResult>(result, viewOf(sentence));
  } finally {
    guard?.dismiss();
  }
}

interface PresentationParts {
  flags: ConsoleFlags;
  /** Absent: `--web`. */
  plan: ViewerPlan | undefined;
  guard: SessionGuard | undefined;
  hooks: ConsoleHooks;
}

async function presentationOf(
  context: Context,
  vm: Vm,
  { flags, plan, guard, hooks }: PresentationParts,
  shown: { prepared?: PreparedConsole },
): Promise<Presentation> {
  const { env, platform } = context.runtime;
  const { signal } = context;
  if (plan !== undefined) {
    const { onDetail } = hooks;
    const detach = flags.detach === true;
    return viewerPresentation({ plan, look: lookOf(vm, flags), env, detach, guard, onDetail, signal });
  }
  const [{ webPresentation }, { checkListen }, { openInBrowser }] = await Promise.all([
    import('../console/present/web.ts'),
    import('../console/web/listen.ts'),
    import('../console/web/browser.ts'),
  ]);
  const listen = checkListen({
    address: flags.listen,
    certFile: flags['listen-cert'],
    keyFile: flags['listen-key'],
    name: flags['listen-name'],
    forOthers: flags['listen-for-others'],
  });
  return webPresentation({
    listen,
    openInBrowser: flags.browser === false ? undefined : (url) => openInBrowser(url, { env, platform }),
    onUrl: async (url) => {
      if (shown.prepared === undefined) return;
      const result = { ...resultOf(shown.prepared), url };
      await context.print<ConsoleResult>(result, { text: () => `${url}\n`, name: vmArgument });
    },
    hooks,
    signal,
  });
}

function chosenAction(
  vm: Vm,
  request: ConsoleRequest,
  flags: ConsoleFlags,
  settings: Settings,
  { onWarning }: ConsoleHooks,
): DisconnectAction {
  const chosen = disconnectAction(flags['on-disconnect'], vm, settings.onDisconnect);
  if (chosen.problem !== undefined) onWarning(chosen.problem);
  if (flags.detach === true && chosen.action !== 'none') {
    onWarning(`with --detach nobody is there to ${chosen.action} when the session ends`);
    return 'none';
  }
  const { warning } = checkDisconnectAction(chosen.action, vm, request.pool, request);
  if (warning !== undefined) onWarning(warning);
  return chosen.action;
}

/** What is run when vmop itself is killed in the middle of a session: the same command line, for what is left of it. */
function afterKill({ runtime: { again } }: Context, vm: Vm, action: DisconnectAction): string[] {
  if (again === undefined || action === 'none' || action === 'lock') return [];
  return [...again, '--after-session', `${action} ${vm.namespace}/${vm.name}`];
}

/** `after`: what `afterKill` wrote. */
async function finishKilledSession(context: Context, after: string): Promise<void> {
  const [action, name] = after.split(' ');
  if (!isDisconnectAction(action)) throw new VmopError('usage', '--after-session is for vmop itself');
  const { cluster } = context;
  const vm = await resolveVm(context, name);
  const pool = await governingPool(cluster, vm);
  const ended = { outcome: 'interrupted' as const, connection: connectionOf(vm) };
  const report = await dealWithDesktop(cluster, vm, pool, action, ended);
  if (report) context.terminal.info(report.sentence);
}

function lookOf(vm: Vm, flags: ConsoleFlags): { title: string; fullScreen: boolean } {
  return { title: flags.title ?? vm.name, fullScreen: flags['full-screen'] === true };
}

function viewOf(sentence: string): TextView<ConsoleResult> {
  return { text: () => `${sanitize(sentence)}\n`, name: vmArgument };
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
  const command = flags.viewer ?? settings.viewer;
  const args = flags['viewer-arg'] ?? settings.viewerArgs ?? [];
  const found = detectViewer(await describePlatform(env, command, platform), { command, args });
  if ('problem' in found) throw found.problem;
  return found.plan;
}

/** Where the display is, as far as flags and configuration say. Errors: `usage`. */
export async function endpointOverrides(
  flags: Pick<ConsoleFlags, 'host' | 'port' | 'proxy' | 'ca'>,
  settings: Settings,
): Promise<EndpointOverrides> {
  const from = (flag: string, value: string | undefined, setting?: string): Given | undefined => {
    if (value !== undefined) return { value, source: `--${flag}` };
    return setting === undefined ? undefined : { value: setting, source: `${flag} in config.yaml` };
  };
  const caFile = from('ca', flags.ca, settings.ca);
  return {
    host: from('host', flags.host),
    port: flags.port === undefined ? undefined : { value: flags.port, source: '--port' },
    proxy: from('proxy', flags.proxy, settings.proxy),
    ca: caFile && { value: await readPem(caFile), source: caFile.source },
  };
}

async function readPem({ value, source }: Given): Promise<string> {
  try {
    return await readFile(value, 'utf8');
  } catch (error) {
    throw new VmopError('usage', `${source}: ${messageOf(error)}`, {
      hint: 'it must be a PEM file',
      cause: error,
    });
  }
}

function resultOf({ vm, route: { via, endpoint }, password }: PreparedConsole): ConsoleResult {
  const stored = password.stored.kind === 'none' ? undefined : password.stored;
  return compact({
    name: vm.name,
    namespace: vm.namespace,
    host: endpoint.host.value,
    port: endpoint.port.value,
    proxy: endpoint.proxy?.value,
    via,
    protected: stored !== undefined,
    passwordExpiry: stored?.expiry.kind === 'at' ? stored.expiry.date : undefined,
    confirmed: stored?.kind === 'written' ? stored.confirmation.confirmed : undefined,
  });
}
