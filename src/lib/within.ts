/**
 * Runs something that heeds its signal, for so long. The signal given to `run` is never aborted after it is done: what
 * it made may hold on to it. Errors: `run`'s, the signal's reason, and `TimeIsUp`.
 */
export async function within<T>(
  ms: number,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => controller.abort(new TimeIsUp('the time is up')), ms);
  try {
    return await run(controller.signal);
  } catch (error) {
    // What was aborted may say so in words of its own.
    if (controller.signal.reason instanceof TimeIsUp) throw new TimeIsUp('the time is up', { cause: error });
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

export class TimeIsUp extends Error {}

/** For what cannot be called off: it is left behind. Errors: the promise's, the signal's reason. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Left behind, it fails unheard.
  promise.catch(() => {});
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
