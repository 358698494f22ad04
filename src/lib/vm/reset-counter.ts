import type * as Yaml from 'yaml';
import { VmopError } from '../errors.ts';

const RUNNER = '/Runner';
const COUNTER = 'resetCounter';

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
  const counter: unknown = runner.get(COUNTER, true);
  if (!isScalar(counter) || counter.value === null || !counter.range) {
    // An absent counter is 0.
    runner.set(COUNTER, 1);
    return document.toString({ lineWidth: 0 });
  }
  const [start, end] = counter.range;
  const known = Number(counter.value);
  return `${text.slice(0, start)}${Number.isSafeInteger(known) ? known + 1 : 1}${text.slice(end)}`;
}
