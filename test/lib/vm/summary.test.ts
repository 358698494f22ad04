import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseObject } from '../../../src/lib/cluster/parse.ts';
import { describeVm } from '../../../src/lib/vm/detail.ts';
import { EVENTS, eventsOf } from '../../../src/lib/vm/events.ts';
import type { Subject } from '../../../src/lib/vm/permissions.ts';
import { summarize } from '../../../src/lib/vm/summary.ts';
import { parsedVm, poolOfSpec, RUNNER_STARTED, RUNNING, STOPPED, vmOf } from './objects.ts';

const alice: Subject = { name: 'alice', roles: [], administrator: false };

describe('summary', () => {
  test('of a running VM: what the runner reports', () => {
    const vm = vmOf({
      spec: { permissions: [{ user: 'alice', may: ['takeConsole', 'start'] }], pools: ['desktops'] },
      vm: { maximumRam: '4Gi', currentRam: '2Gi' },
      conditions: { ...RUNNING, ConsoleConnected: 'True/Connected' },
      status: { cpus: 3, ram: '3Gi', loggedInUser: 'bob', consoleUser: 'bob' },
    });
    assert.deepEqual(summarize(vm, [], alice), {
      name: 'desktop-1',
      namespace: 'ns',
      state: 'running',
      wantedState: 'Running',
      loggedInUser: 'bob',
      console: { connected: true, user: 'bob', since: new Date('2026-07-01T10:00:00Z') },
      pools: ['desktops'],
      cpus: 3,
      memoryBytes: 3 * 2 ** 30,
      may: ['start', 'accessConsole', 'takeConsole'],
      createdAt: new Date('2026-07-01T09:00:00Z'),
      problems: [],
    });
  });

  test('of a VM that does not run: what is asked for; a user left in the status is nobody', () => {
    const vm = vmOf({
      vm: { state: 'Stopped', maximumRam: '4Gi' },
      conditions: STOPPED,
      status: { cpus: 0, ram: '0', loggedInUser: 'bob' },
    });
    const { cpus, memoryBytes, loggedInUser, state } = summarize(vm, [], alice);
    assert.deepEqual([state, cpus, memoryBytes, loggedInUser], ['stopped', 2, 4 * 2 ** 30, undefined]);
  });

  test('without currentCpus: the maximum', () => {
    const vm = vmOf({ vm: { state: 'Stopped', currentCpus: undefined }, conditions: STOPPED });
    assert.equal(summarize(vm, [], alice).cpus, 4);
  });

  test('of nothing at all: the least that a row needs', () => {
    assert.deepEqual(summarize(parsedVm(undefined), [], alice), {
      name: '',
      namespace: '',
      state: 'stopped',
      wantedState: 'Stopped',
      console: { connected: false },
      pools: [],
      may: [],
      problems: ['spec is missing'],
    });
  });

  test('may of an assigned VM comes from its pool', () => {
    const vm = vmOf({
      spec: { permissions: [{ user: 'alice', may: ['*'] }] },
      status: { assignment: { pool: 'desktops', user: 'alice', lastUsed: '2026-07-01T10:00:00Z' } },
    });
    const pool = poolOfSpec({ permissions: [{ user: 'alice' }] });
    const { may, assignment } = summarize(vm, [pool], alice);
    assert.deepEqual(may, ['accessConsole']);
    assert.deepEqual(assignment, { pool: 'desktops', user: 'alice' });
  });
});

test('detail adds what stands in the way, who is wanted, and the display', () => {
  const vm = vmOf({
    spec: { permissions: [{ role: 'staff', may: ['start'] }] },
    vm: {
      currentCpus: 1,
      display: { loggedInUser: 'bob', spice: { port: 5910, server: 'desk.example', proxyUrl: '' } },
    },
    conditions: RUNNER_STARTED,
    status: { osinfo: { 'pretty-name': 'Debian' }, cpus: 1 },
  });
  const detail = describeVm(vm, {
    pools: [],
    pool: undefined,
    subject: alice,
    events: [],
    password: { secret: 's', serial: 3 },
  });
  assert.match(detail.obstacle ?? '', /currentCpus/);
  assert.equal(detail.wantedUser, 'bob');
  assert.equal(detail.guestAgent, 'absent');
  assert.deepEqual(detail.display, { port: 5910, server: 'desk.example' });
  assert.deepEqual(detail.permissions, [{ role: 'staff', may: ['start'] }]);
  assert.deepEqual(detail.password, { secret: 's', serial: 3 });
  assert.equal(detail.maximumCpus, 4);
  assert.ok(!Object.values(detail).includes(undefined));
});

describe('events', () => {
  const parse = (event: object): unknown => EVENTS.parse(parseObject(event, { apiVersion: '', kind: '' }));
  test('seen 12: ConsoleConnectionUpdate has its text in the reason and no note', () => {
    const event = {
      metadata: { name: 'e', creationTimestamp: '2026-07-01T09:00:00Z' },
      type: 'Normal',
      action: 'ConsoleConnectionUpdate',
      reason: 'Connection from 127.0.0.1',
      eventTime: '2026-07-01T10:00:00.123456Z',
    };
    assert.deepEqual(parse(event), {
      at: new Date('2026-07-01T10:00:00.123Z'),
      type: 'Normal',
      action: 'ConsoleConnectionUpdate',
      reason: 'Connection from 127.0.0.1',
      note: '',
    });
  });
  test('the latest time that it names', () => {
    const times = { metadata: { creationTimestamp: '2026-07-01T09:00:00Z' }, eventTime: null };
    const at = (event: object): unknown => Reflect.get(Object(parse(event)), 'at');
    assert.deepEqual(at(times), new Date('2026-07-01T09:00:00Z'));
    assert.deepEqual(
      at({ ...times, deprecatedLastTimestamp: '2026-07-01T09:30:00Z' }),
      new Date('2026-07-01T09:30:00Z'),
    );
    const series = { lastObservedTime: '2026-07-01T11:00:00Z', count: 2 };
    assert.deepEqual(
      at({ ...times, eventTime: '2026-07-01T10:00:00Z', series }),
      new Date('2026-07-01T11:00:00Z'),
    );
  });
  test('a broken one is still an event', () => {
    assert.deepEqual(parse({}), { type: '', reason: '', action: '', note: '' });
  });
  test('are found by the VM that they regard', () => {
    assert.equal(eventsOf('a'), 'regarding.kind=VirtualMachine,regarding.name=a');
  });
});
