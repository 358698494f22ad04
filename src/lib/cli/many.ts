import type { ObjectRef } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import type { Progress } from '../io/progress.ts';
import type { TextView, View } from '../output/render.ts';
import { sanitize } from '../text.ts';
import { inParallel } from '../parallel.ts';
import { missingPermission, permissionsOn } from '../vm/permissions.ts';
import type { Permission, Vm, VmPool } from '../vm/types.ts';
import { governingPool } from '../vm/inventory.ts';
import type { Context } from './context.ts';
import { explainFor } from './refusal.ts';
import { AlreadyTold, asVmopError } from './report.ts';
import { resolveTargets, type Target, type TargetFlags } from './targets.ts';

const CONCURRENCY = 8;
/** For work that is mostly waiting; each has a watch of its own, and a connection with it. */
export const WAITING_CONCURRENCY = 24;

/** What became of one VM of several. */
export type Outcome<R> = { ref: ObjectRef; result: R } | { ref: ObjectRef; error: VmopError };

/** A VM to act on, with the pool that governs it while it is assigned. */
export interface TargetVm {
  vm: Vm;
  pool: VmPool | undefined;
}

/** What a command does to each of its VMs. */
export interface TargetWork<R> {
  /** Checked for each VM before anything is done to it; the first one also selects with `--all`. */
  permissions: readonly Permission[];
  /** Once, when the VMs are known: the last chance to ask. */
  before?: (targets: readonly TargetVm[]) => Promise<void>;
  act: (target: TargetVm, progress: Progress) => Promise<R>;
  /** Waits for all of them together. */
  settle?: (outcomes: Outcome<R>[], progress: Progress) => Promise<Outcome<R>[]>;
  /** A person's line for a VM that went well, or a table of them all. */
  sentence: ((result: R) => string) | View<R>;
  /** How many at once. */
  concurrency?: number | undefined;
}

/**
 * Finds the VMs that were named or selected, acts on all of them in parallel, and tells what became of each: one
 * failure stops none of the others. Rejects with the one VM's error where one was named, else after all is told.
 */
export async function onTargets<R extends ObjectRef>(
  context: Context,
  names: readonly string[],
  flags: TargetFlags,
  work: TargetWork<R>,
): Promise<void> {
  const [selecting = 'accessConsole'] = work.permissions;
  const { targets, several } = await resolveTargets(context, names, flags, selecting);
  const checked = await Promise.all(targets.map((target) => checkTarget(context, target, work.permissions)));
  const progress = context.terminal.progress();
  try {
    await work.before?.(checked.flatMap((target) => ('vm' in target ? [target] : [])));
    const acted = await actOnAll(context, checked, work, progress);
    const settled = work.settle ? await work.settle(acted, progress) : acted;
    progress.done();
    await printOutcomes(context, settled, several, work.sentence);
  } finally {
    progress.done();
  }
}

type CheckedTarget = (TargetVm & { ref: ObjectRef }) | Extract<Target, { error: VmopError }>;

/**
 * spec.permissions first, as VM-Operator's own GUI does: a courtesy, which saves a request and names who holds the
 * permission. What the API server enforces is asked by acting.
 */
async function checkTarget(
  context: Context,
  target: Target,
  needed: readonly Permission[],
): Promise<CheckedTarget> {
  if ('error' in target) return target;
  const { ref, vm } = target;
  try {
    const [subject, pool] = await Promise.all([
      context.subject(vm.namespace),
      governingPool(context.cluster, vm),
    ]);
    const held = permissionsOn(vm, pool, subject);
    const missing = needed.find((permission) => !held.has(permission));
    if (missing !== undefined) return { ref, error: missingPermission(vm, pool, subject.name, missing) };
    return { ref, vm, pool };
  } catch (error) {
    context.signal.throwIfAborted();
    return { ref, error: withVm(asVmopError(error), ref) };
  }
}

async function actOnAll<R>(
  context: Context,
  targets: readonly CheckedTarget[],
  work: TargetWork<R>,
  progress: Progress,
): Promise<Outcome<R>[]> {
  const { signal } = context;
  const outcomes = await inParallel(targets, work.concurrency ?? CONCURRENCY, async (target) => {
    signal.throwIfAborted();
    return 'error' in target ? target : attempt(context, target, work, progress);
  });
  signal.throwIfAborted();
  return outcomes;
}

async function attempt<R>(
  context: Context,
  { ref, ...target }: TargetVm & { ref: ObjectRef },
  { act, permissions }: TargetWork<R>,
  progress: Progress,
): Promise<Outcome<R>> {
  try {
    return { ref, result: await act(target, progress) };
  } catch (error) {
    const explained = await explainFor(context, error, { ...target, permissions });
    return { ref, error: withVm(asVmopError(explained), ref) };
  }
}

function withVm(error: VmopError, { name }: ObjectRef): VmopError {
  if (error.vm !== undefined) return error;
  const message = error.message.split(/[^a-z0-9.-]+/).includes(name)
    ? error.message
    : `${name}: ${error.message}`;
  return new VmopError(error.code, message, { hint: error.hint, vm: name, cause: error });
}

/** For one VM its result or its error; for several a list in which failures have their place, and each on stderr. */
async function printOutcomes<R extends ObjectRef>(
  context: Context,
  outcomes: readonly Outcome<R>[],
  several: boolean,
  sentence: TargetWork<R>['sentence'],
): Promise<void> {
  const view: TextView<R> | View<R> =
    typeof sentence === 'function'
      ? { text: (result) => `${sanitize(sentence(result))}\n`, name: context.nameOf }
      : sentence;
  const [only] = outcomes;
  if (!several && only) {
    if ('error' in only) throw only.error;
    await context.print(only.result, view);
    return;
  }
  const { kind } = context.format;
  // Names are fed to other commands: those that failed are not among them.
  if (kind === 'table' || kind === 'wide' || kind === 'name') {
    await context.print(
      outcomes.flatMap((outcome) => ('result' in outcome ? [outcome.result] : [])),
      view,
    );
  } else {
    await context.print<ObjectRef>(
      outcomes.map((outcome) => {
        if ('result' in outcome) return outcome.result;
        const { name, namespace } = outcome.ref;
        return { name, namespace, error: outcome.error.toJSON() };
      }),
      { text: () => '', name: context.nameOf },
    );
  }
  const failures = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []));
  for (const { message, hint } of failures) {
    context.terminal.error(`error: ${message}`);
    if (hint !== undefined) context.terminal.info(`  ${hint}`);
  }
  if (failures.length > 0) throw new AlreadyTold('failed', `${failures.length} of ${outcomes.length} failed`);
}
