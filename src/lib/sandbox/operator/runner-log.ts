/** One line of a runner's log. */
export interface LogLine {
  at: Date;
  text: string;
}

/** Lines kept per runner. */
const LIMIT = 2000;

/** The latest lines of one runner, and whoever follows them. */
export class RunnerLog {
  readonly #lines: LogLine[] = [];
  readonly #listeners = new Set<(line: LogLine | undefined) => void>();
  #ended = false;

  /** No two lines have the same time: whoever polls can tell which are new. */
  append(text: string, now: Date): void {
    const last = this.#lines.at(-1)?.at.getTime() ?? 0;
    const line = { at: new Date(Math.max(now.getTime(), last + 1)), text: printable(text) };
    this.#lines.push(line);
    if (this.#lines.length > LIMIT) this.#lines.shift();
    for (const listener of this.#listeners) listener(line);
  }

  lines(): readonly LogLine[] {
    return this.#lines;
  }

  /** Calls `listener` for each further line, and with undefined after the last one; returns how to stop it. */
  follow(listener: (line: LogLine | undefined) => void): () => void {
    if (this.#ended) listener(undefined);
    else this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** The runner writes no more. */
  end(): void {
    this.#ended = true;
    for (const listener of this.#listeners) listener(undefined);
    this.#listeners.clear();
  }
}

/** One line, whatever a guest sends: control characters become visible. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\x${code.toString(16).padStart(2, '0')}`;
  });
}
