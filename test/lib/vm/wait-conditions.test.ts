import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseWaitCondition, WAIT_CONDITIONS } from '../../../src/lib/vm/wait-conditions.ts';
import { CREATED, RUNNER_STARTED, RUNNING, STOPPED, TERMINATING, vmOf, type VmParts } from './objects.ts';

const stopped: VmParts = {
  conditions: STOPPED,
  vm: { state: 'Stopped' },
  status: { runnerVersion: undefined },
};
const killed = { conditions: TERMINATING, status: { runnerVersion: undefined } };

const cases: [condition: string, holds: [string, VmParts][], not: [string, VmParts][]][] = [
  [
    'running',
    [['it runs', {}]],
    [
      ['it starts', { conditions: RUNNER_STARTED }],
      ['it is stopping', { vm: { state: 'Stopped' } }],
      ['seen 9: killed by force', killed],
    ],
  ],
  [
    'stopped',
    [
      ['it is', stopped],
      ['seen 9: killed by force', { ...killed, vm: { state: 'Stopped' } }],
    ],
    [
      ['it runs', {}],
      ['it is to run', { ...stopped, vm: { state: 'Running' } }],
      ['it is stopping', { conditions: TERMINATING, vm: { state: 'Stopped' } }],
    ],
  ],
  [
    'booted',
    [['the agent of QEMU said so', { conditions: { ...RUNNING, Booted: 'True/VmBooted' } }]],
    [
      ['not yet', { conditions: { ...RUNNING, Booted: 'False/RunnerStarted' } }],
      ['killed after it had', { ...killed, conditions: { ...TERMINATING, Booted: 'True/VmBooted' } }],
    ],
  ],
  [
    'agent',
    [['it has greeted', { conditions: { ...RUNNING, VmopAgentConnected: 'True/Connected' } }]],
    [
      ['not yet', {}],
      [
        'killed after it had',
        { ...killed, conditions: { ...TERMINATING, VmopAgentConnected: 'True/Connected' } },
      ],
    ],
  ],
  [
    'login=alice',
    [['the guest said so', { status: { loggedInUser: 'alice' } }]],
    [
      ['trap 1: UserLoggedIn alone', { conditions: { ...RUNNING, UserLoggedIn: 'True/LoggedIn' } }],
      ['somebody else', { status: { loggedInUser: 'bob' } }],
      ['killed, the name left behind', { ...killed, status: { ...killed.status, loggedInUser: 'alice' } }],
    ],
  ],
  [
    'logout',
    [
      ['nobody', {}],
      ['stopped', stopped],
      ['killed, a name left behind', { ...killed, status: { ...killed.status, loggedInUser: 'alice' } }],
    ],
    [['somebody', { status: { loggedInUser: 'alice' } }]],
  ],
  [
    'console',
    [['connected', { conditions: { ...RUNNING, ConsoleConnected: 'True/Connected' } }]],
    [
      ['trap 11: a name of an earlier one', { status: { consoleUser: 'alice' } }],
      [
        'killed while connected',
        { ...killed, conditions: { ...TERMINATING, ConsoleConnected: 'True/Connected' } },
      ],
    ],
  ],
  [
    'no-console',
    [
      ['none', {}],
      ['stopped', stopped],
    ],
    [['connected', { conditions: { ...RUNNING, ConsoleConnected: 'True/Connected' } }]],
  ],
  [
    'password',
    [
      ['set', { status: { displayPasswordSerial: 1 } }],
      ['none is asked for', { status: { displayPasswordSerial: -1 } }],
    ],
    [
      ['the runner has not said', {}],
      ['never set', { status: { displayPasswordSerial: 0 } }],
      ['not running', { ...stopped, status: { displayPasswordSerial: 3 } }],
    ],
  ],
];

for (const [name, holding, not] of cases) {
  describe(name, () => {
    const condition = parseWaitCondition(name);
    for (const [why, parts] of holding) {
      test(`holds: ${why}`, () => assert.equal(condition?.holds(vmOf(parts)), true));
    }
    for (const [why, parts] of [...not, ['just made', { conditions: CREATED }] satisfies [string, VmParts]]) {
      if (why === 'just made' && ['logout', 'no-console'].includes(name)) continue;
      test(`does not hold: ${why}`, () => assert.equal(condition?.holds(vmOf(parts)), false));
    }
    test('has a clause for the time-out', () => assert.match(condition?.unmet ?? '', /^\S/));
  });
}

test('all conditions are in the list that a usage error shows', () => {
  const listed = WAIT_CONDITIONS.map((text) => text.replace('USER', 'alice'));
  for (const [name] of cases) assert.ok(listed.includes(name), name);
});

test('anything else is none', () => {
  for (const text of [
    '',
    'Running',
    'run',
    'login',
    'login=',
    'login=root',
    'login=a b',
    'toString',
    'constructor',
    '__proto__',
  ])
    assert.equal(parseWaitCondition(text), undefined, text);
});
