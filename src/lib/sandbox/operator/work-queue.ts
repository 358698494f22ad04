export interface WorkQueueOptions {
  /** Brings one key's matters in order; a rejection is tried again later. */
  work: (key: string) => Promise<void>;
  /** Told of each failure before it is tried again. */
  onFailure: (key: string, error: unknown, retryMs: number) => void;
  /** Keys worked on at the same time. */
  concurrency: number;
}

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 10_000;

/**
 * Work by key: at most once at a time for one key, and once more when a key was added while it was worked on.
 * Failures are tried again with growing pauses.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #active = new Map<string, Promise<void>>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  add(key: string): void {
    if (this.#stopped) return;
    this.#waiting.add(key);
    this.#fill();
  }

  /** A later request for the same key replaces an earlier one. */
  addLater(key: string, afterMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timers.get(key));
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      this.add(key);
    }, afterMs);
    this.#timers.set(key, timer);
  }

  /** Resolves when the work that is under way has ended; none is begun any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#waiting.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#active.values());
  }

  #fill(): void {
    for (const key of this.#waiting) {
      if (this.#active.size >= this.#options.concurrency) return;
      if (this.#active.has(key)) continue;
      this.#waiting.delete(key);
      this.#active.set(key, this.#run(key));
    }
  }

  async #run(key: string): Promise<void> {
    try {
      await this.#options.work(key);
      this.#failures.delete(key);
    } catch (error) {
      const failures = this.#failures.get(key) ?? 0;
      this.#failures.set(key, failures + 1);
      const retryMs = Math.min(FIRST_RETRY_MS * 2 ** failures, LONGEST_RETRY_MS);
      this.#options.onFailure(key, error, retryMs);
      this.addLater(key, retryMs);
    } finally {
      this.#active.delete(key);
      if (!this.#stopped) this.#fill();
    }
  }
}
