import type { Cluster } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import type { Vm } from '../vm/types.ts';
import { connectionFile } from './connection-file.ts';
import { burnPassword, type ConsoleHooks, type ConsoleRequest, type PreparedConsole } from './prepare.ts';
import type { SessionOutcome, SessionRules } from './session-state.ts';
import { superviseSession } from './session.ts';
import type { ViewerPlan } from './viewer/detect.ts';
import { launchViewer } from './viewer/launch.ts';
import type { Environment } from './viewer/platform.ts';

export interface OpenOptions {
  request: ConsoleRequest;
  plan: ViewerPlan;
  look: { title: string; fullScreen: boolean };
  /** The viewer's environment. */
  env: Environment;
  /** Leave the viewer alone once it is connected. */
  detach: boolean;
}

/** A session that ended as it should. */
export interface ConsoleEnd {
  how: 'windowClosed';
  sentence: string;
  /** From the viewer's start. */
  seconds: number;
}

/** After this long without an answer or a picture a viewer is taken to hang: remote-viewer itself waits for ever. */
const HANG_MS = 30_000;

/**
 * Shows a prepared console in a viewer and stays until the session ends; the password that was made for it is ended as
 * soon as it is needed no more. Resolves to undefined when the viewer goes on without us. Errors: `console` when the
 * viewer or the connection fails, `conflict` when somebody takes the console, `state` when the VM stops; the
 * signal's reason.
 */
export async function openInViewer(
  cluster: Cluster,
  prepared: PreparedConsole,
  { request, plan, look, env, detach }: OpenOptions,
  hooks: ConsoleHooks,
): Promise<ConsoleEnd | undefined> {
  const { vm, endpoint, password } = prepared;
  const { signal, me, pool } = request;
  const secret = password.kind === 'none' ? undefined : password.password;
  const text = connectionFile({ endpoint, password: secret, ...look, deleteThisFile: plan.input === 'file' });
  let burning: Promise<unknown> | undefined;
  const burn = (): void => {
    // Only what was made for this session: a password that was there before may be somebody's.
    if (password.kind === 'written') burning ??= burnPassword(cluster, vm, pool, hooks);
  };
  const rules: SessionRules = {
    me,
    understood: plan.output === 'remote-viewer' && !detach,
    until: detach ? 'connected' : 'ended',
    hangAfterMs: HANG_MS,
  };
  const began = performance.now();
  hooks.onStep(`starting ${plan.name}`);
  try {
    const { outcome, connected, output } = await superviseSession({
      ...rules,
      cluster,
      vm,
      signal,
      launch: (onEvent) => launchViewer(plan, text, { signal, detach, onEvent, env }),
      onProgress: (progress) => {
        if (progress === 'connected')
          hooks.onStep(`connected to ${vm.name}; close the viewer’s window to end`);
        else burn();
      },
    });
    signal.throwIfAborted();
    if (outcome.kind === 'connected') return undefined;
    for (const line of output) hooks.onDetail(`${plan.name}: ${line}`);
    const seconds = Math.round((performance.now() - began) / 100) / 10;
    if (outcome.kind === 'windowClosed') {
      const sentence = connected
        ? `the viewer was closed after ${seconds} s`
        : 'the viewer was closed before it had connected';
      return { how: 'windowClosed', sentence, seconds };
    }
    throw outcomeError(outcome, { vm, prepared, plan, connected });
  } finally {
    // Detached, the viewer may still open channels with the password: it ends by its validity.
    if (!detach || signal.aborted) burn();
    await burning;
  }
}

interface Circumstances {
  vm: Vm;
  prepared: PreparedConsole;
  plan: ViewerPlan;
  connected: boolean;
}

/** What a person is told of a session that did not end as it should. */
export function outcomeError(outcome: SessionOutcome, circumstances: Circumstances): VmopError {
  const { vm, prepared, plan, connected } = circumstances;
  const { host, port } = prepared.endpoint;
  const where = `${host.value}:${port.value}`;
  const again = `vmop console ${vm.name} opens it again`;
  const error = (code: 'console' | 'conflict' | 'state', message: string, hint?: string): VmopError =>
    new VmopError(code, message, { hint, vm: vm.name });
  switch (outcome.kind) {
    case 'passwordRefused':
      return error('console', `the display of ${vm.name} refused the password`, refusedHint(prepared));
    case 'unreachable':
      return error('console', `the viewer does not reach ${vm.name} at ${where}: ${outcome.reason}`);
    case 'takenOver': {
      const { by = 'somebody', from } = outcome;
      const origin = from === undefined ? '' : ` from ${from}`;
      return error(
        'conflict',
        `${by} has taken the console of ${vm.name}${origin}`,
        `vmop console ${vm.name} --take takes it back`,
      );
    }
    case 'vmStopped':
      return error('state', `${vm.name} has stopped, and its console with it`, `vmop start ${vm.name}`);
    case 'connectionLost':
      return error('console', `the connection to ${vm.name} at ${where} was lost`, again);
    case 'viewerHung':
      return outcome.stage === 'link'
        ? error(
            'console',
            `${plan.name} has not connected to ${where} within ${HANG_MS / 1000} s`,
            `${again}; -v shows what the viewer said`,
          )
        : error(
            'console',
            `${plan.name} is connected to ${vm.name}, but no picture came`,
            'the password may have run out meanwhile: try --validity 120s',
          );
    case 'viewerFailed':
      return error('console', `${plan.name} failed: ${outcome.reason}`, connected ? again : undefined);
    default:
      return error('console', `the console of ${vm.name} ended`, again);
  }
}

function refusedHint({ password }: PreparedConsole): string {
  if (password.kind === 'none')
    return 'vmop knows of no password for it: its Secret is missing, or the display is protected by another';
  if (password.kind === 'kept')
    return 'the password in the Secret is not the one that QEMU has: vmop secret rotate sets a new one';
  return password.confirmation.confirmed
    ? 'it may have run out before the viewer connected: try --validity 120s'
    : `the runner had not confirmed it: ${password.confirmation.reason}`;
}
