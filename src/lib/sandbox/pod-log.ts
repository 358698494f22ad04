import type { PodLogQuery } from './api/index.ts';
import type { LogLine } from './operator/index.ts';

/** The lines that a request for a pod's log wants, as text. */
export function podLogText(
  lines: readonly LogLine[],
  { tailLines, sinceSeconds, timestamps }: PodLogQuery,
  now: Date,
): string {
  const since = sinceSeconds === undefined ? -Infinity : now.getTime() - sinceSeconds * 1000;
  const recent = lines.filter(({ at }) => at.getTime() >= since);
  const wanted = tailLines === undefined ? recent : recent.slice(Math.max(recent.length - tailLines, 0));
  return wanted.map((line) => `${timestamps === true ? `${nanoTime(line.at)} ` : ''}${line.text}\n`).join('');
}

/** As the kubelet writes times: of one width, with nanoseconds. */
function nanoTime(time: Date): string {
  return time.toISOString().replace('Z', '000000Z');
}
