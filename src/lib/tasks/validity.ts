import { DEFAULT_VALIDITY_SECONDS, isValidity, LONGEST_VALIDITY_SECONDS } from '../console-choices.ts';
import { VmopError } from '../errors.ts';
import { parseDuration } from '../output/duration.ts';

/** Seconds of `--validity`. Error: `usage` for parts of a second, which QEMU does not know, and outside of 1 s to 24 h. */
export function parseValidity(text: string): number {
  const seconds = parseDuration(text) / 1000;
  if (isValidity(seconds)) return seconds;
  throw new VmopError('usage', `a validity of ${text} makes no sense`, {
    hint: `whole seconds from 1s to ${LONGEST_VALIDITY_SECONDS / 3600}h; the default is ${DEFAULT_VALIDITY_SECONDS}s`,
  });
}
