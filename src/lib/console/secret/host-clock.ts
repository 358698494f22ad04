import type { Vm } from '../../vm/types.ts';

/** Clocks that are set by the network differ by less; the API server's is known to the second. */
const CLOCKS_AGREE_MS = 5000;

/** A password lives by no more than this longer on the word of a status. */
const MOST_LEAD_MS = 600_000;

/** The clock by which QEMU ends a VM's password. */
export interface HostClock {
  /** How much it is ahead of the API server's, as far as that is evident, and counted in. */
  leadMs: number;
  /** A sentence about a clock that is ahead. */
  warning?: string;
}

/**
 * What is known of the clock of the host on which the VM runs; `now` is the API server's. It is ahead when a condition
 * turned, by its own time, later than the API server stored that. One that is behind leaves no trace.
 */
export function hostClock(vm: Vm, now: Date): HostClock {
  const turned = latestTurn(vm);
  const stored = Math.min(vm.conditionsWrittenAt?.getTime() ?? now.getTime(), now.getTime());
  const leadMs = turned === undefined ? 0 : turned - stored;
  if (leadMs < CLOCKS_AGREE_MS) return { leadMs: 0 };
  const ahead = `the clock of ${vm.name}'s host is ${Math.round(leadMs / 1000)} s ahead of the API server's`;
  if (leadMs > MOST_LEAD_MS) {
    return { leadMs: 0, warning: `${ahead}: its password ends that much earlier there` };
  }
  return { leadMs, warning: `${ahead}: its password's end is told by the host's` };
}

/**
 * The time, by the host's clock, at which a condition last turned True; milliseconds. One that is False may have turned
 * in an earlier run, on another host, or by the manager's clock; a start takes back what is True.
 */
export function latestTurn({ status }: Vm): number | undefined {
  const times = status.conditions.flatMap((condition) =>
    condition.status === 'True' ? (condition.lastTransitionTime?.getTime() ?? []) : [],
  );
  return times.length === 0 ? undefined : Math.max(...times);
}

/** A moment of the API server's clock as the host's shows it. */
export function onHost(now: Date, { leadMs }: Pick<HostClock, 'leadMs'>): Date {
  return new Date(now.getTime() + leadMs);
}
