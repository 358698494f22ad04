import { VmopError } from '../errors.ts';
import { ApiError, parseStatus } from './api-error.ts';
import { ConnectionError } from './connection-error.ts';
import { pause, retryPause } from './retry.ts';
import type { Transport, TransportResponse } from './transport.ts';

export type Answer = TransportResponse & { text: string };

export interface AttemptOptions<A> {
  attempt: () => Promise<A>;
  /** It changes something, so it is repeated only where the server surely did not carry it out. */
  write: boolean;
  signal: AbortSignal | undefined;
  /** Told of each answer, refusals as well. */
  onAnswer: (answer: A) => void;
}

/** Makes attempts until one is answered with success, the answer is final, or attempts run out. */
export async function untilAnswered<A extends Answer>(
  transport: Transport,
  { attempt, write, signal, onAnswer }: AttemptOptions<A>,
): Promise<A> {
  let reauthenticated = false;
  for (let made = 1; ; made++) {
    let wait: number | undefined;
    try {
      const answer = await attempt();
      onAnswer(answer);
      if (answer.status < 300) return answer;
      const status = parseStatus(answer.status, answer.headers['retry-after'], answer.text);
      if (answer.status === 401 && !reauthenticated) {
        // A token that ran out since it was read: ask for a new one, once.
        reauthenticated = true;
        await transport.refused(answer);
        wait = 0;
      } else {
        const { retryAfterSeconds } = status;
        wait = retryPause({ status: answer.status, retryAfterSeconds }, made, write);
        if (wait === undefined)
          throw answer.status === 401 ? transport.unauthorized(answer, status) : new ApiError(status);
      }
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      wait = retryPause(error, made, write);
      if (wait === undefined) throw write ? unknownFate(error) : error;
    }
    await pause(wait, signal);
    signal?.throwIfAborted();
  }
}

const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

/** The error of a write, which says that it may have reached the server where it may have. */
function unknownFate(error: ConnectionError): VmopError {
  if (!BROKEN.has(error.systemCode)) return error;
  const hint = 'the change may have been made all the same: look before you try again';
  return new VmopError(error.code, error.message, { hint, cause: error });
}
