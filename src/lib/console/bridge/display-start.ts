/**
 * The beginning of a display channel. A SPICE server waits there for the viewer's first message, and one whose viewer
 * goes meanwhile may crash, and its VM with it (spice-server 0.15.1 in QEMU 7.2, as long as it has shown its display to
 * nobody yet: in 40 to 98 of 100 tries; in none of 600 where it was let finish). So whoever goes is spoken for, and the
 * session's end waits for that.
 */
import { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { callbackify } from 'node:util';
import { readSome, waitForBytes } from '../../read-exactly.ts';
import { unlessAborted, within } from '../../within.ts';
import { displayInit } from '../spice-link.ts';

/** How long the two are watched over: by then the server has given a silent viewer up. */
const BEGINNING_MS = 10_000;
/** How long the server may take to end a connection whose other side has ended. */
const GONE_MS = 500;
/** How long the server may take to answer for a viewer that has gone. */
const ANSWER_MS = 10_000;

/**
 * Carries what the viewer of a linked display says to the server, until the first answer waits in the server's stream.
 * Never rejects: what is not as expected shows when the halves are joined. `signal` ends it whatever comes of that.
 */
export async function beginDisplay(
  viewer: Duplex,
  server: Duplex,
  { miniHeader, signal }: { miniHeader: boolean; signal: AbortSignal },
): Promise<void> {
  const enough = new AbortController();
  const answered = within(BEGINNING_MS, signal, (limit) => waitForBytes(server, limit))
    .catch(() => {})
    .finally(() => enough.abort());
  let silent = true;
  for (;;) {
    const said = await readSome(viewer, enough.signal).catch(() => undefined);
    if (said === undefined) break;
    server.write(said);
    silent = false;
  }
  if (enough.signal.aborted) return;
  if (silent) server.write(displayInit(miniHeader));
  await within(ANSWER_MS, signal, (limit) => unlessAborted(answered, limit)).catch(() => {});
}

/**
 * A stream as it is, but that ends, and is destroyed, only when `until` resolves; and in order, so that the server has
 * taken notice when it is closed.
 */
export class LateEnd extends Duplex {
  readonly #inner: Duplex;
  readonly #until: () => Promise<unknown>;
  readonly #onData = (chunk: Buffer): void => {
    if (!this.push(chunk)) this.#inner.pause();
  };

  constructor(inner: Duplex, until: () => Promise<unknown>) {
    super({ allowHalfOpen: true });
    // Whoever joins it hears of errors; later ones are of nobody's concern.
    this.on('error', () => {});
    this.#inner = inner;
    this.#until = until;
    inner
      .on('data', this.#onData)
      .on('end', () => this.push(null))
      // What came before its end is still to be read.
      .on('close', () => !inner.readableEnded && this.destroy())
      .on('error', (error) => this.destroy(error));
    inner.pause();
  }

  override _read(): void {
    this.#inner.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#inner.write(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    callbackify(async () => await this.#end())(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    callbackify(async () => await this.#leave())(() => done(error));
  }

  async #end(): Promise<void> {
    await this.#until();
    this.#inner.end();
  }

  async #leave(): Promise<void> {
    await this.#end();
    const inner = this.#inner.off('data', this.#onData).resume();
    const signal = AbortSignal.timeout(GONE_MS);
    await finished(inner, { signal, cleanup: true }).catch(() => {});
    inner.destroy();
  }
}
