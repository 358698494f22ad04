import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DisplaySecret } from '../../../../src/lib/console/secret/display-secret.ts';
import {
  decidePassword,
  generatePassword,
  msUntilExpiry,
  parseExpiry,
  passwordPatch,
  passwordProblem,
  type Expiry,
} from '../../../../src/lib/console/secret/password.ts';
import { errorOf } from '../helpers.ts';

const NOW = new Date('2026-07-01T10:00:00.400Z');
const EPOCH = 1782900000;
const SECRET: DisplaySecret = { name: 's', namespace: 'ns', resourceVersion: '7', problems: [] };

const EXPIRIES: [text: string | undefined, expiry: Expiry][] = [
  [undefined, { kind: 'never' }],
  ['never', { kind: 'never' }],
  ['now', { kind: 'now' }],
  ['+30', { kind: 'after', seconds: 30 }],
  ['1795289866', { kind: 'at', date: new Date(1795289866000) }],
  ['0', { kind: 'at', date: new Date(0) }],
  ...[
    '',
    'abc',
    '-5',
    ' +30',
    'never\n',
    '1795289866\n',
    '12.5',
    '1e9',
    '+',
    '99999999999999999999',
    'Never',
    '٣',
  ].map((text): [string, Expiry] => [text, { kind: 'invalid', text }]),
];
for (const [text, expiry] of EXPIRIES) {
  test(`expiry ${JSON.stringify(text)}`, () => assert.deepEqual(parseExpiry(text), expiry));
}

const LASTING: [text: string | undefined, ms: number][] = [
  [undefined, Infinity],
  ['never', Infinity],
  ['now', 0],
  ['abc', 0],
  ['+30', 30_000],
  [String(EPOCH + 60), 59_600],
  [String(EPOCH), -400],
];
for (const [text, ms] of LASTING) {
  test(`time until expiry ${text}`, () => assert.equal(msUntilExpiry(parseExpiry(text), NOW), ms));
}

const DECISIONS: [expiry: string | undefined, password: string | undefined, action: 'keep' | 'write'][] = [
  [undefined, 'old', 'keep'],
  ['never', 'old', 'keep'],
  [String(EPOCH + 61), 'old', 'keep'],
  // Exactly as long as a new one: VM-Operator wants it longer.
  [String(EPOCH + 60), 'old', 'write'],
  [String(EPOCH - 1), 'old', 'write'],
  ['now', 'old', 'write'],
  ['+3600', 'old', 'write'],
  ['whatever', 'old', 'write'],
  ['never\n', 'old', 'write'],
  ['', 'old', 'write'],
  ['never', undefined, 'write'],
  [undefined, undefined, 'write'],
];
for (const [expiry, password, action] of DECISIONS) {
  test(`expiry ${JSON.stringify(expiry)} with password ${password}: ${action}`, () => {
    const secret = {
      ...SECRET,
      ...(expiry === undefined ? {} : { expiry }),
      ...(password === undefined ? {} : { password }),
    };
    const decision = decidePassword(secret, { now: NOW, validitySeconds: 60 });
    assert.equal(decision.action, action);
    if (decision.action === 'keep') return assert.equal(decision.password, password);
    assert.equal(decision.expiry, String(EPOCH + 60));
    assert.notEqual(decision.password, password);
  });
}

test('a new password can be asked for in any case', () => {
  const secret = { ...SECRET, password: 'old', expiry: 'never' };
  assert.equal(decidePassword(secret, { now: NOW, validitySeconds: 60, force: true }).action, 'write');
});

test('a generated password is 16 bytes in base64, and another each time', () => {
  const password = generatePassword();
  assert.match(password, /^[A-Za-z0-9+/]{22}==$/);
  assert.notEqual(generatePassword(), password);
  assert.equal(passwordProblem(password), undefined);
});

const PASSWORDS: [password: string, problem: RegExp | undefined][] = [
  ['x', undefined],
  [' leading and trailing ', undefined],
  ['a'.repeat(59), undefined],
  ['a'.repeat(60), /60 bytes long, and SPICE takes at most 59/],
  ['é'.repeat(30), /60 bytes/],
  ['🖥'.repeat(14), undefined],
  ['', /empty/],
  ['a\nb', /line end or a NUL/],
  ['a\r', /line end or a NUL/],
  ['a\0', /line end or a NUL/],
  ['a\ud800', /half a character/],
];
for (const [password, problem] of PASSWORDS) {
  test(`chosen password ${JSON.stringify(password)}`, () => {
    if (problem === undefined) assert.equal(passwordProblem(password), undefined);
    else assert.match(passwordProblem(password) ?? '', problem);
  });
}

test('a patch changes what is named, in the version that was read', () => {
  assert.deepEqual(passwordPatch(SECRET, { password: 'abc', expiry: 'never' }), {
    type: 'merge',
    body: {
      metadata: { resourceVersion: '7' },
      data: { 'display-password': 'YWJj', 'password-expiry': 'bmV2ZXI=' },
    },
  });
  assert.deepEqual(passwordPatch(SECRET, { expiry: 'now' }), {
    type: 'merge',
    body: { metadata: { resourceVersion: '7' }, data: { 'password-expiry': 'bm93' } },
  });
});

test('what QEMU would not take is refused before it is written, the password not shown', () => {
  const expiry = errorOf(() => passwordPatch(SECRET, { expiry: 'tomorrow\n' }));
  assert.equal(expiry.code, 'usage');
  assert.equal(expiry.message, '"tomorrow\\n" is not an expiry');
  const password = errorOf(() => passwordPatch(SECRET, { password: 'hunter2\n' }));
  assert.equal(password.code, 'usage');
  assert.doesNotMatch(password.message, /hunter2/);
});
