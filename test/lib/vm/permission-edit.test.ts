import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VmopError } from '../../../src/lib/errors.ts';
import {
  editPermissions,
  entriesOf,
  parseGrantee,
  parsePermissions,
  refuseOnPool,
  type Grantee,
  type PermissionsOwner,
} from '../../../src/lib/vm/permission-edit.ts';
import type { Permission } from '../../../src/lib/vm/types.ts';

const ALICE: Grantee = { user: 'alice' };
const BOB = { user: 'bob', may: ['start'], note: 'kept' };
type May = (Permission | '*')[];

describe('granting', () => {
  const cases: [name: string, before: unknown, may: May, after: unknown, owner?: PermissionsOwner][] = [
    ['the first of all', undefined, ['start'], [{ user: 'alice', may: ['start'] }]],
    ['a further one', [BOB], ['start'], [BOB, { user: 'alice', may: ['start'] }]],
    [
      'more to an entry, which keeps its place and what is not known here',
      [{ user: 'alice', may: ['stop', 'fly'], note: 'hers' }, BOB],
      ['start', 'stop'],
      [{ user: 'alice', may: ['stop', 'fly', 'start'], note: 'hers' }, BOB],
    ],
    [
      'what several entries give becomes one',
      [{ user: 'alice', may: ['stop'] }, BOB, { user: 'alice', may: ['reset'], extra: 1 }],
      ['start'],
      [{ user: 'alice', may: ['stop', 'reset', 'start'], extra: 1 }, BOB],
    ],
    ['all', [{ user: 'alice', may: ['stop'] }], ['*'], [{ user: 'alice', may: ['*'] }]],
    ['what is held already', [{ user: 'alice', may: ['stop', 'start'] }], ['start'], undefined],
    ['what * includes', [{ user: 'alice', may: ['*'] }], ['start'], undefined],
    [
      'a role of the same name is somebody else',
      [{ role: 'alice', may: ['start'] }],
      ['start'],
      [
        { role: 'alice', may: ['start'] },
        { user: 'alice', may: ['start'] },
      ],
    ],
    [
      'an entry that names both, or is none, stays as it is',
      [{ user: 'alice', role: 'x', may: ['start'] }, 7],
      ['start'],
      [{ user: 'alice', role: 'x', may: ['start'] }, 7, { user: 'alice', may: ['start'] }],
    ],
    [
      'an entry that gives nothing',
      [{ user: 'alice', may: [] }],
      ['stop'],
      [{ user: 'alice', may: ['stop'] }],
    ],
    [
      'on a pool the default is kept',
      [{ user: 'alice' }],
      ['start'],
      [{ user: 'alice', may: ['accessConsole', 'start'] }],
      'pool',
    ],
  ];
  for (const [name, before, may, after, owner = 'vm'] of cases) {
    test(name, () => {
      const copy: unknown = structuredClone(before);
      assert.deepEqual(editPermissions(before, { action: 'grant', grantee: ALICE, may }, owner), after);
      assert.deepEqual(before, copy, 'what was read stays');
    });
  }
});

describe('revoking', () => {
  const cases: [name: string, before: unknown, may: May, after: unknown, owner?: PermissionsOwner][] = [
    [
      'one of several',
      [{ user: 'alice', may: ['start', 'stop'] }, BOB],
      ['stop'],
      [{ user: 'alice', may: ['start'] }, BOB],
    ],
    ['the last one', [{ user: 'alice', may: ['stop'] }, BOB], ['stop'], [BOB]],
    [
      'everything',
      [{ user: 'alice', may: ['stop', 'fly'] }, BOB, { user: 'alice', may: ['start'] }],
      ['*'],
      [BOB],
    ],
    ['what is not held', [{ user: 'alice', may: ['stop'] }], ['start'], undefined],
    ['of nobody', [BOB], ['start'], undefined],
    ['of nothing', undefined, ['*'], undefined],
    [
      'one of all leaves the others',
      [{ user: 'alice', may: ['*'] }],
      ['start'],
      [{ user: 'alice', may: ['stop', 'reset', 'accessConsole', 'takeConsole'] }],
    ],
    [
      'the console, with what includes it',
      [{ user: 'alice', may: ['start', 'takeConsole'] }],
      ['accessConsole'],
      [{ user: 'alice', may: ['start'] }],
    ],
    [
      'taking over leaves the console',
      [{ user: 'alice', may: ['accessConsole', 'takeConsole'] }],
      ['takeConsole'],
      [{ user: 'alice', may: ['accessConsole'] }],
    ],
    ['on a pool, the default', [{ user: 'alice' }], ['accessConsole'], [], 'pool'],
    [
      'on a pool, one of all',
      [{ user: 'alice', may: ['*'] }],
      ['takeConsole'],
      [{ user: 'alice', may: ['start', 'stop', 'reset', 'accessConsole'] }],
      'pool',
    ],
  ];
  for (const [name, before, may, after, owner = 'vm'] of cases) {
    test(name, () =>
      assert.deepEqual(editPermissions(before, { action: 'revoke', grantee: ALICE, may }, owner), after),
    );
  }
});

test('what is no list is not edited', () => {
  for (const broken of [{}, 'x', null]) {
    assert.throws(
      () => editPermissions(broken, { action: 'grant', grantee: ALICE, may: ['start'] }, 'vm'),
      /spec\.permissions is not a list/,
    );
  }
});

test('what entries give, as written', () => {
  const entries = [
    { role: 'staff' },
    { role: 'staff', may: ['fly', 'start'] },
    { user: 'staff', may: ['stop'] },
  ];
  assert.deepEqual(entriesOf(entries, { role: 'staff' }, 'vm'), ['fly', 'start']);
  assert.deepEqual(entriesOf(entries, { role: 'staff' }, 'pool'), ['accessConsole', 'fly', 'start']);
});

describe('names of users and roles', () => {
  for (const name of ['alice', 'oidc:alice@example.org', 'Domain Users', 'cn=staff,ou=groups', 'zoë']) {
    test(`${name} is one`, () => {
      assert.deepEqual(parseGrantee(name, undefined), { user: name });
      assert.deepEqual(parseGrantee(undefined, name), { role: name });
    });
  }
  for (const name of ['', ' alice', 'alice ', 'a\nb', 'a\u202eb', 'x'.repeat(254)]) {
    test(`${JSON.stringify(name.slice(0, 9))} is none`, () =>
      assert.throws(
        () => parseGrantee(name, undefined),
        (error) => error instanceof VmopError && error.code === 'usage',
      ));
  }
  test('it is one of the two', () => {
    assert.throws(() => parseGrantee('a', 'b'), /one user or one role/);
    assert.throws(() => parseGrantee(undefined, undefined), /one user or one role/);
  });
});

describe('words for permissions', () => {
  const cases: [texts: string[], may: May][] = [
    [['start,stop'], ['start', 'stop']],
    [
      ['stop', 'start, stop'],
      ['start', 'stop'],
    ],
    [
      ['console', 'take'],
      ['accessConsole', 'takeConsole'],
    ],
    [['*'], ['*']],
  ];
  for (const [texts, may] of cases)
    test(texts.join(' '), () => assert.deepEqual(parsePermissions(texts), may));
  for (const text of ['', 'start,', 'Start', 'fly', 'toString']) {
    test(`${JSON.stringify(text)} is none`, () =>
      assert.throws(() => parsePermissions([text]), /not a permission/));
  }
  test('a pool knows no takeConsole of its own', () => {
    const change = { grantee: ALICE, may: ['takeConsole'] as const };
    assert.throws(() => refuseOnPool({ ...change, action: 'grant' }), /only|takeConsole/);
    refuseOnPool({ ...change, action: 'revoke' });
    refuseOnPool({ ...change, action: 'grant', may: ['*'] });
  });
});
