import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { messageOf } from '../errors.ts';
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
 * with the person and says on its own why it fails; elsewhere what it says on stderr is in the error. The abort ends it.
 * Errors: `PluginError`.
 */
export async function askPlugin(
  plugin: ExecPlugin,
  cluster: JsonObject | undefined,
  signal: AbortSignal,
): Promise<ExecCredential> {
  const { command, args, apiVersion, interactiveMode } = plugin;
  const interactive = interactiveMode !== 'Never' && process.stdin.isTTY;
  if (interactiveMode === 'Always' && !interactive)
    throw new PluginError(`${command} has to ask a person, and stdin is no terminal`);
  const seen = process.stderr.isTTY;
  const spec = { interactive, ...(cluster && plugin.provideClusterInfo ? { cluster } : {}) };
  const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
  const child = spawn(command, args, {
    env: { ...process.env, ...plugin.env, KUBERNETES_EXEC_INFO: info },
    stdio: [interactive ? 'inherit' : 'ignore', 'pipe', seen ? 'inherit' : 'pipe'],
    signal,
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, ending) => resolve(code === 0 ? '' : (ending ?? `exit code ${code}`)));
  });
  let answer: [problem: string, stdout: string, stderr: string];
  try {
    answer = await Promise.all([ended, textOf(child.stdout), textOf(child.stderr)]);
  } catch (error) {
    throw new PluginError(`${command} cannot be started: ${messageOf(error)}`, { cause: error });
  }
  const [problem, stdout, stderr] = answer;
  if (problem !== '') {
    const why = seen ? `${problem}, it says why above` : stderr.trim() || `${problem}, it does not say why`;
    throw new PluginError(`${command} failed: ${why}`);
  }
  if (!seen) process.stderr.write(stderr);
  return parseCredential(plugin, stdout);
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
