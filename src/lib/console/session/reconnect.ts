import type { ErrorCode } from '../../errors.ts';
import type { SessionOutcome } from './session-state.ts';

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** With the pauses between them these last for about four minutes. */
const ATTEMPTS = 12;

/** How long to wait before the next attempt, after so many that failed in a row; undefined: no further one. */
export function reconnectPause(failures: number): number | undefined {
  return failures >= ATTEMPTS ? undefined : Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);
}

/** Whether a session that ended so was dropped: nobody wanted it to end, and nobody else has it now. */
export function wasDropped(outcome: SessionOutcome): boolean {
  switch (outcome.kind) {
    case 'connectionLost':
    case 'vmStopped':
    case 'unreachable':
    case 'viewerHung':
    case 'passwordRefused':
      return true;
    case 'notAdmitted':
      return mayPass(outcome.error.code);
    default:
      return false;
  }
}

const LASTING: ReadonlySet<ErrorCode> = new Set(['usage', 'notFound', 'forbidden', 'conflict', 'timeout']);

/** Whether an attempt that failed with this error may go better in a while. */
export function mayPass(code: ErrorCode): boolean {
  return !LASTING.has(code);
}
