import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseVmName } from '../../../src/lib/cli/targets.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { whyEmpty } from '../../../src/lib/tasks/list.ts';
import { parseGuestUser } from '../../../src/lib/tasks/login.ts';
import { parseValidity } from '../../../src/lib/tasks/validity.ts';
import { mayText } from '../../../src/lib/tasks/views.ts';
import { PERMISSIONS, type Permission } from '../../../src/lib/vm/types.ts';

const isUsage = (error: unknown): boolean => error instanceof VmopError && error.code === 'usage';

describe('a VM’s name', () => {
  test('in the namespace of the context, or with its own', () => {
    assert.deepEqual(parseVmName('a', 'ns'), { namespace: 'ns', name: 'a' });
    assert.deepEqual(parseVmName('other/a', 'ns'), { namespace: 'other', name: 'a' });
  });
  for (const text of ['', '/', 'a/', '/a', 'a/b/c', '//', 'a//b']) {
    test(`not ${JSON.stringify(text)}`, () => assert.throws(() => parseVmName(text, 'ns'), isUsage));
  }
});

describe('why a list is empty', () => {
  const alice = { name: 'alice', roles: [], administrator: false };
  const cases: [name: string, args: Parameters<typeof whyEmpty>, sentence: string][] = [
    [
      'no VM',
      [0, 'desks', undefined, alice],
      'There is no VM in namespace "desks"; vmop list -A looks in all namespaces.',
    ],
    ['no VM anywhere', [0, undefined, undefined, alice], 'There is no VM in any namespace.'],
    [
      'none with the labels',
      [0, 'desks', 'team=blue', alice],
      'There is no VM with the labels team=blue in namespace "desks"; vmop list -A looks in all namespaces.',
    ],
    [
      'one that is not mine',
      [1, 'desks', undefined, alice],
      'One VM is in namespace "desks", but none gives the user "alice" a permission; vmop list --all-vms shows them.',
    ],
    [
      'several, with roles and labels',
      [7, undefined, 'a=b', { ...alice, roles: ['staff', 'blue'] }],
      '7 VMs are in any namespace with the labels a=b, but none gives the user "alice" or the roles staff, blue a permission; ' +
        'vmop list --all-vms shows them.',
    ],
  ];
  for (const [name, args, sentence] of cases) test(name, () => assert.equal(whyEmpty(...args), sentence));
});

describe('what one may, in short', () => {
  const cases: [may: readonly Permission[], text: string | undefined][] = [
    [[], undefined],
    [PERMISSIONS, '*'],
    [['start', 'stop', 'reset'], 'start,stop,reset'],
    [['accessConsole'], 'console'],
    [['accessConsole', 'takeConsole'], 'take'],
    [['takeConsole'], 'take'],
  ];
  for (const [may, text] of cases) test(may.join() || 'nothing', () => assert.equal(mayText(may), text));
});

test('a user to log in', () => {
  assert.equal(parseGuestUser('alice'), 'alice');
  for (const name of ['root', '', 'a b', 'a\nb', '-x']) assert.throws(() => parseGuestUser(name), isUsage);
});

describe('a validity', () => {
  for (const [text, seconds] of [
    ['60', 60],
    ['1s', 1],
    ['1h30m', 5400],
    ['2m', 120],
    ['24h', 86_400],
    ['1d', 86_400],
  ] as const) {
    test(text, () => assert.equal(parseValidity(text), seconds));
  }
  for (const text of ['0', '0s', '500ms', '1500ms', '25h', '86401', '-1', 'never', '', 'soon', '1e3']) {
    test(`not ${JSON.stringify(text)}`, () => assert.throws(() => parseValidity(text), isUsage));
  }
});
