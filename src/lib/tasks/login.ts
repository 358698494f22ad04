import { VmopError } from '../errors.ts';
import { parseDuration } from '../output/duration.ts';
import {
  guestUserProblem,
  logIn,
  loginDisturbance,
  loginObstacle,
  requestLogin,
  type LoginRequest,
} from '../vm/login.ts';
import { agentOf } from '../vm/state.ts';
import type { Vm } from '../vm/types.ts';
import type { Context } from '../cli/context.ts';
import { forEachTarget, printOutcomes } from '../cli/many.ts';
import { governingPool, resolveTargets, type TargetFlags } from '../cli/targets.ts';

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
  const { targets, several } = await resolveTargets(context, names, flags, 'accessConsole');
  const progress = context.terminal.progress();
  const action = request.user === undefined ? ('logout' as const) : ('login' as const);
  const work = async (vm: Vm): Promise<LoginResult> => {
    const pool = await governingPool(context, vm);
    const base = {
      name: vm.name,
      namespace: vm.namespace,
      action,
      ...(request.user === undefined ? {} : { user: request.user }),
    };
    const onWarning = (sentence: string): void => context.terminal.warn(sentence);
    if (flags['dry-run'] || !flags.wait) {
      const obstacle = loginObstacle(vm, pool, request);
      if (obstacle) throw obstacle;
      const disturbance = loginDisturbance(vm, pool, request);
      if (disturbance !== undefined) onWarning(disturbance);
      const { object } = await requestLogin(context.cluster, vm, request, { dryRun: flags['dry-run'] });
      return { ...base, ...loggedIn(object), confirmed: false, dryRun: flags['dry-run'] };
    }
    progress.row(
      vm.name,
      agentOf(vm) === 'connected' ? 'asking the guest' : 'waiting for the agent in the guest',
    );
    const wait = { timeoutMs, signal: context.signal, onWarning };
    const after = await logIn(context.cluster, vm, pool, request, wait);
    return { ...base, ...loggedIn(after), confirmed: true, dryRun: false };
  };
  try {
    const outcomes = await forEachTarget(targets, context.signal, work);
    progress.done();
    await printOutcomes(context, outcomes, several, sentence);
  } finally {
    progress.done();
  }
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
