/** A value as JSON can hold it. */
export type Plain = string | number | boolean | null | Plain[] | { [key: string]: Plain };

/** RFC 3339 in UTC with seconds: `2026-11-22T04:53:46Z`. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

function convertible(value: unknown): boolean {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol';
}

/**
 * What `-o json` shows of a typed result: times by `formatTime` (null when invalid), undefined fields left out,
 * `toJSON` followed.
 */
export function toPlain(value: unknown): Plain {
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : formatTime(value);
  if (Array.isArray(value)) return value.map((item) => toPlain(item));
  if (typeof value !== 'object' || value === null) return null;
  if ('toJSON' in value && typeof value.toJSON === 'function') return toPlain(value.toJSON());
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => convertible(field))
      .map(([key, field]) => [key, toPlain(field)]),
  );
}
