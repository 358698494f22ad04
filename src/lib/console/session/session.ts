import type { Cluster } from '../../cluster/types.ts';
import { VMS } from '../../vm/parse.ts';
import type { Vm } from '../../vm/types.ts';
import {
  nextDeadline,
  sessionStep,
  sessionUser,
  startSession,
  type SessionInput,
  type SessionOutcome,
  type SessionRules,
} from './session-state.ts';
import type { DisplayEvent } from './display-event.ts';
import type { RunningViewer } from '../viewer/launch.ts';

/** What shows a console: a viewer's process, or what stands for one. */
export type Shown = Pick<RunningViewer, 'ended' | 'output' | 'stop'>;

export interface SessionOptions extends SessionRules {
  cluster: Cluster;
  /** As read before the viewer is started. */
  vm: Vm;
  /** Starts the viewer and makes it report to `onEvent`. */
  launch: (onEvent: (event: DisplayEvent) => void) => Promise<Shown>;
  signal: AbortSignal;
  /** `connected`: the password was accepted; `channelsUp`: it is needed no more. Each at most once, in this order. */
  onProgress?: ((progress: 'connected' | 'channelsUp') => void) | undefined;
  /** Told of `SessionResult.connection` and `.user` once connected, and whenever the connection changes then. */
  onConnection?: ((connection: string | undefined, user: string | undefined) => void) | undefined;
}

export interface SessionResult {
  outcome: SessionOutcome;
  /** It was connected at some time. */
  connected: boolean;
  /** The console connection that its VM showed last (`connectionOf`); undefined: none. */
  connection: string | undefined;
  /** Whom its VM named as the console's user; somebody else's name is left over from an earlier session. */
  user: string | undefined;
  /** What the viewer wrote last, fit to be shown. */
  output: readonly string[];
}

/**
 * Starts a viewer and follows it and its VM until it is clear how the session ended. The viewer is gone then, except
 * with `until: 'connected'`, which leaves it alone. A VM that may not be watched is no error; less is known then of
 * why a connection ended. Rejects only when the viewer cannot be started.
 */
export async function superviseSession(options: SessionOptions): Promise<SessionResult> {
  const { cluster, vm, launch, signal, onProgress, onConnection, me, understood, until, hangAfterMs } =
    options;
  const { promise: ended, resolve } = Promise.withResolvers<SessionOutcome>();
  const watching = new AbortController();
  let state = startSession({ me, understood, until, hangAfterMs }, vm, performance.now());
  let timer: NodeJS.Timeout | undefined;
  const feed = (input: SessionInput): void => {
    const before = state;
    state = sessionStep(before, input, performance.now());
    if (state.connected && !before.connected) onProgress?.('connected');
    const known = before.connected && before.knownConnection === state.knownConnection;
    if (state.connected && !known) onConnection?.(state.knownConnection, sessionUser(state));
    if (state.channelsUp && !before.channelsUp) onProgress?.('channelsUp');
    if (state.outcome) resolve(state.outcome);
    clearTimeout(timer);
    const deadline = nextDeadline(state);
    // Rounded up: a timer that fires early would find nothing due.
    if (deadline !== undefined) {
      timer = setTimeout(
        () => feed({ type: 'tick' }),
        Math.ceil(Math.max(deadline - performance.now(), 0)) + 1,
      );
    }
  };
  const onAbort = (): void => feed({ type: 'interrupted' });
  signal.addEventListener('abort', onAbort, { once: true });
  const watched = watchVm(cluster, vm, watching.signal, (current) => feed({ type: 'vm', vm: current }));
  try {
    const running = await launch((event) => feed({ type: 'viewer', event }));
    void running.ended.then((end) => feed({ type: 'viewerEnded', end, lastLine: running.output().at(-1) }));
    feed({ type: signal.aborted ? 'interrupted' : 'tick' });
    const outcome = await ended;
    if (outcome.kind !== 'connected') await running.stop();
    const { connected, knownConnection: connection } = state;
    return { outcome, connected, connection, user: sessionUser(state), output: running.output() };
  } finally {
    // Where the viewer could not be started there is no outcome yet, and none may come.
    state = { ...state, outcome: state.outcome ?? { kind: 'interrupted' } };
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    watching.abort();
    await watched;
  }
}

/** Reports a VM's states; undefined when it is gone. Ends with the signal, or when the cluster refuses the watch. */
async function watchVm(
  cluster: Cluster,
  { namespace, name }: Vm,
  signal: AbortSignal,
  report: (vm: Vm | undefined) => void,
): Promise<void> {
  const fieldSelector = `metadata.name=${name}`;
  try {
    for await (const change of cluster.watch(VMS, { namespace, fieldSelector, signal })) {
      if (change.type === 'synced') report(change.items.find((vm) => vm.name === name));
      else if (change.item.name === name) report(change.type === 'deleted' ? undefined : change.item);
    }
  } catch {
    // Without the watch the viewer's own reports must do.
  }
}
