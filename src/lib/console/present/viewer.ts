import { startBridge } from '../bridge/index.ts';
import { listenForViewer, type ViewerListener } from '../bridge/listener.ts';
import { connectionFile } from '../connection-file.ts';
import type { KillGuard } from '../../kill-guard.ts';
import type { PreparedConsole } from '../prepare.ts';
import type { Shown } from '../session/session.ts';
import type { Presentation } from '../session/show.ts';
import type { DisplayEvent } from '../session/display-event.ts';
import { fillPlaces, needsBridge, reachesSockets, type ViewerPlan } from '../viewer/detect.ts';
import { launchViewer } from '../viewer/launch.ts';
import type { Environment } from '../viewer/platform.ts';
import { eventOfBridge } from './bridge-events.ts';

export interface ViewerPresentationOptions {
  plan: ViewerPlan;
  look: { title: string; fullScreen: boolean };
  /** The viewer's environment. */
  env: Environment;
  /** The viewer outlives vmop. Not through a bridge, which does not. */
  detach: boolean;
  /** None for a viewer that is left alone. */
  guard: KillGuard | undefined;
  onDetail: (text: string) => void;
  signal: AbortSignal;
}

/** After this long without an answer or a picture a viewer is taken to hang: remote-viewer itself waits for ever. */
const HANG_MS = 30_000;

/** What only the viewer itself knows; of the connection its bridge knows more. */
const OF_THE_VIEWER: ReadonlySet<DisplayEvent['type']> = new Set([
  'windowClosing',
  'unsupported',
  'fileRejected',
  'noDesktop',
  'linking',
]);

/** Shows a console in a program of this machine. */
export function viewerPresentation(options: ViewerPresentationOptions): Presentation {
  const { plan, detach } = options;
  return {
    name: plan.name,
    understood: (prepared) => !detach && (isBridged(prepared, options) || plan.output === 'remote-viewer'),
    hangAfterMs: HANG_MS,
    start: (prepared, onEvent) =>
      isBridged(prepared, options)
        ? throughBridge(prepared, options, onEvent)
        : straight(prepared, options, onEvent),
  };
}

/** Only a viewer that reads the password on its standard input gets it, and only on the direct way. */
function isBridged({ route }: PreparedConsole, { plan }: Pick<ViewerPresentationOptions, 'plan'>): boolean {
  return route.via === 'tunnel' || needsBridge(plan);
}

async function straight(
  { route, password }: PreparedConsole,
  options: ViewerPresentationOptions,
  onEvent: (event: DisplayEvent) => void,
): Promise<Shown> {
  return launched({ endpoint: route.endpoint, password: password.text }, options.plan, options, onEvent);
}

/** The viewer gets a ticket for a door of ours instead of the password. */
async function throughBridge(
  { route, password, admission }: PreparedConsole,
  options: ViewerPresentationOptions,
  onEvent: (event: DisplayEvent) => void,
): Promise<Shown> {
  const bridge = await startBridge({
    dial: route.dial,
    password: (refused) => password.current(refused),
    admitsMain: () => admission.check(),
    onEvent: (event) => {
      const seen = eventOfBridge(event);
      if (seen) onEvent(seen);
      options.onDetail(`bridge: ${JSON.stringify(event)}`);
    },
  });
  let listener: ViewerListener | undefined;
  const close = async (): Promise<void> => {
    await listener?.close();
    await bridge.close();
  };
  try {
    listener = await listenForViewer(bridge, {
      unix: reachesSockets(options.plan),
      onFolder: (folder) => options.guard?.watchFolder(folder),
    });
    const { ticket } = bridge;
    const plan =
      listener.socket === undefined
        ? options.plan
        : fillPlaces(options.plan, { socket: listener.socket, ticket });
    const file = { endpoint: listener.endpoint, password: ticket };
    const viewer = await launched(file, plan, options, (event) => {
      if (OF_THE_VIEWER.has(event.type)) onEvent(event);
    });
    const ended = tidied(viewer.ended, close);
    return {
      ended,
      output: () => viewer.output(),
      stop: async () => {
        await viewer.stop();
        return ended;
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function tidied<T>(ended: Promise<T>, tidy: () => Promise<void>): Promise<T> {
  const end = await ended;
  await tidy();
  return end;
}

async function launched(
  connection: Pick<Parameters<typeof connectionFile>[0], 'endpoint' | 'password'>,
  plan: ViewerPlan,
  { look, env, detach, guard, signal }: ViewerPresentationOptions,
  onEvent: (event: DisplayEvent) => void,
): Promise<Shown> {
  const text = connectionFile({ ...connection, ...look, deleteThisFile: plan.input === 'file' });
  const onFolder = (folder: string): void => guard?.watchFolder(folder);
  let forget: (() => void) | undefined;
  const onProcess = (pid: number): void => void (forget = guard?.watchProcess(pid));
  const viewer = await launchViewer(plan, text, { signal, detach, onEvent, env, onFolder, onProcess });
  void viewer.ended.then(() => forget?.());
  return viewer;
}
