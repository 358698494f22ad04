import { sanitize } from '../text.ts';
import { VmopError } from '../errors.ts';
import { parseDuration } from '../output/duration.ts';
import { followVm, followVms, refKey } from '../vm/follow.ts';
import { withoutLostRunner } from '../vm/lost-runner.ts';
import { VMS } from '../vm/parse.ts';
import {
  describeLateStart,
  describeLateStop,
  killMachine,
  resetMachine,
  setPowerState,
  startedVerdict,
  stoppedVerdict,
} from '../vm/power.ts';
import { consoleUse, phaseOf, type VmPhase } from '../vm/state.ts';
import type { Permission, Vm } from '../vm/types.ts';
import type { Context } from '../cli/context.ts';
import { onTargets, WAITING_CONCURRENCY, type Outcome, type TargetVm } from '../cli/many.ts';
import type { TargetFlags } from '../cli/targets.ts';
import type { Progress } from '../io/progress.ts';

export type PowerVerb = 'start' | 'stop' | 'restart' | 'reset';

export interface PowerFlags extends TargetFlags {
  'dry-run': boolean;
  yes?: boolean;
  force?: boolean;
  wait?: boolean;
  timeout?: string;
}

/** What a power command did to one VM: its `--json` form. */
export interface PowerResult {
  name: string;
  namespace: string;
  action: PowerVerb;
  /** false: it was so already, or the server only checked (`dryRun`). */
  changed: boolean;
  dryRun: boolean;
  /** As last seen. */
  state: VmPhase;
  /** The wait was made and its end seen. */
  confirmed: boolean;
}

const NEEDS: Record<PowerVerb, Permission[]> = {
  start: ['start'],
  stop: ['stop'],
  restart: ['stop', 'start'],
  reset: ['reset'],
};

/** Runs a power command on all its VMs in parallel and tells what became of each. */
export async function runPower(
  context: Context,
  verb: PowerVerb,
  names: readonly string[],
  flags: PowerFlags,
): Promise<void> {
  const timeoutMs = flags.timeout === undefined ? 0 : parseDuration(flags.timeout);
  const noteOn =
    (progress: Progress) =>
    (vm: Vm, text: string): void =>
      progress.row(vm.name, text);
  await onTargets<PowerResult>(context, names, flags, {
    permissions: NEEDS[verb],
    before: async (targets) => {
      if (verb !== 'start' && !flags['dry-run']) await confirmCut(context, verb, targets, flags.yes === true);
    },
    act: ({ vm }, progress) => actions[verb]({ context, vm, flags, timeoutMs, note: noteOn(progress) }),
    settle: async (outcomes, progress) =>
      flags.wait === true && !flags['dry-run']
        ? waitForAll(context, verb, outcomes, timeoutMs, noteOn(progress))
        : outcomes,
    sentence,
    // A restart waits for its stop.
    concurrency: verb === 'restart' ? WAITING_CONCURRENCY : undefined,
  });
}

/** Asks before somebody's console is cut. */
async function confirmCut(
  context: Context,
  verb: PowerVerb,
  targets: readonly TargetVm[],
  yes: boolean,
): Promise<void> {
  const inUse = targets.flatMap(({ vm }) => {
    const use = consoleUse(vm);
    return use.connected ? [`${vm.name} (${sanitize(use.user ?? use.client ?? 'somebody')})`] : [];
  });
  if (inUse.length === 0 || yes) return;
  const question = `A console is connected to ${inUse.join(', ')}. ${verb} anyway?`;
  if (!context.terminal.interactive) {
    throw new VmopError('conflict', `a console is connected to ${inUse.join(', ')}`, {
      hint: `--yes does not ask; nothing was changed`,
    });
  }
  if (!(await context.terminal.confirm(question))) {
    throw new VmopError('conflict', 'not confirmed: nothing was changed');
  }
}

interface ActionInput {
  context: Context;
  vm: Vm;
  flags: PowerFlags;
  timeoutMs: number;
  note: (vm: Vm, text: string) => void;
}

const actions: Record<PowerVerb, (input: ActionInput) => Promise<PowerResult>> = {
  async start({ context, vm, flags, note }) {
    note(vm, 'starting');
    const { object, written } = await setPowerState(context.cluster, vm, 'Running', {
      dryRun: flags['dry-run'],
    });
    return resultOf(object, 'start', written, flags);
  },
  async stop({ context, vm, flags, note }) {
    note(vm, 'stopping');
    const mode = { dryRun: flags['dry-run'] };
    const { object, written } = await setPowerState(context.cluster, vm, 'Stopped', mode);
    if (flags.force === true) await killMachine(context.cluster, vm, mode);
    const stopping = await withoutLostRunner(context.cluster, object);
    return resultOf(stopping, 'stop', written || (flags.force === true && phaseOf(vm) !== 'stopped'), flags);
  },
  async restart({ context, vm, flags, timeoutMs, note }) {
    const mode = { dryRun: flags['dry-run'] };
    let stopped = await withoutLostRunner(context.cluster, vm);
    if (phaseOf(stopped) !== 'stopped') {
      note(vm, 'stopping');
      const { object } = await setPowerState(context.cluster, vm, 'Stopped', mode);
      if (flags.force === true) await killMachine(context.cluster, vm, mode);
      if (flags['dry-run']) return resultOf(object, 'restart', false, flags);
      stopped = await untilStopped(context, vm, timeoutMs);
    }
    note(vm, 'starting');
    const { object, written } = await setPowerState(context.cluster, stopped, 'Running', mode);
    return resultOf(object, 'restart', written, flags);
  },
  async reset({ context, vm, flags, note }) {
    note(vm, 'resetting');
    await resetMachine(context.cluster, vm, { dryRun: flags['dry-run'] });
    return resultOf(vm, 'reset', true, flags);
  },
};

/** The VM as it was when its machine was gone. */
function untilStopped({ cluster, signal }: Context, vm: Vm, timeoutMs: number): Promise<Vm> {
  return followVm(cluster, vm, {
    resource: VMS,
    decide: stoppedVerdict,
    describe: describeLateStop,
    timeoutMs,
    signal,
  });
}

function resultOf(vm: Vm, action: PowerVerb, changed: boolean, flags: PowerFlags): PowerResult {
  const dryRun = flags['dry-run'];
  const { name, namespace } = vm;
  return {
    name,
    namespace,
    action,
    changed: changed && !dryRun,
    dryRun,
    state: phaseOf(vm),
    confirmed: false,
  };
}

/** One watch for all that were changed; a reset is reported by nobody, so nobody waits for it. */
async function waitForAll(
  context: Context,
  verb: PowerVerb,
  outcomes: readonly Outcome<PowerResult>[],
  timeoutMs: number,
  note: (vm: Vm, text: string) => void,
): Promise<Outcome<PowerResult>[]> {
  if (verb === 'reset') return [...outcomes];
  const [decide, describe] =
    verb === 'stop' ? [stoppedVerdict, describeLateStop] : [startedVerdict, describeLateStart];
  const isOver = ({ state }: PowerResult): boolean => verb === 'stop' && state === 'stopped';
  const refs = outcomes.flatMap((outcome) =>
    'result' in outcome && !isOver(outcome.result) ? [outcome.ref] : [],
  );
  const results = await followVms(context.cluster, refs, {
    resource: VMS,
    decide,
    describe,
    timeoutMs,
    signal: context.signal,
    onChange: (vm) => note(vm, phaseOf(vm)),
  });
  return outcomes.map((outcome) => {
    if (!('result' in outcome)) return outcome;
    if (isOver(outcome.result)) return { ref: outcome.ref, result: { ...outcome.result, confirmed: true } };
    const waited = results.get(refKey(outcome.ref));
    if (waited === undefined) return outcome;
    if ('error' in waited) return { ref: outcome.ref, error: waited.error };
    return { ref: outcome.ref, result: { ...outcome.result, state: phaseOf(waited.value), confirmed: true } };
  });
}

const DONE: Record<PowerVerb, string> = {
  start: 'is running',
  stop: 'is stopped',
  restart: 'is running again',
  reset: 'was asked to reset; VM-Operator does not report when it has',
};

const ASKED: Record<PowerVerb, string> = {
  start: 'was asked to start',
  stop: 'was asked to stop',
  restart: 'was stopped and asked to start',
  reset: DONE.reset,
};

function sentence({ name, action, changed, dryRun, confirmed }: PowerResult): string {
  if (dryRun) return `${name}: the server would ${action} it (dry run, nothing changed)`;
  if (!changed && action !== 'reset') {
    const already = action === 'stop' ? 'stopped' : 'running';
    return confirmed ? `${name} was ${already} already` : `${name} was to be ${already} already`;
  }
  return `${name} ${confirmed ? DONE[action] : ASKED[action]}`;
}
