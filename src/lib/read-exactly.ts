import type { Duplex } from 'node:stream';

/** The other side ended the connection before it said what was due. */
export class HungUp extends Error {}

/**
 * Reads from a stream that nobody else reads; what comes behind stays in it. Errors: `HungUp`, the stream's own, the
 * signal's reason.
 */
export async function readExactly(stream: Duplex, size: number, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    signal.throwIfAborted();
    const bytes: unknown = stream.read(size);
    if (Buffer.isBuffer(bytes)) {
      if (bytes.length === size) return bytes;
      throw new HungUp('it hangs up');
    }
    await moreOf(stream, signal);
  }
}

/** Reads what there is, at least one byte. Errors: as `readExactly`. */
export async function readSome(stream: Duplex, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    signal.throwIfAborted();
    const bytes: unknown = stream.read();
    if (Buffer.isBuffer(bytes)) return bytes;
    await moreOf(stream, signal);
  }
}

/** Resolves when there is at least one byte, which stays. Errors: as `readExactly`. */
export async function waitForBytes(stream: Duplex, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    if (stream.readableLength > 0) return;
    stream.read(0);
    await moreOf(stream, signal);
  }
}

async function moreOf(stream: Duplex, signal: AbortSignal): Promise<void> {
  if (stream.errored) throw stream.errored;
  if (stream.readableEnded || stream.destroyed) throw new HungUp('it hangs up');
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onMore = (): void => resolve();
  const onAbort = (): void => reject(signal.reason);
  // Whether there is more, an end or neither shows at the next look.
  stream.on('readable', onMore).on('end', onMore).on('close', onMore).on('error', reject);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await promise;
  } finally {
    stream.off('readable', onMore).off('end', onMore).off('close', onMore).off('error', reject);
    signal.removeEventListener('abort', onAbort);
  }
}
