/**
 * Applies `work` to every item, at most `limit` at a time; the results stand in the items' order. After a rejection no
 * further item is begun.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let failed = false;
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (failed) return;
      try {
        results[index] = await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

/** The items of several sequences as they come. What one of them throws ends all. */
export async function* merged<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T, void, undefined> {
  const arrived: T[] = [];
  let open = sources.length;
  let failure: { error: unknown } | undefined;
  let wake = (): void => {};
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const pump = async (iterator: AsyncIterator<T>): Promise<void> => {
    try {
      for (;;) {
        const { done, value } = await iterator.next();
        if (done === true) break;
        arrived.push(value);
        wake();
      }
    } catch (error) {
      failure ??= { error };
    } finally {
      open -= 1;
      wake();
    }
  };
  for (const iterator of iterators) void pump(iterator);
  for (;;) {
    yield* arrived.splice(0);
    if (failure) throw failure.error;
    if (open === 0 && arrived.length === 0) return;
    if (arrived.length > 0) continue;
    await new Promise<void>((resolve) => (wake = resolve));
  }
}
