/** What the benchmarks share: turns, medians, memory, tables. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const LIMIT_MS = 60_000;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** The median of `values[i] / base[i]`: what disturbs one round disturbs both, and falls out. */
export function medianRatio(values: readonly number[], base: readonly number[]): number {
  return median(values.map((value, index) => value / (base[index] ?? NaN)));
}

/**
 * Measures each of the contenders once in each round, every round from another one on, so that none always follows the
 * same. Resolves to the measurements of each, in the order of the rounds.
 */
export async function inTurns<C, M>(
  contenders: readonly C[],
  rounds: number,
  measure: (contender: C, round: number) => Promise<M>,
): Promise<M[][]> {
  const measured = contenders.map((): M[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const index = (round + turn) % contenders.length;
      const contender = contenders[index];
      if (contender !== undefined) measured[index]?.push(await measure(contender, round));
    }
  }
  return measured;
}

/** Looks every few milliseconds; rejects when it still does not hold after a minute. */
export async function until(what: string, everyMs: number, holds: () => boolean): Promise<void> {
  for (const since = performance.now(); !holds();) {
    if (performance.now() - since > LIMIT_MS) throw new Error(`it does not happen that ${what}`);
    await delay(everyMs);
  }
}

/** The most memory that a running process has had until now, in MiB; undefined: it has ended. */
export function peakMemory(pid: number): number | undefined {
  try {
    const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? undefined : Number(kib) / 1024;
  } catch {
    return undefined;
  }
}

/** The environment without what makes every Node parse certificates at its start (60 ms), and Go too. */
export function benchEnv(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _ofNode, SSL_CERT_FILE: _ofBoth, NODE_OPTIONS: _options, ...kept } = env;
  return kept;
}

/** The first row is the heading; the first column is text, the others are numbers. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(cells.join('  ').trimEnd());
  }
}

/** A number for a table; nothing where there is none. */
export function figure(value: number | undefined, digits = 0): string {
  return value === undefined || Number.isNaN(value) ? '' : value.toFixed(digits);
}
