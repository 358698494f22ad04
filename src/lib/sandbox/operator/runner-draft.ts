import { conditionHolds, statusDifference, withConditions } from './runner-status.ts';
import type { ConditionChange, RunnerStatus } from './runner-status.ts';
import type { RunnerEffect, RunnerState } from './runner-types.ts';

/** One step of a runner in the making: a copy of the state to change, and the effects so far. */
export class RunnerDraft {
  readonly state: RunnerState;
  readonly effects: RunnerEffect[] = [];
  readonly #now: Date;

  constructor(state: RunnerState, now: Date) {
    this.state = { ...state };
    this.#now = now;
  }

  /** Whether the condition is true by now. */
  holds(type: ConditionChange['type']): boolean {
    return conditionHolds(this.state.status.conditions, type);
  }

  /** Changes the status and has the difference written; nothing is written when there is none. */
  report(
    change: Partial<Omit<RunnerStatus, 'conditions'>>,
    conditions: readonly ConditionChange[] = [],
  ): void {
    const before = this.state.status;
    const generation = this.state.config?.generation ?? 0;
    const after = {
      ...before,
      ...change,
      conditions: withConditions(before.conditions, conditions, generation, this.#now),
    };
    this.state.status = after;
    const patch = statusDifference(before, after);
    if (Object.keys(patch).length > 0) this.effect({ type: 'status', patch });
  }

  log(line: string): void {
    this.effect({ type: 'log', line });
  }

  effect(...effects: RunnerEffect[]): void {
    this.effects.push(...effects);
  }
}
