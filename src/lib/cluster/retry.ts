import { setTimeout as sleep } from 'node:timers/promises';

/** What came of one attempt: an HTTP status, or a connection that broke. */
export type Attempt =
  { status: number; retryAfterSeconds?: number | undefined } | { systemCode: string; stale: boolean };

const MAX_ATTEMPTS = 5;
const LONGEST_PAUSE_MS = 10_000;
const TRANSIENT_STATUS = new Set([429, 500, 502, 503, 504]);
const TRANSIENT_ERRORS = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN']);

/** Pause before attempt `n` + 1 in milliseconds, without jitter. */
export function backoff(n: number): number {
  return Math.min(100 * 2 ** n, 5_000);
}

/**
 * How long to wait before the request is sent again, or undefined when it must not be.
 * A read may always be repeated; a write only where the server said that it did not carry it out (429, or 503 with
 * Retry-After). Of a write whose connection broke nobody knows.
 */
export function retryPause(attempt: Attempt, made: number, write: boolean): number | undefined {
  if (made >= MAX_ATTEMPTS) return undefined;
  if ('systemCode' in attempt) {
    if (write) return undefined;
    if (attempt.stale) return 0;
    return TRANSIENT_ERRORS.has(attempt.systemCode) ? backoff(made) : undefined;
  }
  const { status, retryAfterSeconds } = attempt;
  const refused = status === 429 || (status === 503 && retryAfterSeconds !== undefined);
  if (write ? !refused : !TRANSIENT_STATUS.has(status)) return undefined;
  return retryAfterSeconds === undefined
    ? backoff(made)
    : Math.min(retryAfterSeconds * 1000, LONGEST_PAUSE_MS);
}

/** Waits; ends early, without an error, when the signal aborts. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal ? { signal } : {});
  } catch {
    // The caller looks at the signal.
  }
}
