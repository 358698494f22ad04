import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  displayWidth,
  escapeUnsafe,
  isUnsafe,
  sanitize,
  sanitizeLines,
  truncate,
} from '../../../src/lib/text.ts';

test('what a terminal would act upon is shown', () => {
  const cases: [string, string][] = [
    ['desktop-1', 'desktop-1'],
    ['Müller 東京 👩‍💻', 'Müller 東京 👩‍💻'],
    ['\x1b[2Jgone', '\\x1b[2Jgone'],
    ['\x1b]0;title\x07', '\\x1b]0;title\\x07'],
    ['a\nb\r\tc', 'a\\nb\\r\\tc'],
    ['\x00\x7f\x9b31m', '\\x00\\x7f\\x9b31m'],
    ['\u202etxt.exe\u2066\u2069', '\\u202etxt.exe\\u2066\\u2069'],
    ['\u2028', '\\u2028'],
  ];
  for (const [text, expected] of cases) {
    assert.equal(sanitize(text), expected);
    assert.equal(isUnsafe(text), text !== expected);
  }
  assert.equal(sanitizeLines('a\n\tb\x1b'), 'a\n\tb\\x1b');
  assert.equal(escapeUnsafe('"\x9b\u202e"\n'), '"\\u009b\\u202e"\n');
});

test('display width', () => {
  const cases: [string, number][] = [
    ['', 0],
    ['abc', 3],
    ['Müller', 6],
    ['Mu\u0308ller', 6],
    ['東京', 4],
    ['한국', 4],
    ['ｱ', 1],
    ['Ａ', 2],
    ['👩‍💻', 2],
    ['🇩🇪', 2],
    ['❤\ufe0f', 2],
    ['✓…→', 3],
    ['\u200b', 0],
  ];
  for (const [text, width] of cases) assert.equal(displayWidth(text), width, JSON.stringify(text));
});

test('truncated text fits and is never cut within a character', () => {
  const cases: [string, number, string][] = [
    ['desktop', 7, 'desktop'],
    ['desktop', 6, 'deskt…'],
    ['desktop', 1, '…'],
    ['desktop', 0, ''],
    ['東京都', 6, '東京都'],
    ['東京都', 5, '東京…'],
    ['東京都', 4, '東…'],
    ['a👩‍💻b', 3, 'a…'],
  ];
  for (const [text, columns, expected] of cases) assert.equal(truncate(text, columns), expected);
});
