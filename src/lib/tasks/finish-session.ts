import type { Context } from '../cli/context.ts';
import { AlreadyTold } from '../cli/report.ts';
import { releaseConsoleUser } from '../console/console-user.ts';
import type { DisconnectAction } from '../console-choices.ts';
import { dealWithDesktop } from '../console/session/desktop.ts';
import type { Vm } from '../vm/types.ts';
import { refKey } from '../vm/follow.ts';

/** A session's connection and user as the VM showed them, if it did, as one argument of printable characters. */
export function sessionArgument(connection: string | undefined, user: string | undefined): string {
  const shown = new URLSearchParams();
  if (connection !== undefined) shown.set('connection', connection);
  if (user !== undefined) shown.set('user', user);
  return `seen:${shown.toString()}`;
}

function parseSessionArgument(text: string): { connection: string | undefined; user: string | undefined } {
  const shown = new URLSearchParams(text.replace(/^seen:/, ''));
  return { connection: shown.get('connection') ?? undefined, user: shown.get('user') ?? undefined };
}

/**
 * What a session's guard runs when vmop was killed: `vmop finish-session` with `sessionArgument` as its last argument,
 * for the same cluster and user. Empty where nothing is to be done.
 */
export function finishSessionCommand(context: Context, vm: Vm, action: DisconnectAction): string[] {
  const { launcher } = context.runtime;
  if (launcher === undefined || action === 'none' || action === 'lock') return [];
  const flags = [`--on-disconnect=${action}`, `--uid=${vm.uid}`, ...context.sameCluster()];
  return [...launcher, 'finish-session', ...flags, refKey(vm)];
}

export interface FinishSessionRequest {
  /** `namespace/name`. */
  vm: string;
  uid: string;
  action: DisconnectAction;
  /** As `sessionArgument` tells them. */
  session: string;
}

/**
 * Deals with the desktop of a session whose vmop was killed, unless it is another machine or somebody is there. Rejects
 * when it could not.
 */
export async function finishSession(
  context: Context,
  { vm, uid, action, session }: FinishSessionRequest,
): Promise<void> {
  const [namespace = '', name = ''] = vm.split('/');
  const ref = { namespace, name };
  const seen = parseSessionArgument(session);
  const { terminal, cluster, signal } = context;
  const report = await dealWithDesktop(
    cluster,
    { ...ref, argument: context.nameOf(ref) },
    {
      action,
      ended: { outcome: 'interrupted', uid, ...seen },
      loggedIn: undefined,
      hooks: { onStep: (text) => terminal.info(text), onWarning: (text) => terminal.warn(text) },
      signal,
    },
  );
  if (seen.user !== undefined) {
    const own = new Set(seen.connection === undefined ? [] : [seen.connection]);
    const earlier = { user: undefined, connection: undefined };
    const use = { me: seen.user, ref, uid, earlier, connected: true, own };
    await releaseConsoleUser(cluster, use, { onDetail: (text) => terminal.detail(text) });
  }
  if (report === undefined) return;
  if (report.code === undefined) return terminal.info(report.sentence);
  terminal.error(report.sentence);
  throw new AlreadyTold(report.code, report.sentence);
}
