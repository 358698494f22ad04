import type * as Yaml from 'yaml';
import { VmopError } from '../errors.ts';

const RUNNER = '/Runner';
const COUNTER = 'resetCounter';

/**
 * The text's beginning as VM-Operator writes it, up to the first key of `/Runner`: where a counter is put that was
 * absent. For the admission policies, too.
 */
export const RUNNER_HEAD = String.raw`^["']?/Runner["']?:\n[ ]+`;

/**
 * The runner's `config.yaml` with a reset counter that is higher by one, and otherwise to the letter as it was: a YAML
 * library would write numbers anew that only look like numbers. Error: `failed` when it is not a runner's.
 */
export function raiseResetCounter(text: string, { isMap, isScalar, parseDocument }: typeof Yaml): string {
  const document = parseDocument(text);
  const runner = document.get(RUNNER);
  if (document.errors.length > 0 || !isMap(runner)) {
    throw new VmopError(
      'failed',
      'the configuration of its runner cannot be understood, so it is left alone',
      {
        hint: 'vmop restart does without it',
      },
    );
  }
  // An absent counter is 0.
  const [head] = new RegExp(RUNNER_HEAD).exec(text) ?? [];
  if (!runner.has(COUNTER) && head !== undefined) {
    const indentation = head.slice(head.indexOf('\n') + 1);
    const raised = `${head}${COUNTER}: 1\n${indentation}${text.slice(head.length)}`;
    const again = parseDocument(raised);
    if (again.errors.length === 0 && again.getIn([RUNNER, COUNTER]) === 1) return raised;
  }
  const counter: unknown = runner.get(COUNTER, true);
  if (!isScalar(counter) || counter.value === null || !counter.range) {
    runner.set(COUNTER, 1);
    return document.toString({ lineWidth: 0 });
  }
  const [start, end] = counter.range;
  const known = Number(counter.value);
  return `${text.slice(0, start)}${Number.isSafeInteger(known) ? known + 1 : 1}${text.slice(end)}`;
}
