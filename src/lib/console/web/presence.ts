/**
 * Whether somebody looks at the page. A reload closes its connection and opens another one soon: only who stays away
 * longer than that is gone.
 */
export class PagePresence {
  readonly #graceMs: number;
  readonly #gone: (why: 'neverOpened' | 'pageClosed') => void;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  /** `openWithinMs`: for the first visit. `gone` is called at most once. */
  constructor(
    { openWithinMs, graceMs }: { openWithinMs: number; graceMs: number },
    gone: (why: 'neverOpened' | 'pageClosed') => void,
  ) {
    this.#graceMs = graceMs;
    this.#gone = gone;
    this.#goneAfter(openWithinMs, 'neverOpened');
  }

  came(): void {
    clearTimeout(this.#timer);
  }

  left(): void {
    this.#goneAfter(this.#graceMs, 'pageClosed');
  }

  /** Nothing is called any more. */
  stop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #goneAfter(ms: number, why: 'neverOpened' | 'pageClosed'): void {
    clearTimeout(this.#timer);
    if (!this.#over) this.#timer = setTimeout(() => this.#gone(why), ms);
  }
}
