import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JsonObject } from '../../../src/lib/cluster/types.ts';
import {
  grantedPermissions,
  holdersOf,
  inScope,
  missingPermission,
  permissionsOn,
  poolOf,
  type Subject,
} from '../../../src/lib/vm/permissions.ts';
import { PERMISSIONS, type Permission } from '../../../src/lib/vm/types.ts';
import { poolOfSpec, vmOf } from './objects.ts';

const alice: Subject = { name: 'alice', roles: ['staff', 'blue'], administrator: false };

describe('grants of the VM', () => {
  const cases: [name: string, grants: JsonObject[], may: Permission[]][] = [
    ['none', [], []],
    [
      'the union of user and roles',
      [
        { user: 'alice', may: ['start'] },
        { role: 'staff', may: ['stop'] },
        { role: 'blue', may: ['reset', 'stop'] },
      ],
      ['start', 'stop', 'reset'],
    ],
    [
      'not of others',
      [
        { user: 'bob', may: ['*'] },
        { role: 'red', may: ['*'] },
      ],
      [],
    ],
    ['a role does not name a user of that name', [{ role: 'alice', may: ['*'] }], []],
    ['a user does not name a role of that name', [{ user: 'staff', may: ['*'] }], []],
    ['* is all five', [{ user: 'alice', may: ['*'] }], [...PERMISSIONS]],
    [
      'takeConsole implies accessConsole',
      [{ user: 'alice', may: ['takeConsole'] }],
      ['accessConsole', 'takeConsole'],
    ],
    [
      'accessConsole does not imply takeConsole',
      [{ user: 'alice', may: ['accessConsole'] }],
      ['accessConsole'],
    ],
    ['names are case-sensitive', [{ user: 'Alice', may: ['*'] }], []],
  ];
  for (const [name, permissions, may] of cases) {
    test(name, () => {
      const held = permissionsOn(vmOf({ spec: { permissions } }), undefined, alice);
      assert.deepEqual(held, new Set(may));
    });
  }
});

describe('grants of the pool, while the VM is assigned', () => {
  const assigned = vmOf({
    spec: { permissions: [{ user: 'alice', may: ['*'] }] },
    status: { assignment: { pool: 'desktops', user: 'bob' } },
  });
  const cases: [name: string, grants: JsonObject[], may: Permission[]][] = [
    ['the VM’s own grants do not count', [], []],
    ['the pool’s do', [{ role: 'staff', may: ['start', 'accessConsole'] }], ['start', 'accessConsole']],
    ['accessConsole where may is absent', [{ user: 'alice' }], ['accessConsole']],
    ['takeConsole is unknown there, and implies nothing', [{ user: 'alice', may: ['takeConsole'] }], []],
    ['* gives takeConsole too', [{ user: 'alice', may: ['*'] }], [...PERMISSIONS]],
  ];
  for (const [name, permissions, may] of cases) {
    test(name, () => {
      assert.deepEqual(permissionsOn(assigned, poolOfSpec({ permissions }), alice), new Set(may));
    });
  }

  test('a pool that is gone gives nobody anything', () => {
    assert.deepEqual(permissionsOn(assigned, undefined, alice), new Set());
  });

  test('an assignment of {} leaves the VM to its own grants', () => {
    const vm = vmOf({
      spec: { permissions: [{ user: 'alice', may: ['stop'] }] },
      status: { assignment: {} },
    });
    assert.deepEqual(permissionsOn(vm, undefined, alice), new Set(['stop']));
  });
});

test('an administrator holds everything, though the grants give nothing', () => {
  const administrator = { ...alice, administrator: true };
  assert.deepEqual(permissionsOn(vmOf(), undefined, administrator), new Set(PERMISSIONS));
  assert.deepEqual(grantedPermissions(vmOf(), undefined, administrator), new Set());
});

test('one VM’s permissions are no part of another’s', () => {
  const first = grantedPermissions(
    vmOf({ spec: { permissions: [{ user: 'alice', may: ['takeConsole'] }] } }),
    undefined,
    alice,
  );
  assert.ok(first.has('accessConsole'));
  const second = grantedPermissions(
    vmOf({ spec: { permissions: [{ user: 'alice', may: [] }] } }),
    undefined,
    alice,
  );
  assert.deepEqual(second, new Set());
});

describe('the pool of an assignment', () => {
  const vm = vmOf({ status: { assignment: { pool: 'desktops', user: 'bob' } } });
  const here = poolOfSpec({ permissions: [] });
  test('has the same name and namespace', () => {
    assert.equal(poolOf(vm, [{ ...here, namespace: 'other' }, { ...here, name: 'x' }, here]), here);
    assert.equal(poolOf(vm, [{ ...here, namespace: 'other' }]), undefined);
  });
  test('is none without an assignment', () => assert.equal(poolOf(vmOf(), [here]), undefined));
});

describe('who holds a permission, for a message', () => {
  const grants = [
    { user: 'alice', may: ['takeConsole'] },
    { role: 'staff', may: ['*'] },
    { user: 'bob', may: ['accessConsole'] },
    { user: 'carol', may: ['start'] },
  ];
  const vm = vmOf({ spec: { permissions: grants } });
  test('takeConsole of a VM’s grant is accessConsole too', () => {
    assert.deepEqual(holdersOf(vm, undefined, 'accessConsole'), ['alice', 'role staff', 'bob']);
  });
  test('accessConsole is not takeConsole', () => {
    assert.deepEqual(holdersOf(vm, undefined, 'takeConsole'), ['alice', 'role staff']);
  });
  test('of an assigned VM the pool’s', () => {
    const assigned = vmOf({
      spec: { permissions: grants },
      status: { assignment: { pool: 'p', user: 'u' } },
    });
    assert.deepEqual(holdersOf(assigned, poolOfSpec({ permissions: [{ role: 'red' }] }), 'accessConsole'), [
      'role red',
    ]);
    assert.deepEqual(holdersOf(assigned, undefined, 'accessConsole'), []);
  });
  test('each once', () => {
    const twice = vmOf({
      spec: {
        permissions: [
          { user: 'a', may: ['stop'] },
          { user: 'a', may: ['*'] },
        ],
      },
    });
    assert.deepEqual(holdersOf(twice, undefined, 'stop'), ['a']);
  });
});

describe('the refusal for want of a permission', () => {
  test('names who holds it, and who can give it', () => {
    const vm = vmOf({
      spec: {
        permissions: [
          { user: 'bob', may: ['stop'] },
          { role: 'ops\u001b[31m', may: ['*'] },
        ],
      },
    });
    assert.deepEqual(missingPermission(vm, undefined, 'alice', 'stop').toJSON(), {
      code: 'forbidden',
      exitCode: 4,
      message: 'alice does not hold the permission stop on desktop-1',
      hint: 'spec.permissions of VM desktop-1 gives it to bob, role ops\\x1b[31m; an administrator of namespace ns can change that',
      vm: 'desktop-1',
    });
  });
  test('of an assigned VM names its pool', () => {
    const vm = vmOf({ status: { assignment: { pool: 'desktops', user: 'bob' } } });
    assert.match(
      missingPermission(vm, poolOfSpec({ permissions: [] }), 'alice', 'stop').hint ?? '',
      /of pool desktops gives it to nobody;/,
    );
    assert.match(missingPermission(vm, undefined, 'alice', 'stop').hint ?? '', /cannot be read or is gone/);
  });
});

describe('scope of a list', () => {
  const mine = vmOf({ spec: { permissions: [{ user: 'alice', may: ['stop'] }] } });
  const others = vmOf({ spec: { permissions: [{ user: 'bob', may: ['*'] }] } });
  const administrator = { ...alice, administrator: true };
  test('usable: on which one may do anything', () => {
    assert.deepEqual(
      [inScope(mine, [], alice, 'usable'), inScope(others, [], alice, 'usable')],
      [true, false],
    );
    assert.equal(inScope(others, [], administrator, 'usable'), true);
  });
  test('mine: that name one, also for an administrator', () => {
    assert.deepEqual(
      [inScope(mine, [], administrator, 'mine'), inScope(others, [], administrator, 'mine')],
      [true, false],
    );
  });
  test('all', () => assert.equal(inScope(others, [], alice, 'all'), true));
});
