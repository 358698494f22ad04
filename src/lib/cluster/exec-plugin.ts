import { spawn, type SpawnOptions } from 'node:child_process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { messageOf } from '../errors.ts';
import { TimeIsUp, within } from '../within.ts';
import { asArray, asDate, asObject, asString, parseJson } from './parse.ts';
import type { JsonObject } from './types.ts';

/** `exec` of a kubeconfig's user. */
export interface ExecPlugin {
  apiVersion: string;
  command: string;
  args: string[];
  env: Record<string, string>;
  interactiveMode: 'Never' | 'IfAvailable' | 'Always';
  /** The plug-in wants to know for which cluster it is asked. */
  provideClusterInfo: boolean;
}

/** What a plug-in gave. */
export interface ExecCredential {
  token?: string | undefined;
  certificate?: { cert: string; key: string } | undefined;
  /** Until then nobody asks it again; undefined: until the server refuses them. */
  expires?: Date | undefined;
}

/** Where plug-ins meet a person. */
export interface PluginTerminal {
  /** A plug-in uses those that are terminals as its own. `stdin` is not looked at before there is a plug-in. */
  readonly streams: {
    readonly stdin: { isTTY?: boolean };
    readonly stderr: NodeJS.WritableStream & { isTTY?: boolean };
  };
  /** Leaves the terminal to `use` until it has settled: nothing moves there meanwhile. */
  lend<T>(use: () => Promise<T>): Promise<T>;
  /** Says what is waited for. */
  say(text: string): void;
}

/** What plug-ins are run with. */
export interface PluginSurroundings {
  env: Record<string, string | undefined>;
  /** Absent: there is nobody, and what they say beside their answer is told in errors only. */
  terminal?: PluginTerminal | undefined;
  /** Ends them. */
  signal: AbortSignal;
}

/** From when on a person is told what is waited for. */
const SILENT_MS = 2000;
/** For a plug-in that meets nobody: there is nothing that it could wait for so long. */
const ALONE_MS = 60_000;

/** Why a plug-in gave nothing. `message` begins with its command. */
export class PluginError extends Error {}

/** Throws `PluginError` for what is no plug-in. */
export function parseExec(exec: unknown): ExecPlugin {
  const value = asObject(exec);
  const command = asString(value['command']);
  if (!command) throw new PluginError('the kubeconfig names no command for the plug-in');
  const mode = value['interactiveMode'];
  const variables = asArray(value['env']).map(asObject);
  return {
    apiVersion: asString(value['apiVersion']) ?? '',
    command,
    args: asArray(value['args']).flatMap((arg) => asString(arg) ?? []),
    env: Object.fromEntries(
      variables.map((each) => [asString(each['name']) ?? '', asString(each['value']) ?? '']),
    ),
    interactiveMode: mode === 'Never' || mode === 'Always' ? mode : 'IfAvailable',
    provideClusterInfo: value['provideClusterInfo'] === true,
  };
}

/**
 * Asks a plug-in for credentials; `cluster` is what one with `provideClusterInfo` is told. At a terminal it may talk
 * with the person and says on its own why it fails; elsewhere what it says on stderr is in the error, and the person is
 * told when it takes its time. One that is never to ask anybody has a minute.
 * Errors: `PluginError`.
 */
export async function askPlugin(
  plugin: ExecPlugin,
  cluster: JsonObject | undefined,
  { env, terminal, signal }: PluginSurroundings,
): Promise<ExecCredential> {
  const { command, args, apiVersion, interactiveMode } = plugin;
  const stdin = interactiveMode === 'Never' ? undefined : terminalFile(terminal?.streams.stdin);
  const interactive = stdin !== undefined;
  if (interactiveMode === 'Always' && !interactive)
    throw new PluginError(`${command} has to ask a person, and stdin is no terminal`);
  const stderr = terminalFile(terminal?.streams.stderr);
  const spec = { interactive, ...(cluster && plugin.provideClusterInfo ? { cluster } : {}) };
  const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
  const options: SpawnOptions = {
    env: { ...env, ...plugin.env, KUBERNETES_EXEC_INFO: info },
    stdio: [stdin ?? 'ignore', 'pipe', stderr ?? 'pipe'],
  };
  const run = () =>
    answered(plugin, signal, (until) => runPlugin(command, args, { ...options, signal: until }));
  const told = interactive ? undefined : setTimeout(() => terminal?.say(`waiting for ${command}`), SILENT_MS);
  const seen = stderr !== undefined;
  const { problem, printed, said } = await (
    terminal && (interactive || seen) ? terminal.lend(run) : run()
  ).finally(() => clearTimeout(told));
  if (problem !== '') {
    const why = seen ? `${problem}, it says why above` : said.trim() || `${problem}, it does not say why`;
    throw new PluginError(`${command} failed: ${why}`);
  }
  if (said !== '') terminal?.streams.stderr.write(said);
  return parseCredential(plugin, printed);
}

/** As long as it may take. Errors: `PluginError`, those of `run`. */
async function answered(
  { command, interactiveMode }: ExecPlugin,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<PluginRun>,
): Promise<PluginRun> {
  if (interactiveMode !== 'Never') return await run(signal);
  try {
    return await within(ALONE_MS, signal, run);
  } catch (error) {
    if (!(error instanceof TimeIsUp)) throw error;
    throw new PluginError(`${command} has not answered within ${ALONE_MS / 1000} s`, { cause: error });
  }
}

/** What a child takes as its own stream. */
function terminalFile(stream: object | undefined): number | undefined {
  const { isTTY, fd }: { isTTY?: unknown; fd?: unknown } = stream ?? {};
  return isTTY === true && typeof fd === 'number' ? fd : undefined;
}

interface PluginRun {
  /** Why it is no success. */
  problem: string;
  printed: string;
  /** On stderr, where that is no terminal. */
  said: string;
}

async function runPlugin(command: string, args: string[], options: SpawnOptions): Promise<PluginRun> {
  const child = spawn(command, args, options);
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, ending) => resolve(code === 0 ? '' : (ending ?? `exit code ${code}`)));
  });
  try {
    const [problem, printed, said] = await Promise.all([ended, textOf(child.stdout), textOf(child.stderr)]);
    return { problem, printed, said };
  } catch (error) {
    // What it started itself may hold them open.
    child.stdout?.destroy();
    child.stderr?.destroy();
    throw new PluginError(`${command} cannot be started: ${messageOf(error)}`, { cause: error });
  }
}

function textOf(stream: Readable | null): Promise<string> {
  return stream ? text(stream) : Promise.resolve('');
}

function parseCredential({ command, apiVersion }: ExecPlugin, printed: string): ExecCredential {
  const credential = asObject(parseJson(printed));
  const version = asString(credential['apiVersion']) ?? apiVersion;
  if (version !== apiVersion)
    throw new PluginError(
      `${command} answers in ${version}; the kubeconfig has ${apiVersion || 'no version'}`,
    );
  const status = asObject(credential['status']);
  const token = asString(status['token']) || undefined;
  const cert = asString(status['clientCertificateData']) || undefined;
  const key = asString(status['clientKeyData']) || undefined;
  if ((cert === undefined) !== (key === undefined))
    throw new PluginError(`${command} printed a client certificate without its key, or a key alone`);
  const certificate = cert !== undefined && key !== undefined ? { cert, key } : undefined;
  if (!token && !certificate) throw new PluginError(`${command} printed no credentials`);
  return { token, certificate, expires: asDate(status['expirationTimestamp']) };
}
