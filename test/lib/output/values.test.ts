import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAge, formatDuration, parseDuration } from '../../../src/lib/output/duration.ts';
import { toPlain } from '../../../src/lib/output/plain.ts';
import { formatBytes } from '../../../src/lib/output/quantity.ts';

test('durations', () => {
  const cases: [string, number, string][] = [
    ['90', 90_000, '1m30s'],
    ['0', 0, '0s'],
    ['90s', 90_000, '1m30s'],
    ['2m', 120_000, '2m'],
    ['1h30m', 5_400_000, '1h30m'],
    ['1d', 86_400_000, '1d'],
    ['1.5h', 5_400_000, '1h30m'],
    ['500ms', 500, '500ms'],
    ['1m500ms', 60_500, '1m1s'],
  ];
  for (const [text, milliseconds, formatted] of cases) {
    assert.equal(parseDuration(text), milliseconds);
    assert.equal(formatDuration(milliseconds), formatted);
  }
  for (const text of ['', '-5', '5x', '1h 30m', 'm', '1e3', '.5s', '5M']) {
    assert.throws(() => parseDuration(text), { code: 'usage', hint: /1h30m/ }, text);
  }
});

test('ages as kubectl shows them', () => {
  const [second, minute, hour, day, year] = [1, 60, 3600, 86_400, 365 * 86_400];
  const cases: [number, string][] = [
    [-5, '0s'],
    [0, '0s'],
    [45, '45s'],
    [119, '119s'],
    [2 * minute, '2m'],
    [3 * minute + 12 * second, '3m12s'],
    [10 * minute + 5, '10m'],
    [179 * minute, '179m'],
    [3 * hour + 12 * minute, '3h12m'],
    [8 * hour + 5 * minute, '8h'],
    [47 * hour, '47h'],
    [2 * day, '2d'],
    [2 * day + 5 * hour, '2d5h'],
    [8 * day + 5 * hour, '8d'],
    [400 * day, '400d'],
    [2 * year + 3 * day, '2y3d'],
    [9 * year + 3 * day, '9y'],
  ];
  const now = new Date('2026-11-22T04:53:46Z');
  for (const [seconds, expected] of cases) {
    assert.equal(formatAge(new Date(now.getTime() - seconds * 1000), now), expected);
  }
});

test('sizes', () => {
  const cases: [number, string][] = [
    [0, '0'],
    [512, '512'],
    [1024, '1Ki'],
    [512 * 2 ** 20, '512Mi'],
    [2 * 2 ** 30, '2Gi'],
    [1.5 * 2 ** 30, '1.5Gi'],
    [2 ** 30 - 1, '1Gi'],
    [1000 ** 3, '953.7Mi'],
    [2 ** 60, '1024Pi'],
  ];
  for (const [bytes, expected] of cases) assert.equal(formatBytes(bytes), expected);
});

test('plain values', () => {
  const cases: [unknown, unknown][] = [
    [new Date('2026-11-22T04:53:46.789Z'), '2026-11-22T04:53:46Z'],
    [new Date(NaN), null],
    [
      { a: undefined, b: null, c: [undefined] },
      { b: null, c: [null] },
    ],
    [{ toJSON: () => ({ at: new Date(0) }) }, { at: '1970-01-01T00:00:00Z' }],
    [
      [1, NaN, true, 10n],
      [1, null, true, '10'],
    ],
    [{ f: () => 1 }, {}],
  ];
  for (const [value, expected] of cases) assert.deepEqual(toPlain(value), expected);
});
