import type { Cluster } from '../cluster/types.ts';
import { connectionFile } from './connection-file.ts';
import { burnPassword, type ConsoleHooks, type ConsoleRequest, type PreparedConsole } from './prepare.ts';
import type { SessionRules } from './session-state.ts';
import { superviseSession, type SessionResult } from './session.ts';
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

/** A console session that was followed to its end, or until it was left alone. */
export interface ConsoleSession extends SessionResult {
  /** From the viewer's start. */
  seconds: number;
}

/** After this long without an answer or a picture a viewer is taken to hang: remote-viewer itself waits for ever. */
export const HANG_MS = 30_000;

/**
 * Shows a prepared console in a viewer and stays until the session ends, or with `detach` until it is connected. The
 * password that was made for it is ended as soon as it is needed no more. Resolves however the session went
 * (`sessionError` words it); rejects when the viewer cannot be started, and with the signal's reason.
 */
export async function openInViewer(
  cluster: Cluster,
  prepared: PreparedConsole,
  { request, plan, look, env, detach }: OpenOptions,
  hooks: ConsoleHooks,
): Promise<ConsoleSession> {
  const { vm, endpoint, password } = prepared;
  const { signal, me } = request;
  let burning: Promise<void> | undefined;
  const burn = (): void => {
    // Only what was made for this session: a password that was there before may be somebody's.
    if (password.kind === 'written') burning ??= burnPassword(vm, password.password, request, hooks);
  };
  const rules: SessionRules = {
    me,
    understood: plan.output === 'remote-viewer' && !detach,
    until: detach ? 'connected' : 'ended',
    hangAfterMs: HANG_MS,
  };
  const began = performance.now();
  hooks.onStep(`starting ${plan.name}`);
  let left = false;
  try {
    const secret = password.kind === 'none' ? undefined : password.password;
    const deleteThisFile = plan.input === 'file';
    const text = connectionFile({ endpoint, password: secret, ...look, deleteThisFile });
    const result = await superviseSession({
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
    left = result.outcome.kind === 'connected';
    for (const line of result.output) hooks.onDetail(`${plan.name}: ${line}`);
    return { ...result, seconds: Math.round((performance.now() - began) / 100) / 10 };
  } finally {
    // Left alone, the viewer may still open channels with the password: it ends by its validity.
    if (!left) burn();
    await burning;
  }
}
