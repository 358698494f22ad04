import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  confirmationVerdict,
  startBumpWaitMs,
  writeBumpWaitMs,
} from '../../../../src/lib/console/secret/confirmation.ts';
import { secretWriteDisturbance } from '../../../../src/lib/console/secret/disturbance.ts';
import type { VmPool } from '../../../../src/lib/vm/types.ts';
import { RUNNING, vmOf, type VmFields } from '../objects.ts';

const at = (seconds: number): Date => new Date(Date.parse('2026-07-01T10:00:00Z') + seconds * 1000);

const BUMPS: [what: string, vm: VmFields, now: Date, waitMs: number][] = [
  ['long after the start', {}, at(60), 0],
  ['at the moment of the start', {}, at(0), 3000],
  ['shortly after the start', {}, at(2), 1000],
  ['when the span is over', {}, at(3), 0],
  ['with a node whose clock is ahead', {}, at(-3600), 3000],
  ['with a serial that was never raised', { status: { displayPasswordSerial: 0 } }, at(3600), 3000],
  ['without a serial', { status: { displayPasswordSerial: null } }, at(3600), 3000],
  ['without protection', { status: { displayPasswordSerial: -1 } }, at(0), 0],
  ['without a time', { conditions: { Running: 'True/VmStarted' } }, at(0), 0],
  ['on a stopped VM', { conditions: { Running: 'False/VmStopped@2026-07-01T10:00:00Z' } }, at(0), 0],
];
for (const [what, fields, now, waitMs] of BUMPS) {
  test(`${what}: the start's own bump is awaited for ${waitMs} ms`, () => {
    assert.equal(startBumpWaitMs(vmOf(fields), now), waitMs);
  });
}

/** `storedAt`: when the API server stored the conditions; it is `now`, whatever the host's clock says. */
const STORED: [
  what: string,
  hostAheadSeconds: number,
  storedAt: Date,
  booted: number | undefined,
  waitMs: number,
][] = [
  ['behind, at the moment of the start', -300, at(0), undefined, 3000],
  ['behind, shortly after the start', -300, at(-2), undefined, 1000],
  ['behind, long after the start', -300, at(-60), undefined, 0],
  ['ahead, at the moment of the start', 300, at(0), undefined, 3000],
  ['ahead, long after the start', 300, at(-60), undefined, 0],
  ['behind, when the guest has only just booted', -300, at(0), 60, 0],
  ['right, when the guest has only just booted', 0, at(0), 2, 1000],
];
for (const [what, hostAheadSeconds, storedAt, booted, waitMs] of STORED) {
  test(`a host whose clock is ${what}: the start's own bump is awaited for ${waitMs} ms`, () => {
    const ran = (storedAt.getTime() - at(0).getTime()) / 1000 - (booted ?? 0) + hostAheadSeconds;
    const time = (seconds: number): string => at(seconds).toISOString();
    const conditions = {
      Running: `True/VmStarted@${time(ran)}`,
      // Of an earlier run, elsewhere.
      ConsoleConnected: `False/Disconnected@${time(-5)}`,
      ...(booted === undefined ? {} : { Booted: `True/VmBooted@${time(ran + booted)}` }),
    };
    assert.equal(startBumpWaitMs({ ...vmOf({ conditions }), conditionsWrittenAt: storedAt }, at(0)), waitMs);
  });
}

const WRITES: [what: string, vm: VmFields, writtenAt: Date | undefined, waitMs: number][] = [
  ['now', {}, at(60), 2000],
  ['a second ago', {}, at(59), 1000],
  ['long ago', {}, at(0), 0],
  ['by a server that is asked again and is behind', {}, at(70), 2000],
  ['at a time that the server does not say', {}, undefined, 0],
  ['now, for a stopped VM', { conditions: { Running: 'False/VmStopped' } }, at(60), 0],
];
for (const [what, fields, writtenAt, waitMs] of WRITES) {
  test(`a Secret written ${what}: its bump is awaited for ${waitMs} ms`, () => {
    const secret = { name: 's', namespace: 'ns', resourceVersion: '1', problems: [] };
    const written = writtenAt === undefined ? secret : { ...secret, writtenAt };
    assert.equal(writeBumpWaitMs(vmOf(fields), written, at(60)), waitMs);
  });
}

const serial = (displayPasswordSerial: number): VmFields => ({ status: { displayPasswordSerial } });
const VERDICTS: [
  what: string,
  vm: VmFields,
  before: number | undefined,
  verdict: true | RegExp | undefined,
][] = [
  ['the serial has not moved', serial(3), 3, undefined],
  ['the serial rose', serial(4), 3, true],
  ['the serial rose more than once', serial(6), 3, true],
  ['the serial fell', serial(1), 3, undefined],
  ['the first serial', serial(1), undefined, true],
  ['the default of the definition is no confirmation', serial(0), undefined, undefined],
  ['protection was switched on', serial(1), -1, true],
  ['protection was switched off', serial(-1), 3, /asks for no password/],
  ['stopped', { ...serial(3), conditions: { Running: 'False/VmStopped' } }, 3, /its next start applies/],
  ['told to stop', { ...serial(3), vm: { state: 'Stopped' } }, 3, /is stopping: its next start applies/],
  ['starting again', { ...serial(4), conditions: { Running: 'False/RunnerStarted' } }, 3, /is starting/],
];
for (const [what, fields, before, expected] of VERDICTS) {
  test(`confirmation, ${what}`, () => {
    const verdict = confirmationVerdict(vmOf(fields), before);
    if (expected === undefined) return assert.equal(verdict, undefined);
    assert.ok(verdict && 'done' in verdict);
    if (expected === true) return assert.deepEqual(verdict.done, { confirmed: true });
    assert.ok(!verdict.done.confirmed);
    assert.match(verdict.done.reason, expected);
  });
}

const AGENT = { ...RUNNING, VmopAgentConnected: 'True/VmopAgentConnected' };
const ASSIGNED = { assignment: { pool: 'p', user: 'bob', lastUsed: '2026-07-01T09:00:00Z' } };
const pool = (loginOnAssignment: boolean): VmPool => ({
  name: 'p',
  namespace: 'ns',
  permissions: [],
  retention: 'PT1h',
  loginOnAssignment,
  problems: [],
});
const user = (loggedInUser: string) => ({ display: { spice: {}, loggedInUser } });
const DISTURBANCES: [what: string, vm: VmFields, pool: VmPool | undefined, disturbs: RegExp | undefined][] = [
  ['nobody wanted, agent there', { conditions: AGENT }, undefined, /opened there by hand ends/],
  ['nobody wanted, no agent', {}, undefined, undefined],
  [
    'nobody wanted, the condition of an earlier run',
    { conditions: { ...RUNNING, VmopAgentConnected: 'False/VmStopped' } },
    undefined,
    undefined,
  ],
  ['stopped', { conditions: { ...AGENT, Running: 'False/VmStopped' } }, undefined, undefined],
  [
    'alice wanted and there',
    { conditions: AGENT, vm: user('alice'), status: { loggedInUser: 'alice' } },
    undefined,
    undefined,
  ],
  [
    'alice wanted and not there',
    { conditions: AGENT, vm: user('alice') },
    undefined,
    /log in alice once more/,
  ],
  [
    'the pool logs in its user',
    { conditions: AGENT, status: { ...ASSIGNED, loggedInUser: 'bob' } },
    pool(true),
    undefined,
  ],
  ['the pool does not log in', { conditions: AGENT, status: ASSIGNED }, pool(false), /by hand/],
  [
    'the pool is unknown',
    { conditions: AGENT, status: { ...ASSIGNED, loggedInUser: 'bob' } },
    undefined,
    /by hand/,
  ],
];
for (const [what, fields, assignedPool, disturbs] of DISTURBANCES) {
  test(`a write to the Secret, ${what}`, () => {
    const sentence = secretWriteDisturbance(vmOf(fields), assignedPool);
    if (disturbs === undefined) assert.equal(sentence, undefined);
    else assert.match(sentence ?? '', disturbs);
  });
}
