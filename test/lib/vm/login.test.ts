import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  guestUserProblem,
  loginDisturbance,
  loginObstacle,
  loginRefusal,
  loginVerdict,
} from '../../../src/lib/vm/login.ts';
import type { Vm } from '../../../src/lib/vm/types.ts';
import { poolOfSpec, RUNNING, STOPPED, TERMINATING, vmOf, type VmParts } from './objects.ts';

describe('trap 6: names that may reach the guest', () => {
  const fit = ['alice', 'a', '_svc', 'a-b', 'a_b', 'x1', 'a'.repeat(32), 'rooty'];
  const unfit = [
    'root',
    '',
    ' ',
    'a b',
    'alice ',
    ' alice',
    'alice\n',
    'alice\nlogin root',
    'alice\r',
    'Alice',
    '1a',
    '-a',
    'a'.repeat(33),
    'a.b',
    'a:b',
    'a"b',
    "a'b",
    'ä',
    'a\u0000',
    'а', // Cyrillic
    'a/b',
    '../a',
    '$(id)',
    'alice#',
    'a: b',
  ];
  for (const name of fit) test(`fit: ${name}`, () => assert.equal(guestUserProblem(name), undefined));
  for (const name of unfit) {
    test(`refused: ${JSON.stringify(name)}`, () => assert.equal(typeof guestUserProblem(name), 'string'));
  }
});

test('whoever uses the console is logged out by who may take it', () => {
  const permissions = [
    { user: 'alice', may: ['accessConsole'] },
    { user: 'bob', may: ['takeConsole'] },
  ];
  const vm = vmOf({
    spec: { permissions },
    vm: { display: { loggedInUser: 'carol' } },
    conditions: { ...RUNNING, ConsoleConnected: 'True/Connected' },
    status: { consoleUser: 'carol' },
  });
  const refusal = (name: string, user?: string, of: Vm = vm, administrator = false): string | undefined =>
    loginRefusal(of, undefined, { name, roles: [], administrator }, { user })?.message;
  assert.equal(refusal('alice'), 'carol is connected to desktop-1, and alice does not hold takeConsole');
  assert.equal(refusal('alice', 'alice'), refusal('alice'));
  assert.equal(refusal('alice', 'carol'), undefined, 'nothing would change');
  assert.equal(refusal('carol'), undefined, 'one’s own console');
  assert.equal(refusal('bob'), undefined);
  assert.equal(refusal('alice', undefined, vm, true), undefined);
  assert.equal(refusal('alice', undefined, vmOf({ spec: { permissions } })), undefined, 'nobody is there');
});

describe('obstacle: loginOnAssignment overrides the VM’s own field', () => {
  const vm = vmOf({ status: { assignment: { pool: 'desktops', user: 'bob' } } });
  const logsIn = poolOfSpec({ permissions: [], loginOnAssignment: true });
  const refused = (user: string | undefined, pool = logsIn): boolean => {
    const error = loginObstacle(vm, pool, { user });
    if (error) {
      assert.equal(error.code, 'state');
      assert.equal(error.vm, 'desktop-1');
      assert.match(error.message, /assigned to bob by pool desktops/);
    }
    return error !== undefined;
  };
  test('another user', () => assert.equal(refused('alice'), true));
  test('nobody', () => assert.equal(refused(undefined), true));
  test('the same user', () => assert.equal(refused('bob'), false));
  test('a pool that does not log in', () =>
    assert.equal(refused('alice', poolOfSpec({ permissions: [] })), false));
  test('a pool that is gone', () => assert.equal(loginObstacle(vm, undefined, { user: 'alice' }), undefined));
  test('no assignment', () => assert.equal(loginObstacle(vmOf(), logsIn, { user: 'alice' }), undefined));
});

test('trap 4: a change may end a session that was opened by hand', () => {
  const greeted = { ...RUNNING, VmopAgentConnected: 'True/Connected' };
  assert.match(
    loginDisturbance(vmOf({ conditions: greeted }), undefined, { user: 'bob' }) ?? '',
    /by hand.*session ends/,
  );
  assert.equal(loginDisturbance(vmOf(), undefined, { user: 'bob' }), undefined);
  const wish = vmOf({ conditions: greeted, vm: { display: { loggedInUser: 'bob' } } });
  assert.equal(loginDisturbance(wish, undefined, { user: 'alice' }), undefined);
});

describe('verdict', () => {
  const loggedIn = { ...RUNNING, UserLoggedIn: 'True/LoggedIn' };
  type Expected = 'done' | 'failed' | undefined;
  const cases: [name: string, parts: VmParts, user: string | undefined, expected: Expected][] = [
    ['confirmed', { conditions: loggedIn, status: { loggedInUser: 'alice' } }, 'alice', 'done'],
    [
      'trap 1: UserLoggedIn turns True before the login completes',
      { conditions: loggedIn },
      'alice',
      undefined,
    ],
    [
      'seen 5: alice → bob keeps UserLoggedIn True',
      { conditions: loggedIn, status: { loggedInUser: 'alice' } },
      'bob',
      undefined,
    ],
    ['seen 5: no condition, yet the name stands', { status: { loggedInUser: 'bob' } }, 'bob', 'done'],
    ['logged out', { conditions: { ...RUNNING, UserLoggedIn: 'False/NotRequested' } }, undefined, 'done'],
    [
      'trap 1: NotRequested before the logout completes',
      {
        conditions: { ...RUNNING, UserLoggedIn: 'False/NotRequested' },
        status: { loggedInUser: 'alice' },
      },
      undefined,
      undefined,
    ],
    ['stopped meanwhile', { conditions: STOPPED, vm: { state: 'Stopped' } }, 'alice', 'failed'],
    [
      'stopped, the name left behind',
      {
        conditions: STOPPED,
        vm: { state: 'Stopped' },
        status: { loggedInUser: 'alice' },
      },
      'alice',
      'failed',
    ],
    [
      'killed by force, the name left behind',
      {
        conditions: TERMINATING,
        status: { loggedInUser: 'alice', runnerVersion: undefined },
      },
      'alice',
      undefined,
    ],
    ['still starting', { conditions: { Running: 'False/RunnerStarted' } }, 'alice', undefined],
  ];
  for (const [name, parts, user, expected] of cases) {
    test(name, () => {
      const verdict = loginVerdict(vmOf(parts), { user });
      assert.equal(verdict && ('done' in verdict ? 'done' : 'failed'), expected);
      if (verdict && 'failed' in verdict) assert.equal(verdict.failed.code, 'state');
    });
  }
});
