import { PassThrough, type Readable } from 'node:stream';
import type { PodLogQuery } from './api/index.ts';
import type { LogLine, RunnerLog } from './operator/index.ts';

/** The lines that a request for a pod's log wants, as text. */
export function podLogText(
  lines: readonly LogLine[],
  { tailLines, sinceSeconds, timestamps }: PodLogQuery,
  now: Date,
): string {
  const since = sinceSeconds === undefined ? -Infinity : now.getTime() - sinceSeconds * 1000;
  const recent = lines.filter(({ at }) => at.getTime() >= since);
  const wanted = tailLines === undefined ? recent : recent.slice(Math.max(recent.length - tailLines, 0));
  return wanted.map((line) => lineText(line, timestamps)).join('');
}

/** The same, and what the runner writes after that; ends with the runner, or when it is destroyed. */
export function followPodLog(
  log: Pick<RunnerLog, 'lines' | 'follow'>,
  query: PodLogQuery,
  now: Date,
): Readable {
  const stream = new PassThrough({ encoding: 'utf8' });
  stream.write(podLogText(log.lines(), query, now));
  const stop = log.follow((line) => {
    if (line === undefined) stream.end();
    else stream.write(lineText(line, query.timestamps));
  });
  stream.once('close', stop);
  return stream;
}

function lineText(line: LogLine, timestamps = false): string {
  return `${timestamps ? `${nanoTime(line.at)} ` : ''}${line.text}\n`;
}

/** As the kubelet writes times: of one width, with nanoseconds. */
function nanoTime(time: Date): string {
  return time.toISOString().replace('Z', '000000Z');
}
