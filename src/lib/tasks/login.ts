import { VmopError } from '../errors.ts';
import { parseDuration } from '../output/duration.ts';
import {
  guestUserProblem,
  logIn,
  loginDisturbance,
  loginObstacle,
  loginRefusal,
  requestLogin,
  type LoginRequest,
} from '../vm/login.ts';
import { agentOf } from '../vm/state.ts';
import { compact } from '../cluster/parse.ts';
import type { Vm } from '../vm/types.ts';
import type { Context } from '../cli/context.ts';
import { onTargets, WAITING_CONCURRENCY } from '../cli/many.ts';
import type { TargetFlags } from '../cli/targets.ts';

export interface LoginFlags extends TargetFlags {
  'dry-run': boolean;
  wait: boolean;
  timeout: string;
}

/** What a login or logout did to one VM: its `--json` form. */
export interface LoginResult {
  name: string;
  namespace: string;
  action: 'login' | 'logout';
  /** Who was to be logged in; absent for a logout. */
  user?: string;
  /** Who is logged in, as the guest's agent confirmed. */
  loggedInUser?: string;
  /** The guest's agent said that it is done. */
  confirmed: boolean;
  dryRun: boolean;
}

/** A user name from the command line. Error: `usage` before anything is asked of the cluster. */
export function parseGuestUser(name: string): string {
  const problem = guestUserProblem(name);
  if (problem === undefined) return name;
  throw new VmopError('usage', `not a user name to log in: ${JSON.stringify(name)}`, { hint: problem });
}

/** Logs a user in on VMs, or out (`request.user` undefined), and tells what became of each. */
export async function runLogin(
  context: Context,
  request: LoginRequest,
  names: readonly string[],
  flags: LoginFlags,
): Promise<void> {
  const timeoutMs = parseDuration(flags.timeout);
  const { cluster, terminal, signal } = context;
  const action = request.user === undefined ? ('logout' as const) : ('login' as const);
  const onWarning = (warning: string): void => terminal.warn(warning);
  await onTargets<LoginResult>(context, names, flags, {
    permissions: ['accessConsole'],
    act: async ({ vm, pool }, progress) => {
      const { name, namespace } = vm;
      const refusal = loginRefusal(vm, pool, await context.subject(namespace), request);
      if (refusal) throw refusal;
      const base = compact({ name, namespace, action, user: request.user });
      if (flags['dry-run'] || !flags.wait) {
        const obstacle = loginObstacle(vm, pool, request);
        if (obstacle) throw obstacle;
        const disturbance = loginDisturbance(vm, pool, request);
        if (disturbance !== undefined) onWarning(disturbance);
        const { object } = await requestLogin(cluster, vm, request, { dryRun: flags['dry-run'] });
        return { ...base, ...loggedIn(object), confirmed: false, dryRun: flags['dry-run'] };
      }
      const greeted = agentOf(vm) === 'connected';
      progress.row(name, greeted ? 'asking the guest' : 'waiting for the agent in the guest');
      const after = await logIn(cluster, vm, pool, request, { timeoutMs, signal, onWarning });
      return { ...base, ...loggedIn(after), confirmed: true, dryRun: false };
    },
    sentence,
    concurrency: WAITING_CONCURRENCY,
  });
}

function loggedIn({ status }: Vm): { loggedInUser?: string } {
  return status.loggedInUser === undefined ? {} : { loggedInUser: status.loggedInUser };
}

function sentence({ name, user, confirmed, dryRun }: LoginResult): string {
  const wish = user === undefined ? 'log out whoever is there' : `log in ${user}`;
  if (dryRun) return `${name}: the server would take the wish to ${wish} (dry run, nothing changed)`;
  if (!confirmed) return `${name} was asked to ${wish}; not waiting for its guest`;
  return user === undefined ? `nobody is logged in on ${name}` : `${user} is logged in on ${name}`;
}
