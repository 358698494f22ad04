import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  afterSession,
  disconnectAction,
  SETTLE_MS,
  type AfterSession,
  type EndedSession,
} from '../../../../src/lib/console/session/desktop-decision.ts';
import { connectionOf } from '../../../../src/lib/vm/state.ts';
import { RUNNING, vmOf, type VmFields } from '../objects.ts';

const annotated = (value: string) => ({ ...vmOf(), annotations: { 'vmop/on-disconnect': value } });

test('the flag wins, then the VM’s annotation, then the configuration', () => {
  assert.deepEqual(disconnectAction('stop', annotated('logout'), 'lock'), { action: 'stop' });
  assert.deepEqual(disconnectAction(undefined, annotated('logout'), 'lock'), { action: 'logout' });
  assert.deepEqual(disconnectAction(undefined, vmOf(), 'lock'), { action: 'lock' });
  assert.deepEqual(disconnectAction(undefined, vmOf(), undefined), { action: 'none' });
});

test('an annotation that makes no sense is said, and changes nothing', () => {
  const { action, problem } = disconnectAction(undefined, annotated('explode'), 'logout');
  assert.equal(action, 'logout');
  assert.match(problem ?? '', /vmop\/on-disconnect of desktop-1 is "explode", not one of none, lock/);
});

const at = (second: number, user = 'alice'): VmFields => ({
  conditions: { ...RUNNING, ConsoleConnected: `True/Connected@2026-07-01T12:00:0${second}Z` },
  status: { consoleUser: user, consoleClient: '10.0.0.1' },
});
const OURS = connectionOf(vmOf(at(1)));

const CASES: [
  what: string,
  vm: VmFields | undefined,
  outcome: EndedSession['outcome'],
  waitedMs: number,
  then: AfterSession,
][] = [
  ['just closed', {}, 'windowClosed', 0, 'wait'],
  ['closed, and nobody has come', {}, 'windowClosed', SETTLE_MS, 'act'],
  ['interrupted', {}, 'interrupted', SETTLE_MS, 'act'],
  ['the network is gone, QEMU does not know yet', at(1), 'connectionLost', SETTLE_MS, 'act'],
  ['somebody has come', at(4, 'bob'), 'windowClosed', 100, { leave: 'bob is connected again' }],
  ['reconnected by oneself', at(4), 'connectionLost', SETTLE_MS, { leave: 'alice is connected again' }],
  [
    'somebody came within the same second from the same address',
    at(1, 'bob'),
    'windowClosed',
    SETTLE_MS,
    { leave: 'bob is connected again' },
  ],
  ['taken over', at(4, 'bob'), 'takenOver', SETTLE_MS, { leave: 'somebody else has the console now' }],
  ['left alone', at(1), 'connected', SETTLE_MS, { leave: 'the session goes on' }],
  [
    'stopped',
    { conditions: { Running: 'False/VmStopped' } },
    'vmStopped',
    0,
    { leave: 'the machine does not run any more' },
  ],
  ['deleted', undefined, 'vmStopped', 0, { leave: 'the machine does not run any more' }],
];
test('a machine made anew under the name is not the one of the session', () => {
  const ended = { outcome: 'windowClosed', uid: 'u-0', connection: OURS, user: 'alice' } as const;
  assert.deepEqual(afterSession(vmOf(), ended, SETTLE_MS), { leave: 'the machine does not run any more' });
});

for (const [what, fields, outcome, waitedMs, then] of CASES) {
  test(`after a session, ${what}`, () => {
    const vm = fields && vmOf(fields);
    assert.deepEqual(
      afterSession(vm, { outcome, uid: 'u-1', connection: OURS, user: 'alice' }, waitedMs),
      then,
    );
  });
}
