import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAgentLine } from '../../../src/lib/guest/agent-line.ts';

const LINES: [string, number | undefined, string, string][] = [
  ['220 the agent', 220, 'ready', 'the agent'],
  ['220', 220, 'ready', ''],
  ['201 alice is logged in', 201, 'loggedIn', 'alice is logged in'],
  ['202 ', 202, 'loggedOut', ''],
  ['102-desktop stopped', 102, 'info', 'desktop stopped'],
  ['199\tx', 199, 'info', 'x'],
  ['451 no', 451, 'error', 'no'],
  ['504 root', 504, 'error', 'root'],
  ['599 x', 599, 'error', 'x'],
  ['600 x', 600, 'other', 'x'],
  ['240 quit', 240, 'other', 'quit'],
  ['200 ok', 200, 'other', 'ok'],
  ['000 x', 0, 'other', 'x'],
  ['220ready', 220, 'ready', 'ready'],
  // Not a code: four digits, other digits, a sign, white space before it.
  ['2201 x', undefined, 'other', '2201 x'],
  ['２２０ x', undefined, 'other', '２２０ x'],
  ['-20 x', undefined, 'other', '-20 x'],
  [' 220 x', undefined, 'other', ' 220 x'],
  ['', undefined, 'other', ''],
  ['22', undefined, 'other', '22'],
  ['hello', undefined, 'other', 'hello'],
  // Control characters are kept as data; whoever prints shows them.
  ['201 \u001b[2Jx', 201, 'loggedIn', '\u001b[2Jx'],
  ['201 a\nb', 201, 'loggedIn', 'a\nb'],
];

test('a line of the agent becomes a message of a closed set', () => {
  for (const [line, code, kind, text] of LINES)
    assert.deepEqual(parseAgentLine(line), { code, kind, text }, line);
});

test('long hostile lines take no time', () => {
  const line = `220${' '.repeat(200_000)}x`;
  assert.equal(parseAgentLine(line).text, 'x');
});
