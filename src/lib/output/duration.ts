import { VmopError } from '../errors.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

const UNITS: Record<string, number> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY };

const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Milliseconds of `90` (seconds), `90s`, `2m`, `1h30m`, `1d`, `500ms`; a usage error for anything else. */
export function parseDuration(text: string): number {
  if (/^\d+$/.test(text)) return Number(text) * SECOND;
  if (!DURATION.test(text)) {
    throw new VmopError('usage', `not a duration: ${JSON.stringify(text)}`, {
      hint: 'write for example 90, 90s, 2m, 1h30m, 1d or 500ms',
    });
  }
  let milliseconds = 0;
  for (const [, count, unit] of text.matchAll(PART)) milliseconds += Number(count) * (UNITS[unit ?? ''] ?? 0);
  return Math.round(milliseconds);
}

/** As `parseDuration` reads it: `1h30m`, `2m5s`, `500ms`; fractions of a second only below one second. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < SECOND) return milliseconds <= 0 ? '0s' : `${Math.round(milliseconds)}ms`;
  let rest = Math.round(milliseconds / SECOND) * SECOND;
  let text = '';
  for (const unit of ['d', 'h', 'm', 's']) {
    const size = UNITS[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}

/** Below each limit an age is shown in a large unit and, where one is named, the rest in a small one. */
const AGES: { below: number; large: [number, string]; small?: [number, string] }[] = [
  { below: 2 * MINUTE, large: [SECOND, 's'] },
  { below: 10 * MINUTE, large: [MINUTE, 'm'], small: [SECOND, 's'] },
  { below: 3 * HOUR, large: [MINUTE, 'm'] },
  { below: 8 * HOUR, large: [HOUR, 'h'], small: [MINUTE, 'm'] },
  { below: 2 * DAY, large: [HOUR, 'h'] },
  { below: 8 * DAY, large: [DAY, 'd'], small: [HOUR, 'h'] },
  { below: 2 * YEAR, large: [DAY, 'd'] },
  { below: 8 * YEAR, large: [YEAR, 'y'], small: [DAY, 'd'] },
  { below: Infinity, large: [YEAR, 'y'] },
];

/** How long ago, as kubectl shows it: `45s`, `3m12s`, `3h12m`, `5d`; `0s` for what lies in the future. */
export function formatAge(since: Date, now: Date): string {
  const age = Math.max(0, now.getTime() - since.getTime());
  for (const { below, large, small } of AGES) {
    if (age >= below) continue;
    const count = Math.floor(age / large[0]);
    const rest = small ? Math.floor((age - count * large[0]) / small[0]) : 0;
    return small && rest > 0 ? `${count}${large[1]}${rest}${small[1]}` : `${count}${large[1]}`;
  }
  return '';
}
