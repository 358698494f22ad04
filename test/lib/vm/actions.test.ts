import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { VmAction } from '../../../src/lib/vm/action-requests.ts';
import { actionRequests, actionVerdict, parseAction, vmActions } from '../../../src/lib/vm/actions.ts';
import type { Subject } from '../../../src/lib/vm/permissions.ts';
import { PERMISSIONS, type Permission } from '../../../src/lib/vm/types.ts';
import { vmOf } from './objects.ts';

const alice: Subject = { name: 'alice', roles: [], administrator: false };
const boss: Subject = { name: 'boss', roles: [], administrator: true };
const holding = (...may: (Permission | '*')[]) => vmOf({ spec: { permissions: [{ user: 'alice', may }] } });

describe('what each permission is enough for, of spec.permissions', () => {
  const cases: [permission: Permission, actions: VmAction[]][] = [
    ['start', ['show', 'start']],
    ['stop', ['show', 'stop']],
    ['reset', ['show', 'reset']],
    ['accessConsole', ['show', 'console', 'login', 'secret']],
    ['takeConsole', ['show', 'console', 'take', 'login', 'secret']],
  ];
  const allowed = (vm: ReturnType<typeof vmOf>, subject = alice): VmAction[] =>
    vmActions().filter(
      (action) => actionVerdict(action, { vm, pool: undefined, subject }, []).permissions.allowed,
    );
  for (const [permission, actions] of cases) {
    test(permission, () => assert.deepEqual(allowed(holding(permission)), actions));
  }
  test('none', () => assert.deepEqual(allowed(vmOf()), []));
  test('start and stop together: restart', () =>
    assert.deepEqual(allowed(holding('start', 'stop')), ['show', 'start', 'stop', 'restart']));
  test('all: everything but permissions', () =>
    assert.deepEqual(
      allowed(holding('*')),
      vmActions().filter((action) => action !== 'permissions'),
    ));
  test('an administrator: everything', () => assert.deepEqual(allowed(vmOf(), boss), vmActions()));
});

describe('what each action asks of the API server', () => {
  const vm = vmOf({ vm: { display: { spice: {} } } });
  const asked = (action: VmAction, secret: string | undefined, which: boolean): string[] =>
    actionRequests(action, vm, secret)
      .filter(({ needed }) => needed === which)
      .map(({ request: { verb, resource, subresource, name = 'any' } }) =>
        [verb, subresource === undefined ? resource : `${resource}/${subresource}`, name].join(' '),
      );
  const READ = ['get vms desktop-1'];
  const FOLLOW = ['list vms desktop-1', 'watch vms desktop-1'];
  const cases: [action: VmAction, needed: string[], helpful: string[]][] = [
    [
      'show',
      READ,
      [...FOLLOW, 'get pods desktop-1', 'get events any', 'list events any', 'watch events any'],
    ],
    ['start', [...READ, 'patch vms desktop-1'], FOLLOW],
    ['stop', [...READ, 'patch vms desktop-1'], [...FOLLOW, 'get pods desktop-1', 'delete pods desktop-1']],
    [
      'reset',
      [...READ, 'get configmaps desktop-1', 'patch configmaps desktop-1', 'patch pods desktop-1'],
      FOLLOW,
    ],
    [
      'console',
      [...READ, 'get secrets s', 'patch secrets s'],
      [
        ...FOLLOW,
        'patch vms desktop-1',
        'get vms/status desktop-1',
        'patch vms/status desktop-1',
        'get pods desktop-1',
        'create pods/portforward desktop-1',
        'get pods/portforward desktop-1',
      ],
    ],
    ['secret', [...READ, 'get secrets s', 'patch secrets s'], FOLLOW],
  ];
  for (const [action, needed, helpful] of cases) {
    test(action, () => {
      assert.deepEqual(asked(action, 's', true), needed);
      assert.deepEqual(asked(action, 's', false), helpful);
    });
  }
  test('no Secret: it is not asked for', () => assert.deepEqual(asked('console', undefined, true), READ));
});

describe('verdicts', () => {
  const request = (allowed: boolean) => ({
    verb: 'patch',
    resource: 'vms',
    name: 'desktop-1',
    allowed,
    needed: true,
  });
  const cases: [name: string, held: boolean, server: boolean, difference: RegExp | undefined][] = [
    ['both say yes', true, true, undefined],
    ['both say no', false, false, undefined],
    ['only spec.permissions says yes', true, false, /vmop access apply/],
    ['only the API server says yes', false, true, /admission policies/],
  ];
  for (const [name, held, server, difference] of cases) {
    test(name, () => {
      const vm = held ? holding('start') : vmOf();
      const verdict = actionVerdict('start', { vm, pool: undefined, subject: alice }, [
        request(true),
        request(server),
      ]);
      assert.equal(verdict.allowed, held && server);
      assert.deepEqual([verdict.permissions.allowed, verdict.server.allowed], [held, server]);
      assert.equal(verdict.differ, difference !== undefined);
      assert.match(verdict.difference ?? '', difference ?? /^$/);
    });
  }

  test('reasons', () => {
    const reason = (action: VmAction, vm = vmOf(), subject = alice) =>
      actionVerdict(action, { vm, pool: undefined, subject }, []).permissions;
    const because = (...parts: Parameters<typeof reason>): string => reason(...parts).because;
    assert.equal(because('restart', holding('start', 'stop')), 'alice holds start, stop');
    assert.equal(because('restart', holding('start')), 'alice does not hold stop');
    assert.match(reason('restart', holding('start')).hint ?? '', /gives it to nobody;/);
    assert.equal(because('show'), 'alice holds no permission');
    assert.match(reason('show').hint ?? '', /^an administrator of namespace ns/);
    assert.match(because('permissions', holding('*')), /^no permission is for this: only administrators/);
    assert.equal(because('start', vmOf(), boss), 'boss is an administrator of namespace ns');
    const { server } = actionVerdict('start', { vm: vmOf(), pool: undefined, subject: alice }, [
      request(false),
    ]);
    assert.equal(server.because, 'its rules do not allow: patch vms "desktop-1"');
  });
});

test('names of actions', () => {
  assert.equal(parseAction('accessConsole'), 'console');
  assert.equal(parseAction('takeConsole'), 'take');
  for (const name of vmActions()) assert.equal(parseAction(name), name);
  for (const name of ['fly', '', 'toString']) assert.throws(() => parseAction(name), /not an action/);
  assert.ok(PERMISSIONS.every((permission) => parseAction(permission)));
});
