import { VmopError } from '../errors.ts';
import { parseDuration } from '../output/duration.ts';
import { fillJsonPathTemplate } from '../output/jsonpath.ts';
import { parseJsonPathTemplate } from '../output/jsonpath-parser.ts';
import { toPlain } from '../output/plain.ts';
import { followVms, refKey } from '../vm/follow.ts';
import { VMS, withObject, type WithObject } from '../vm/parse.ts';
import { phaseOf, startObstacle, type VmPhase } from '../vm/state.ts';
import type { Vm } from '../vm/types.ts';
import { parseWaitCondition, WAIT_CONDITIONS } from '../vm/wait-conditions.ts';
import type { Context } from '../cli/context.ts';
import { onTargets, type Outcome } from '../cli/many.ts';
import type { TargetFlags } from '../cli/targets.ts';

export interface WaitFlags extends TargetFlags {
  for: string;
  timeout: string;
}

/** `vmop wait`'s `--json` form. */
export interface WaitResult {
  name: string;
  namespace: string;
  condition: string;
  met: true;
  state: VmPhase;
}

/** A JSONPath may look at any field. */
type RawVm = WithObject<Vm>;

const RAW_VMS = withObject(VMS);

interface RawCondition {
  unmet: string;
  holds: (vm: RawVm) => boolean;
}

/** Error: `usage` that lists what there is. */
export function parseFor(text: string): RawCondition {
  const condition = text.startsWith('jsonpath=') ? parseJsonPathFor(text) : parseWaitCondition(text);
  if (condition) return condition;
  throw new VmopError('usage', `not a condition to wait for: ${JSON.stringify(text)}`, {
    hint: `there are: ${WAIT_CONDITIONS.join(', ')}`,
  });
}

/** The path ends with the first `}` that `=` or nothing follows; a bare one at the first `=` outside of brackets. */
const JSONPATH_FOR = /^jsonpath=(?:\{(?<braced>.*?)\}|(?<bare>(?:\[[^\]]*\]|[^=[])*))(?:=(?<value>.*))?$/s;

/** `jsonpath={.path}=value`, or without a value: until there is any. */
function parseJsonPathFor(text: string): RawCondition | undefined {
  const match = JSONPATH_FOR.exec(text);
  const path = match?.groups?.['braced'] ?? match?.groups?.['bare'];
  if (path === undefined || path === '') return undefined;
  const template = parseJsonPathTemplate(`{${path}}`);
  const wanted = match?.groups?.['value'];
  return {
    unmet: wanted === undefined ? `${path} has no value` : `${path} is not ${wanted}`,
    holds: ({ object }) => {
      const found = fillJsonPathTemplate(template, toPlain(object));
      return wanted === undefined ? found !== '' : found === wanted;
    },
  };
}

export async function runWait(context: Context, names: readonly string[], flags: WaitFlags): Promise<void> {
  const condition = parseFor(flags.for);
  const timeoutMs = parseDuration(flags.timeout);
  await onTargets<WaitResult>(context, names, flags, {
    permissions: [],
    act: async ({ vm }) => {
      const { name, namespace } = vm;
      return { name, namespace, condition: flags.for, met: true, state: phaseOf(vm) };
    },
    settle: async (outcomes, progress) => {
      const refs = outcomes.flatMap((outcome) => ('result' in outcome ? [outcome.ref] : []));
      const results = await followVms(context.cluster, refs, {
        resource: RAW_VMS,
        decide: (vm) => (condition.holds(vm) ? { done: phaseOf(vm) } : undefined),
        describe: (vm) => ({
          state: vm === undefined ? 'nothing is known of it' : `${condition.unmet}: it is ${phaseOf(vm)}`,
          hint: vm && startObstacle(vm),
        }),
        timeoutMs,
        signal: context.signal,
        onChange: (vm) => progress.row(vm.name, `${phaseOf(vm)}; waiting for ${flags.for}`),
      });
      return outcomes.map((outcome): Outcome<WaitResult> => {
        const followed = results.get(refKey(outcome.ref));
        if (!('result' in outcome) || followed === undefined) return outcome;
        if ('error' in followed) return { ref: outcome.ref, error: followed.error };
        return { ref: outcome.ref, result: { ...outcome.result, state: followed.value } };
      });
    },
    sentence: ({ name }) => `${name}: ${flags.for}`,
  });
}
