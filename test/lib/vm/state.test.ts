import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  agentOf,
  consoleUse,
  isRunning,
  phaseOf,
  resendEndsManualSession,
  startObstacle,
  wantedUser,
  type GuestAgent,
  type VmPhase,
} from '../../../src/lib/vm/state.ts';
import {
  CREATED,
  poolOfSpec,
  RUNNER_STARTED,
  RUNNING,
  STOPPED,
  TERMINATING,
  vmOf,
  type VmParts,
} from './objects.ts';

const wanted = (state: string, parts: VmParts = {}): VmParts => ({ ...parts, vm: { ...parts.vm, state } });
const noRunner = { status: { runnerVersion: undefined } };

describe('phase', () => {
  const cases: [name: string, parts: VmParts, phase: VmPhase][] = [
    ['running', wanted('Running'), 'running'],
    ['no condition at all', wanted('Running', { conditions: {} }), 'starting'],
    ['just made', wanted('Running', { conditions: CREATED, ...noRunner }), 'starting'],
    ['just made, to be stopped', wanted('Stopped', { conditions: CREATED, ...noRunner }), 'stopped'],
    ['seen 1: a runner has started', wanted('Running', { conditions: RUNNER_STARTED }), 'starting'],
    [
      'seen 1: a restart keeps VmStopped',
      wanted('Running', { conditions: STOPPED, ...noRunner }),
      'starting',
    ],
    ['asked to stop, not terminating yet', wanted('Stopped'), 'stopping'],
    ['seen 9: terminating keeps Running True', wanted('Stopped', { conditions: TERMINATING }), 'stopping'],
    [
      'seen 9: killed by force, Running=True/VmTerminating stays for good',
      wanted('Stopped', { conditions: TERMINATING, ...noRunner }),
      'stopped',
    ],
    [
      'seen 9: killed by force and wanted again',
      wanted('Running', { conditions: TERMINATING, ...noRunner }),
      'starting',
    ],
    [
      'seen 9: a failed start flashes VmTerminating',
      wanted('Running', { conditions: TERMINATING }),
      'starting',
    ],
    ['the runner is still there, the machine is not', wanted('Stopped', { conditions: STOPPED }), 'stopped'],
    ['Running Unknown', wanted('Running', { conditions: { Running: 'Unknown/X' } }), 'starting'],
    ['an older runner that reports no version runs', wanted('Running', noRunner), 'running'],
    [
      'being deleted while it runs',
      wanted('Running', { metadata: { deletionTimestamp: '2026-07-01T10:00:00Z' } }),
      'stopping',
    ],
    [
      'being deleted while it starts',
      wanted('Running', { metadata: { deletionTimestamp: '2026-07-01T10:00:00Z' }, conditions: CREATED }),
      'stopped',
    ],
  ];
  for (const [name, parts, phase] of cases) test(name, () => assert.equal(phaseOf(vmOf(parts)), phase));
});

test('seen 9: terminating without a runner is dead', () => {
  assert.equal(isRunning(vmOf({ conditions: TERMINATING })), true);
  assert.equal(isRunning(vmOf({ conditions: TERMINATING, ...noRunner })), false);
  assert.equal(isRunning(vmOf({ conditions: RUNNING, ...noRunner })), true);
});

describe('seen 4: currentCpus 1 never starts', () => {
  const cases: [name: string, parts: VmParts, obstacle: boolean][] = [
    ['asked for', { vm: { currentCpus: 1 }, conditions: RUNNER_STARTED }, true],
    [
      'the runner’s default where the field is absent',
      { vm: { currentCpus: undefined }, conditions: RUNNER_STARTED, status: { cpus: 1 } },
      true,
    ],
    [
      'two are asked for, one is there yet',
      { vm: { currentCpus: 2 }, conditions: RUNNER_STARTED, status: { cpus: 1 } },
      false,
    ],
    ['no runner has started yet', { vm: { currentCpus: 1 }, conditions: CREATED }, false],
    ['it runs (reduced later)', { vm: { currentCpus: 1 } }, false],
    [
      'nobody wants it to run',
      { vm: { state: 'Stopped', currentCpus: 1 }, conditions: RUNNER_STARTED },
      false,
    ],
  ];
  for (const [name, parts, obstacle] of cases) {
    test(name, () => {
      const sentence = startObstacle(vmOf(parts));
      assert.equal(sentence !== undefined, obstacle);
      if (obstacle) assert.match(sentence ?? '', /currentCpus is (1|absent).*set it to 2/);
    });
  }
});

describe('trap 11: user and client of an earlier console stay in the status', () => {
  const stale = { consoleUser: 'alice', consoleClient: '10.0.0.7' };
  const connected = { ...RUNNING, ConsoleConnected: 'True/Connected' };
  const cases: [name: string, parts: VmParts, use: object][] = [
    [
      'connected',
      { conditions: connected, status: stale },
      { connected: true, user: 'alice', client: '10.0.0.7', since: new Date('2026-07-01T10:00:00Z') },
    ],
    [
      'not connected any more',
      { conditions: { ...RUNNING, ConsoleConnected: 'False/Disconnected' }, status: stale },
      { connected: false },
    ],
    ['never connected', { status: stale }, { connected: false }],
    [
      'a viewer started by hand',
      { conditions: connected },
      { connected: true, since: new Date('2026-07-01T10:00:00Z') },
    ],
    [
      'left by an earlier run of the machine',
      { conditions: { ...RUNNING, ConsoleConnected: 'True/Connected@2026-07-01T09:59:59Z' }, status: stale },
      { connected: false },
    ],
    [
      'killed by force while connected',
      {
        conditions: { ...TERMINATING, ConsoleConnected: 'True/Connected' },
        status: { ...stale, ...noRunner.status },
      },
      { connected: false },
    ],
    [
      'stopped',
      { conditions: { ...STOPPED, ConsoleConnected: 'True/Connected' }, status: stale },
      { connected: false },
    ],
  ];
  for (const [name, parts, use] of cases) test(name, () => assert.deepEqual(consoleUse(vmOf(parts)), use));
});

describe('wanted user', () => {
  const spec = { vm: { display: { loggedInUser: 'alice' } } };
  const assigned = { status: { assignment: { pool: 'desktops', user: 'bob' } } };
  const logsIn = poolOfSpec({ permissions: [], loginOnAssignment: true });
  const doesNot = poolOfSpec({ permissions: [] });
  test('the VM’s own', () => assert.equal(wantedUser(vmOf(spec), undefined), 'alice'));
  test('loginOnAssignment: the assignment’s overrides it', () =>
    assert.equal(wantedUser(vmOf({ ...spec, ...assigned }), logsIn), 'bob'));
  test('without loginOnAssignment it does not', () =>
    assert.equal(wantedUser(vmOf({ ...spec, ...assigned }), doesNot), 'alice'));
  test('the pool is gone', () =>
    assert.equal(wantedUser(vmOf({ ...spec, ...assigned }), undefined), 'alice'));
  test('an assignment of {} is none', () =>
    assert.equal(wantedUser(vmOf({ ...spec, status: { assignment: {} } }), logsIn), 'alice'));
  test('nobody', () => assert.equal(wantedUser(vmOf(), undefined), undefined));
});

describe('trap 3: the agent’s condition is not cleared when it goes away', () => {
  const greeted = { VmopAgentConnected: 'True/Connected' };
  const cases: [name: string, parts: VmParts, agent: GuestAgent][] = [
    ['greeted', { conditions: { ...RUNNING, ...greeted } }, 'connected'],
    ['not yet', { conditions: RUNNING }, 'silent'],
    [
      'seen 6: VmStopped until the first greeting',
      { conditions: { ...RUNNING, VmopAgentConnected: 'False/VmStopped' } },
      'silent',
    ],
    ['killed by force', { conditions: { ...TERMINATING, ...greeted }, ...noRunner }, 'absent'],
    ['stopped', { conditions: { ...STOPPED, ...greeted } }, 'absent'],
  ];
  for (const [name, parts, agent] of cases) test(name, () => assert.equal(agentOf(vmOf(parts)), agent));
});

describe('trap 4, seen 2: any change on a VM without a wanted user can end a manual session', () => {
  const greeted = { ...RUNNING, VmopAgentConnected: 'True/Connected' };
  const wish = { display: { loggedInUser: 'alice' } };
  const pool = poolOfSpec({ permissions: [], loginOnAssignment: true });
  const assigned = { assignment: { pool: 'desktops', user: 'bob' } };
  const cases: [name: string, parts: VmParts, ends: boolean][] = [
    ['agent connected, nobody wanted', { conditions: greeted }, true],
    ['somebody wanted', { conditions: greeted, vm: wish }, false],
    ['wanted by the pool', { conditions: greeted, status: assigned }, false],
    ['no agent', { conditions: RUNNING }, false],
    ['not running', { conditions: { ...greeted, ...STOPPED } }, false],
  ];
  for (const [name, parts, ends] of cases) {
    test(name, () => assert.equal(resendEndsManualSession(vmOf(parts), pool), ends));
  }
});
