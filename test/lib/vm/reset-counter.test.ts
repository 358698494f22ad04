import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as yaml from 'yaml';
import { raiseResetCounter } from '../../../src/lib/vm/reset-counter.ts';
import { VmopError } from '../../../src/lib/errors.ts';

/** Whatever a library might write anew: octal and large numbers, quotes, comments, long lines, blocks, anchors. */
const WHOLE = `# made by the manager
"/Runner":
    dataDir:   "/var/local/vm-data"   # spaces
    resetCounter: 41 # raised by resets
    mode: 0640
    octal: 010
    large: 12345678901234567890
    on: yes
    float: 1.50
    text: "a very long line that a library would fold at eighty columns, which it must not do, as one may rely on it"
    cloudInit:
      userData: |
        #cloud-config
        resetCounter: 7
    base: &base {a: 1,   b: 2}
    other: *base
    empty:
resetCounter: 3
...
`;

test('everything but the counter stays to the letter', () => {
  assert.equal(raiseResetCounter(WHOLE, yaml), WHOLE.replace('resetCounter: 41', 'resetCounter: 42'));
});

describe('the counter', () => {
  const cases: [name: string, before: string, after: string][] = [
    [
      'in a flow map',
      '{"/Runner": {"resetCounter": 9, "x": 010}}',
      '{"/Runner": {"resetCounter": 10, "x": 010}}',
    ],
    ['in quotes', '/Runner:\n  resetCounter: "4"\n', '/Runner:\n  resetCounter: 5\n'],
    ['absent: it was 0', '/Runner:\n  a: 010\n', '/Runner:\n  resetCounter: 1\n  a: 010\n'],
    [
      'absent, where the first line is a comment further in',
      '/Runner:\n    # x\n  a: 1\n',
      '/Runner:\n  # x\n  a: 1\n  resetCounter: 1\n',
    ],
    ['absent from a flow map', '{"/Runner": {}}', '{ "/Runner": { resetCounter: 1 } }\n'],
    ['without a value', '/Runner:\n  resetCounter:\n  a: 1\n', '/Runner:\n  resetCounter: 1\n  a: 1\n'],
    ['that is no number', '/Runner:\n  resetCounter: many\n', '/Runner:\n  resetCounter: 1\n'],
    ['with Windows line ends', '/Runner:\r\n  resetCounter: 1\r\n', '/Runner:\r\n  resetCounter: 2\r\n'],
    ['at the end of the text', '/Runner:\n  resetCounter: 1', '/Runner:\n  resetCounter: 2'],
    [
      'behind characters of several units',
      '/Runner:\n  a: "ä😀"\n  resetCounter: 1\n',
      '/Runner:\n  a: "ä😀"\n  resetCounter: 2\n',
    ],
  ];
  for (const [name, before, after] of cases) {
    test(name, () => assert.equal(raiseResetCounter(before, yaml), after));
  }
});

describe('what is no configuration of a runner is left alone', () => {
  for (const text of [
    '',
    'hello',
    '[1]',
    '/Runner:\n',
    '/Runner: 7\n',
    '/Other:\n  resetCounter: 1\n',
    'a: [',
    'a: 1\n---\n/Runner: {}\n',
  ]) {
    test(JSON.stringify(text), () => {
      const refusal = (error: unknown): boolean => error instanceof VmopError && error.code === 'failed';
      assert.throws(() => raiseResetCounter(text, yaml), refusal);
    });
  }
});
