const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

interface Scale {
  /** Applies below this many milliseconds. */
  below: number;
  unit: [number, string];
  /** Shown beside it, unless it is 0. */
  smaller?: [number, string];
}

const SCALES: Scale[] = [
  { below: 2 * MINUTE, unit: [SECOND, 's'] },
  { below: 10 * MINUTE, unit: [MINUTE, 'm'], smaller: [SECOND, 's'] },
  { below: 3 * HOUR, unit: [MINUTE, 'm'] },
  { below: 8 * HOUR, unit: [HOUR, 'h'], smaller: [MINUTE, 'm'] },
  { below: 2 * DAY, unit: [HOUR, 'h'] },
  { below: 8 * DAY, unit: [DAY, 'd'], smaller: [HOUR, 'h'] },
  { below: 2 * YEAR, unit: [DAY, 'd'] },
  { below: 8 * YEAR, unit: [YEAR, 'y'], smaller: [DAY, 'd'] },
  { below: Infinity, unit: [YEAR, 'y'] },
];

/** How long ago a time was, in the two digits that kubectl shows: `15s`, `5m10s`, `3d4h`; `<unknown>` for none. */
export function ageText(time: string | undefined, now: Date): string {
  const since = time === undefined ? NaN : now.getTime() - new Date(time).getTime();
  if (Number.isNaN(since)) return '<unknown>';
  // Clocks differ a little; an age from the future is none.
  const age = Math.max(0, since);
  const scale = SCALES.find(({ below }) => age < below);
  if (scale === undefined) return '<unknown>';
  const [length, suffix] = scale.unit;
  const whole = `${Math.floor(age / length)}${suffix}`;
  if (scale.smaller === undefined) return whole;
  const [small, smallSuffix] = scale.smaller;
  const rest = Math.floor((age % length) / small);
  return rest === 0 ? whole : `${whole}${rest}${smallSuffix}`;
}
