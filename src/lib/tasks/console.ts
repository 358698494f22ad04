import { vmArgument } from '../vm/write.ts';
import { readFile } from 'node:fs/promises';
import { messageOf, VmopError } from '../errors.ts';
import { compact } from '../cluster/parse.ts';
import type { Given } from '../console/address.ts';
import { connectionFile } from '../console/connection-file.ts';
import type { EndpointOverrides } from '../console/endpoint.ts';
import { openInViewer } from '../console/open.ts';
import { sessionError, sessionSentence } from '../console/open-report.ts';
import type { SessionOutcome } from '../console/session-state.ts';
import {
  burnPassword,
  prepareConsole,
  type ConsoleHooks,
  type ConsoleRequest,
  type PreparedConsole,
} from '../console/prepare.ts';
import { checkConnectionFile, writeConnectionFile } from '../console/private-file.ts';
import { detectViewer, type ViewerPlan } from '../console/viewer/detect.ts';
import { describePlatform } from '../console/viewer/platform.ts';
import { parseDuration } from '../output/duration.ts';
import { formatTime } from '../output/plain.ts';
import type { TextView } from '../output/render.ts';
import { sanitize } from '../text.ts';
import { permissionsOn } from '../vm/permissions.ts';
import type { Context } from '../cli/context.ts';
import { parseGuestUser } from './login.ts';
import { parseValidity } from './secret.ts';
import type { Settings } from '../cli/settings.ts';
import { resolveVm } from '../cli/targets.ts';
import { governingPool } from '../vm/inventory.ts';

export interface ConsoleFlags {
  file?: string | undefined;
  viewer?: string | undefined;
  'viewer-arg'?: string[] | undefined;
  detach?: boolean;
  take?: boolean;
  login?: string | undefined;
  host?: string | undefined;
  port?: number | undefined;
  proxy?: string | undefined;
  ca?: string | undefined;
  title?: string | undefined;
  'full-screen'?: boolean;
  validity?: string | undefined;
  timeout: string;
}

/** `vmop console`'s `--json` form. */
export interface ConsoleResult {
  name: string;
  namespace: string;
  host: string;
  port: number;
  proxy?: string;
  /** The display asks for a password. */
  protected: boolean;
  /** When the password ends that was handed over; absent: never, or there is none. */
  passwordExpiry?: Date;
  /** Whether the runner confirmed the password; absent: it was not changed. */
  confirmed?: boolean;
  /** `--file`. */
  file?: string;
  viewer?: string;
  /** How the session ended; `connected`: it goes on, detached. */
  outcome?: SessionOutcome['kind'];
  /** From the viewer's start to its end, or until it was left alone. */
  seconds?: number;
}

const PREFLIGHT_MS = 10_000;
const CONFIRM_MS = 10_000;
const DEFAULT_VALIDITY = 60;

/** Opens a VM's console, or writes its connection file. */
export async function runConsole(
  context: Context,
  name: string | undefined,
  flags: ConsoleFlags,
): Promise<void> {
  // Whatever can be wrong on this side is found before the cluster is asked.
  const loginUser = flags.login === undefined ? undefined : parseGuestUser(flags.login);
  const flagValidity = flags.validity === undefined ? undefined : parseValidity(flags.validity);
  const timeoutMs = parseDuration(flags.timeout);
  await checkOutput(context, flags);
  const settings = await context.settings;
  const plan = flags.file === undefined ? await findViewer(context, flags, settings) : undefined;
  const overrides = await endpointOverrides(flags, settings);
  const { cluster, terminal } = context;
  const progress = terminal.progress();
  const hooks: ConsoleHooks = {
    onStep: (text) => progress.step(text),
    onWarning: (text) => terminal.warn(text),
    onDetail: (text) => terminal.detail(text),
  };
  try {
    const vm = await resolveVm(context, name);
    const [subject, pool] = await Promise.all([
      context.subject(vm.namespace),
      governingPool(context.cluster, vm),
    ]);
    const request: ConsoleRequest = {
      me: subject.name,
      permissions: permissionsOn(vm, pool, subject),
      pool,
      take: flags.take === true,
      login: loginUser,
      loginMs: timeoutMs,
      overrides,
      hosts: settings.hosts ?? {},
      validitySeconds: flagValidity ?? settings.validitySeconds ?? DEFAULT_VALIDITY,
      confirmMs: Math.min(timeoutMs, CONFIRM_MS),
      preflightMs: PREFLIGHT_MS,
      signal: context.signal,
      afterwards: context.afterwards,
    };
    const prepared = await prepareConsole(cluster, vm, request, hooks);
    const look = { title: flags.title ?? vm.name, fullScreen: flags['full-screen'] === true };
    const basis = resultOf(prepared);
    if (plan === undefined) {
      const { password } = prepared;
      try {
        await writeFile(context, flags.file ?? '-', prepared, look, basis);
      } catch (error) {
        // A password that nobody received does not stay valid.
        if (password.kind === 'written') await burnPassword(vm, password.password, request, hooks);
        throw error;
      }
      return;
    }
    const { env } = context.runtime;
    const detach = flags.detach === true;
    const session = await openInViewer(cluster, prepared, { request, plan, look, env, detach }, hooks);
    progress.done();
    const error = sessionError(session, prepared, plan);
    if (error) throw error;
    const { outcome, seconds } = session;
    const result = { ...basis, viewer: plan.name, outcome: outcome.kind, seconds };
    await context.print<ConsoleResult>(result, viewOf(sessionSentence(session, prepared, plan)));
  } finally {
    progress.done();
  }
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

async function endpointOverrides(flags: ConsoleFlags, settings: Settings): Promise<EndpointOverrides> {
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

function resultOf({ vm, endpoint, password }: PreparedConsole): ConsoleResult {
  const stored = password.kind === 'none' ? undefined : password;
  return compact({
    name: vm.name,
    namespace: vm.namespace,
    host: endpoint.host.value,
    port: endpoint.port.value,
    proxy: endpoint.proxy?.value,
    protected: stored !== undefined,
    passwordExpiry: stored?.expiry.kind === 'at' ? stored.expiry.date : undefined,
    confirmed: stored?.kind === 'written' ? stored.confirmation.confirmed : undefined,
  });
}

async function writeFile(
  context: Context,
  file: string,
  { endpoint, password }: PreparedConsole,
  look: { title: string; fullScreen: boolean },
  basis: ConsoleResult,
): Promise<void> {
  const secret = password.kind === 'none' ? undefined : password.password;
  const text = connectionFile({ endpoint, password: secret, ...look, deleteThisFile: file !== '-' });
  if (file === '-') {
    await context.terminal.out(text);
    return;
  }
  await writeConnectionFile(file, text);
  const until =
    basis.passwordExpiry === undefined
      ? ''
      : `; its password is valid until ${formatTime(basis.passwordExpiry)}`;
  await context.print<ConsoleResult>({ ...basis, file }, viewOf(`${file} is written${until}`));
}
