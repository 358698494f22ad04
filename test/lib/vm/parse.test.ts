import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseQuantity } from '../../../src/lib/vm/quantity.ts';
import { parsedPool, parsedVm, vmObject, vmOf } from './objects.ts';

describe('a broken object is still a row', () => {
  const cases: [name: string, object: unknown, problems: string[]][] = [
    ['nothing at all', undefined, ['spec is missing']],
    ['null', null, ['spec is missing']],
    ['a number', 7, ['spec is missing']],
    ['a list', [], ['spec is missing']],
    ['no spec', { metadata: { name: 'x' } }, ['spec is missing']],
    ['spec null', { metadata: { name: 'x' }, spec: null }, ['spec is missing']],
    ['spec a string', { metadata: { name: 'x' }, spec: 'on' }, ['spec is missing']],
    ['no spec.vm', { metadata: { name: 'x' }, spec: {} }, ['spec.vm is missing']],
    ['spec.vm a list', { metadata: { name: 'x' }, spec: { vm: [] } }, ['spec.vm is missing']],
    [
      'a state of another kind',
      vmObject({ vm: { state: true } }),
      ['spec.vm.state is true, not Running or Stopped'],
    ],
    [
      'a state of tomorrow',
      vmObject({ vm: { state: 'Paused' } }),
      ['spec.vm.state is "Paused", not Running or Stopped'],
    ],
    ['RAM in words', vmObject({ vm: { maximumRam: 'lots' } }), ['spec.vm.maximumRam is not a quantity']],
    ['RAM null', vmObject({ vm: { currentRam: null } }), ['spec.vm.currentRam is not a quantity']],
    ['conditions a map', vmObject({ status: { conditions: {} } }), ['status.conditions is not a list']],
    ['permissions a map', vmObject({ spec: { permissions: {} } }), ['spec.permissions is not a list']],
    [
      'a port in words',
      vmObject({ vm: { display: { spice: { port: '5900' } } } }),
      ['spec.vm.display.spice.port is not a number'],
    ],
  ];
  for (const [name, object, problems] of cases) {
    test(name, () => {
      const vm = parsedVm(object);
      assert.deepEqual(vm.problems, problems);
      assert.equal(typeof vm.name, 'string');
      assert.ok(Array.isArray(vm.status.conditions));
    });
  }

  test('wrong types everywhere lose the fields, not the row', () => {
    const vm = parsedVm({
      metadata: { name: 7, namespace: [], labels: 'x', annotations: { a: 1, b: 'c' }, generation: '3' },
      spec: {
        pools: ['a', 7, null],
        permissions: 'all',
        vm: { maximumCpus: '4', currentCpus: 1.5, powerdownTimeout: '900', display: [] },
      },
      status: {
        cpus: '2',
        ram: {},
        osinfo: { name: 'x', list: [] },
        displayPasswordSerial: '3',
        loggedInUser: 7,
        assignment: 'me',
        conditions: [null, 'x', 7, { type: 'Running', status: true, lastTransitionTime: 'yesterday' }],
      },
    });
    assert.deepEqual(vm.labels, {});
    assert.deepEqual(vm.annotations, { b: 'c' });
    assert.deepEqual(vm.spec, {
      state: 'Stopped',
      powerdownTimeoutSeconds: 900,
      pools: ['a'],
      permissions: [],
    });
    assert.deepEqual(vm.status, {
      osinfo: { name: 'x' },
      conditions: [
        ...Array.from({ length: 3 }, () => ({ type: '', status: 'Unknown', reason: '', message: '' })),
        { type: 'Running', status: 'Unknown', reason: '', message: '' },
      ],
    });
  });
});

test('fields that this version does not know are passed over', () => {
  const known = vmOf();
  const newer = parsedVm({
    ...vmObject({ spec: { future: [1], vm2: {} }, vm: { gpu: { count: 1 } }, status: { heat: 11 } }),
    more: true,
  });
  assert.deepEqual(newer, known);
});

test('an older object without status, permissions and pools gets the defaults of the CRD', () => {
  const vm = parsedVm({ metadata: { name: 'x', namespace: 'ns' }, spec: { vm: { maximumCpus: 2 } } });
  assert.deepEqual(vm.spec, {
    state: 'Stopped',
    maximumCpus: 2,
    powerdownTimeoutSeconds: 900,
    pools: [],
    permissions: [],
  });
  assert.deepEqual(vm.status, { osinfo: {}, conditions: [] });
  assert.deepEqual(vm.problems, []);
});

test('an optional field that is absent is no key', () => {
  const keys = Object.keys(vmOf().status);
  assert.deepEqual(keys.sort(), ['conditions', 'osinfo', 'runnerVersion']);
});

describe('permissions: exactly one of user and role', () => {
  const cases: [name: string, grant: unknown, kept: unknown[]][] = [
    ['a user', { user: 'alice', may: ['start'] }, [{ user: 'alice', may: ['start'] }]],
    ['a role', { role: 'staff', may: ['*'] }, [{ role: 'staff', may: ['*'] }]],
    ['neither', { may: ['start'] }, []],
    ['both', { user: 'alice', role: 'staff', may: ['start'] }, []],
    ['a user that is a number', { user: 7, may: ['start'] }, []],
    ['a string', 'alice', []],
    ['null', null, []],
    ['no may: nothing', { user: 'alice' }, [{ user: 'alice', may: [] }]],
    ['may of another type: nothing', { user: 'alice', may: '*' }, [{ user: 'alice', may: [] }]],
    [
      'an unknown may is dropped',
      { user: 'alice', may: ['fly', 'stop', 7] },
      [{ user: 'alice', may: ['stop'] }],
    ],
    ['a name of Object.prototype is unknown', { user: 'a', may: ['constructor'] }, [{ user: 'a', may: [] }]],
    ['twice the same', { user: 'alice', may: ['stop', 'stop'] }, [{ user: 'alice', may: ['stop'] }]],
  ];
  for (const [name, grant, kept] of cases) {
    test(name, () => {
      const vm = vmOf({ spec: { permissions: [grant] } });
      assert.deepEqual(vm.spec.permissions, kept);
      const problems = kept.length > 0 ? [] : ['spec.permissions[0] names neither or both of user and role'];
      assert.deepEqual(vm.problems, problems);
    });
  }

  test('the broken grant does not take the others with it', () => {
    const vm = vmOf({ spec: { permissions: [null, { user: 'alice', may: ['stop'] }] } });
    assert.deepEqual(vm.spec.permissions, [{ user: 'alice', may: ['stop'] }]);
  });
});

test('trap 9: an assignment of {} is none', () => {
  const assignments: [unknown, unknown][] = [
    [{}, undefined],
    [null, undefined],
    [{ pool: 'p' }, undefined],
    [{ user: 'u' }, undefined],
    [
      { pool: 'p', user: 'u' },
      { pool: 'p', user: 'u' },
    ],
    [
      { pool: 'p', user: 'u', lastUsed: 'x' },
      { pool: 'p', user: 'u' },
    ],
    [
      { pool: 'p', user: 'u', lastUsed: '2026-07-01T10:00:00.123456Z' },
      { pool: 'p', user: 'u', lastUsed: new Date('2026-07-01T10:00:00.123Z') },
    ],
  ];
  for (const [assignment, parsed] of assignments) {
    assert.deepEqual(vmOf({ status: { assignment } }).status.assignment, parsed);
  }
});

test('trap 5: an empty user is nobody', () => {
  const vm = vmOf({ vm: { display: { loggedInUser: '' } }, status: { loggedInUser: '', consoleUser: '' } });
  assert.equal(vm.spec.loggedInUser, undefined);
  assert.equal(vm.status.loggedInUser, undefined);
  assert.equal(vm.status.consoleUser, undefined);
});

test('CPUs of a topology', () => {
  const cpus = (vm: object): number | undefined =>
    parsedVm({ spec: { vm: { maximumCpus: undefined, ...vm } } }).spec.maximumCpus;
  assert.equal(cpus({ cpuTopology: { sockets: 2, coresPerSocket: 4, threadsPerCore: 2 } }), 16);
  assert.equal(cpus({ cpuTopology: {} }), undefined);
  assert.equal(cpus({ cpuTopology: { sockets: 2 }, maximumCpus: 3 }), 3);
});

describe('quantities', () => {
  const cases: [unknown, number | undefined][] = [
    ['1G', 1e9],
    ['2Gi', 2 ** 31],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['2 GiB', 2 ** 31],
    ['1.5 GB', 1.5e9],
    ['512MiB', 2 ** 29],
    ['10kB', 10_000],
    ['7B', 7],
    ['1e9', 1e9],
    ['1E', 1e18],
    ['1Ei', 2 ** 60],
    ['.5Gi', 2 ** 29],
    ['5.Gi', 5 * 2 ** 30],
    ['+1Gi', 2 ** 30],
    ['1000m', 1],
    ['1073741824', 2 ** 30],
    [1073741824, 2 ** 30],
    [0, 0],
    ['0', 0],
    [-1, undefined],
    ['-1Gi', undefined],
    [NaN, undefined],
    [Infinity, undefined],
    ['', undefined],
    ['Gi', undefined],
    ['.', undefined],
    ['1 2', undefined],
    ['1gi', undefined],
    ['1toString', undefined],
    ['1constructor', undefined],
    [true, undefined],
    [null, undefined],
    [{}, undefined],
    [['1'], undefined],
  ];
  for (const [value, expected] of cases) {
    test(JSON.stringify(value) ?? String(value), () => assert.equal(parseQuantity(value), expected));
  }
});

describe('pools', () => {
  test('may is accessConsole by default, and takeConsole comes only through *', () => {
    const { permissions } = parsedPool({
      metadata: { name: 'p' },
      spec: {
        permissions: [
          { role: 'a' },
          { role: 'b', may: [] },
          { role: 'c', may: ['takeConsole', 'start'] },
          { role: 'd', may: ['*'] },
        ],
      },
    });
    assert.deepEqual(permissions, [
      { role: 'a', may: ['accessConsole'] },
      { role: 'b', may: [] },
      { role: 'c', may: ['start'] },
      { role: 'd', may: ['*'] },
    ]);
  });

  test('the other defaults', () => {
    const pool = parsedPool({ metadata: { name: 'p', namespace: 'ns' }, spec: { permissions: [] } });
    assert.deepEqual(pool, {
      name: 'p',
      namespace: 'ns',
      permissions: [],
      retention: 'PT1h',
      loginOnAssignment: false,
      problems: [],
    });
  });

  test('a broken pool gives nobody anything', () => {
    for (const object of [
      undefined,
      {},
      { spec: 7 },
      { spec: { permissions: 'all', loginOnAssignment: 'yes' } },
    ]) {
      const pool = parsedPool(object);
      assert.deepEqual(pool.permissions, []);
      assert.equal(pool.loginOnAssignment, false);
    }
  });
});
