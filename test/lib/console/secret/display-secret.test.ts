import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseDisplaySecret, DISPLAY_SECRETS } from '../../../../src/lib/console/secret/display-secret.ts';
import { asObject, parseObject } from '../../../../src/lib/cluster/parse.ts';
import { secretObject } from '../objects.ts';

const parse = (object: unknown) =>
  DISPLAY_SECRETS.parse(parseObject(object, { apiVersion: 'v1', kind: 'Secret' }));

test('a Secret is decoded', () => {
  assert.deepEqual(parse(secretObject({ 'display-password': 'pässword', 'password-expiry': '1795289866' })), {
    name: 'desktop-1-display-secret',
    namespace: 'ns',
    resourceVersion: '1',
    createdAt: new Date('2026-07-01T09:00:00Z'),
    password: 'pässword',
    expiry: '1795289866',
    problems: [],
  });
});

const BROKEN: [what: string, value: unknown][] = [
  ['not base64', '%%%'],
  ['base64 that was cut off', 'YWJj='],
  ['bytes that are no UTF-8', '/////w=='],
  ['a number', 5],
  ['an object', { a: 1 }],
];
for (const [what, value] of BROKEN) {
  test(`a password that is ${what} is no password, and its value is not shown`, () => {
    const secret = parse({ ...secretObject({}), data: { 'display-password': value } });
    assert.equal(secret.password, undefined);
    assert.deepEqual(secret.problems, ['display-password is not text in base64']);
  });
}

test('absent and empty values, and a Secret without data', () => {
  assert.equal(parse(secretObject({ 'display-password': '' })).password, undefined);
  assert.equal(parse(secretObject({ 'password-expiry': '' })).expiry, '');
  assert.deepEqual(parse({ ...secretObject({}), data: null }).problems, []);
  assert.deepEqual(parse({ metadata: asObject(secretObject({})['metadata']) }).problems, []);
});

test('a byte order mark and line ends stay as they are: the runner sees them too', () => {
  assert.equal(parse(secretObject({ 'display-password': '\ufeffabc\n' })).password, '\ufeffabc\n');
});

test('of several Secrets everybody takes the same: the oldest, then the first by name', () => {
  const young = parse(secretObject({}, { name: 'a', createdAt: '2026-07-02T00:00:00Z' }));
  const old = parse(secretObject({}, { name: 'z', createdAt: '2026-07-01T00:00:00Z' }));
  const twin = parse(secretObject({}, { name: 'y', createdAt: '2026-07-01T00:00:00Z' }));
  const ageless = parse(secretObject({}, { name: '0', createdAt: 'whenever' }));
  const orders = [
    [young, old, twin, ageless],
    [ageless, twin, old, young],
    [old, ageless, young, twin],
  ];
  for (const order of orders) {
    const { secret, warnings } = chooseDisplaySecret(order);
    assert.equal(secret?.name, 'y');
    assert.deepEqual(warnings, [
      'several Secrets are labelled as the display secret: y, the oldest, is used, not z, a, 0',
    ]);
  }
  assert.equal(chooseDisplaySecret([ageless, { ...ageless, name: '1' }]).secret?.name, '0');
  assert.deepEqual(chooseDisplaySecret([]), { secret: undefined, warnings: [] });
});

test('what is broken in the chosen Secret is a warning', () => {
  const secret = parse({ ...secretObject({}), data: { 'password-expiry': '%' } });
  assert.deepEqual(chooseDisplaySecret([secret]).warnings, [
    'Secret desktop-1-display-secret: password-expiry is not text in base64',
  ]);
});
