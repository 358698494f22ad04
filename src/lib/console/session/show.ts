import type { Cluster } from '../../cluster/types.ts';
import { messageOf, VmopError } from '../../errors.ts';
import { vmArgument } from '../../vm/write.ts';
import { logInOnGuest, type PreparedConsole } from '../prepare.ts';
import type { ConsoleHooks, ConsoleRequest } from '../request.ts';
import { superviseSession, type SessionResult, type Shown } from './session.ts';
import type { DisplayEvent } from './display-event.ts';

/** How a console is shown: in a viewer, or on a page. */
export interface Presentation {
  /** For messages: `remote-viewer`, `the browser`. */
  name: string;
  /** Whether it, or the bridge that it goes through, reports what happens. */
  understood(prepared: PreparedConsole): boolean;
  /** After this long without an answer or a picture it is taken to hang. */
  hangAfterMs: number;
  /** Once, before anything is changed for the console: finds out what would keep it from being shown. */
  open?(): Promise<void>;
  /** Shows it; whatever was opened for it is gone once `ended` has resolved. */
  start(prepared: PreparedConsole, onEvent: (event: DisplayEvent) => void): Promise<Shown>;
  /** Between two sessions, when a dropped one will be opened again. */
  pause?(why: string): void;
  /** After the last session; `why` it is over, undefined when the person ended it. */
  close?(why: VmopError | undefined): Promise<void>;
}

export interface ShowOptions {
  request: ConsoleRequest;
  /** Leave the viewer alone once it is connected. */
  detach: boolean;
  /** Told of the console connection that is the session's, as the VM shows it, whenever that changes. */
  onConnection?: ((connection: string | undefined, user: string | undefined) => void) | undefined;
}

/** A console session that was followed to its end, or until it was left alone. */
export interface ConsoleSession extends SessionResult {
  /** From the viewer's start. */
  seconds: number;
  /** Why the log-in that was to follow the connection did not come about. */
  loginFailure?: VmopError;
}

/**
 * Shows a prepared console and stays until the session ends, or with `detach` until it is connected. The log-in that
 * was asked for is requested once the console is connected; the password that was made for it is ended as soon as it
 * is needed no more. Resolves however the session went, also when the signal ended it (`sessionError` words it); rejects
 * when it cannot be shown.
 */
export async function showConsole(
  cluster: Cluster,
  prepared: PreparedConsole,
  presentation: Presentation,
  { request, detach, onConnection }: ShowOptions,
  hooks: ConsoleHooks,
): Promise<ConsoleSession> {
  const { vm, password, admission } = prepared;
  const { signal, me, login } = request;
  const follow = login?.first === false ? login.user : undefined;
  const over = new AbortController();
  let loginFailure: VmopError | undefined;
  let loggingIn: Promise<void> | undefined;
  const logIn = async (user: string): Promise<void> => {
    try {
      await logInOnGuest(
        cluster,
        vm,
        user,
        { ...request, signal: AbortSignal.any([signal, over.signal]) },
        hooks,
      );
      hooks.onStep(`${user} is logged in on ${vm.name}; close ${presentation.name} to end`);
    } catch (error) {
      if (signal.aborted || over.signal.aborted) {
        // Nobody waits for it any more.
        hooks.onWarning(
          `the session ended before ${user} was logged in on ${vm.name}, and the wish stays: vmop logout ${vmArgument(vm)} takes it back`,
        );
        return;
      }
      loginFailure = error instanceof VmopError ? error : new VmopError('failed', messageOf(error));
      hooks.onWarning(loginFailure.message);
    }
  };
  // A write to the Secret makes the runner repeat its wish to the guest: not while a log-in is under way.
  const endPassword = async (): Promise<void> => {
    await loggingIn;
    await password.end();
  };
  const began = performance.now();
  hooks.onStep(`starting ${presentation.name}`);
  let left = false;
  try {
    const result = await superviseSession({
      me,
      understood: presentation.understood(prepared) && !detach,
      until: detach ? 'connected' : 'ended',
      hangAfterMs: presentation.hangAfterMs,
      cluster,
      vm,
      signal,
      launch: async (onEvent) => {
        await admission.check();
        return presentation.start(prepared, onEvent);
      },
      onConnection: (connection, user) => {
        admission.isOwn(connection);
        onConnection?.(connection, user);
      },
      onProgress: (progress): void => {
        if (progress === 'channelsUp') {
          void endPassword();
          return;
        }
        hooks.onStep(`connected to ${vm.name}; close ${presentation.name} to end`);
        hooks.onConnected?.();
        if (follow !== undefined) loggingIn = logIn(follow);
      },
    });
    left = result.outcome.kind === 'connected';
    if (left) await loggingIn;
    for (const line of result.output) hooks.onDetail(`${presentation.name}: ${line}`);
    const seconds = Math.round((performance.now() - began) / 100) / 10;
    return { ...result, seconds, ...(loginFailure && { loginFailure }) };
  } finally {
    over.abort();
    // Left alone, the viewer may still open channels with the password: it ends by its validity.
    if (!left) await endPassword();
  }
}
