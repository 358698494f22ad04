const NEWLINE = 0x0a;
const RETURN = 0x0d;

/**
 * Turns chunks of bytes into lines, whatever the chunks' borders. Memory is bounded: a line that is longer than
 * `maximumBytes` is cut there and its rest dropped. Bytes that are no UTF-8 become U+FFFD.
 */
export class LineSplitter {
  readonly #maximumBytes: number;
  #kept: Uint8Array[] = [];
  #keptBytes = 0;

  constructor(maximumBytes: number) {
    this.#maximumBytes = maximumBytes;
  }

  /** The lines that this chunk completes, without `\n` or `\r\n`. */
  push(chunk: Uint8Array | string): string[] {
    const bytes = Buffer.from(chunk);
    const lines: string[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      this.#keep(bytes.subarray(start, end));
      lines.push(this.#take());
      start = end + 1;
    }
    this.#keep(bytes.subarray(start));
    return lines;
  }

  /** The last line, which has no end; undefined when there is none. */
  flush(): string | undefined {
    return this.#keptBytes === 0 ? undefined : this.#take();
  }

  /** Forgets a line that was begun: the other side has gone. */
  reset(): void {
    this.#kept = [];
    this.#keptBytes = 0;
  }

  #keep(bytes: Uint8Array): void {
    const wanted = bytes.subarray(0, this.#maximumBytes - this.#keptBytes);
    if (wanted.length === 0) return;
    this.#kept.push(wanted);
    this.#keptBytes += wanted.length;
  }

  #take(): string {
    const bytes = Buffer.concat(this.#kept);
    const cut = bytes.length === this.#maximumBytes;
    this.reset();
    const line = bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes;
    // `stream` leaves out a character that was cut in two, and would hide a broken one at the end otherwise.
    return new TextDecoder().decode(line, { stream: cut });
  }
}
