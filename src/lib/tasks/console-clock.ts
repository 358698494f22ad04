/** How long each step of a command took, for `-v`. */
export class StepClock {
  readonly #now: () => number;
  readonly #began: number;
  readonly #steps: { text: string; at: number }[] = [];
  #stopped = false;

  /** `now`: milliseconds on any clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#began = now();
  }

  /** A step begins, and the one before it ends. */
  step(text: string): void {
    if (!this.#stopped && this.#steps.at(-1)?.text !== text) this.#steps.push({ text, at: this.#now() });
  }

  /** A line per step with its time, and the time in all: once, and nothing is measured any more. */
  stop(): string[] {
    if (this.#stopped) return [];
    this.#stopped = true;
    const end = this.#now();
    const lines = this.#steps.map(({ text, at }, index) => {
      const next = this.#steps[index + 1]?.at ?? end;
      return `${seconds(next - at)}  ${text}`;
    });
    return [...lines, `${seconds(end - this.#began)}  in all`];
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3).padStart(8)} s`;
}
