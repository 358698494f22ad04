import type { ObjectRef } from '../cluster/types.ts';
import { messageOf, VmopError } from '../errors.ts';
import { AlreadyTold, asVmopError } from './report.ts';
import type { Context } from './context.ts';
import type { Target } from './targets.ts';
import type { Vm } from '../vm/types.ts';
import { sanitize } from '../text.ts';

const CONCURRENCY = 8;

/** What became of one VM of several. */
export type Outcome<R> = { ref: ObjectRef; result: R } | { ref: ObjectRef; error: VmopError };

/** Runs `work` for every VM, eight at a time; one failure stops none of the others. Rejects only when the signal aborts. */
export async function forEachTarget<R>(
  targets: readonly Target[],
  signal: AbortSignal,
  work: (vm: Vm) => Promise<R>,
): Promise<Outcome<R>[]> {
  const outcomes: Outcome<R>[] = [];
  const queue = targets.entries();
  const worker = async (): Promise<void> => {
    for (const [index, target] of queue) {
      signal.throwIfAborted();
      outcomes[index] = await attempt(target, work);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  signal.throwIfAborted();
  return outcomes;
}

async function attempt<R>(target: Target, work: (vm: Vm) => Promise<R>): Promise<Outcome<R>> {
  if ('error' in target) return target;
  try {
    return { ref: target.ref, result: await work(target.vm) };
  } catch (error) {
    return { ref: target.ref, error: withVm(asVmopError(error), target.ref) };
  }
}

function withVm(error: VmopError, { name }: ObjectRef): VmopError {
  if (error.vm !== undefined) return error;
  const message = error.message.includes(name) ? error.message : `${name}: ${error.message}`;
  return new VmopError(error.code, message, { hint: error.hint, vm: name, cause: error });
}

/**
 * Prints what became of the VMs: for one its result or its error, for several a list in which failures have their
 * place too, and each failure on stderr. `sentence` is a person's line for one VM that went well.
 */
export async function printOutcomes<R extends object>(
  context: Context,
  outcomes: readonly Outcome<R>[],
  several: boolean,
  sentence: (result: R) => string,
): Promise<void> {
  const failures = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []));
  const [only] = outcomes;
  if (!several && only) {
    if ('error' in only) throw only.error;
    await printResults(context, only.result, sentence);
    return;
  }
  const { kind } = context.format;
  if (kind === 'table' || kind === 'wide') {
    for (const outcome of outcomes)
      if ('result' in outcome) await context.terminal.out(`${sanitize(sentence(outcome.result))}\n`);
  } else {
    const rows = outcomes.map((outcome) =>
      'result' in outcome
        ? outcome.result
        : { name: outcome.ref.name, namespace: outcome.ref.namespace, error: outcome.error.toJSON() },
    );
    await context.print<object>(rows, nameView);
  }
  for (const { message, hint } of failures) {
    context.terminal.error(`error: ${message}`);
    if (hint !== undefined) context.terminal.info(`  ${hint}`);
  }
  if (failures.length > 0) throw new AlreadyTold('failed', `${failures.length} of ${outcomes.length} failed`);
}

const nameView = {
  columns: [],
  name: (row: object): string => `vm/${'name' in row ? messageOf(row.name) : ''}`,
};

async function printResults<R extends object>(
  context: Context,
  result: R,
  sentence: (result: R) => string,
): Promise<void> {
  const { kind } = context.format;
  if (kind === 'table' || kind === 'wide') await context.terminal.out(`${sanitize(sentence(result))}\n`);
  else await context.print<object>(result, nameView);
}
