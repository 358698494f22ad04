import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { resendDisturbance } from '../../../src/lib/vm/disturbance.ts';
import type { VmPool } from '../../../src/lib/vm/types.ts';
import { poolOfSpec, RUNNING, STOPPED, TERMINATING, vmOf, type VmParts } from './objects.ts';

const GREETED = { ...RUNNING, VmopAgentConnected: 'True/Connected' };
const ALICE = { display: { loggedInUser: 'alice' } };
const ASSIGNED = { assignment: { pool: 'desktops', user: 'bob' } };
const LOGS_IN = poolOfSpec({ permissions: [], loginOnAssignment: true });
const DOES_NOT = poolOfSpec({ permissions: [] });

const BY_HAND =
  'a change makes the agent of desktop-1 log out: a session that somebody opened there by hand ends';
const again = (user: string): string =>
  `a change makes the agent of desktop-1 log in ${user} once more: a session that somebody else opened there ends`;

describe('trap 4, seen 2: whom a change that reaches the agent may disturb', () => {
  const cases: [what: string, parts: VmParts, pool: VmPool | undefined, sentence: string | undefined][] = [
    ['nobody wanted', { conditions: GREETED }, undefined, BY_HAND],
    ['nobody wanted, no agent has greeted', { conditions: RUNNING }, undefined, undefined],
    ['nobody wanted, not running', { conditions: { ...GREETED, ...STOPPED } }, undefined, undefined],
    [
      'nobody wanted, killed by force',
      { conditions: { ...GREETED, ...TERMINATING }, status: { runnerVersion: undefined } },
      undefined,
      undefined,
    ],
    [
      'alice wanted, and there',
      { conditions: GREETED, vm: ALICE, status: { loggedInUser: 'alice' } },
      undefined,
      undefined,
    ],
    ['alice wanted, and not there', { conditions: GREETED, vm: ALICE }, undefined, again('alice')],
    [
      'alice wanted, and bob there',
      { conditions: GREETED, vm: ALICE, status: { loggedInUser: 'bob' } },
      undefined,
      again('alice'),
    ],
    [
      'the pool wants bob, who is there',
      { conditions: GREETED, status: { ...ASSIGNED, loggedInUser: 'bob' } },
      LOGS_IN,
      undefined,
    ],
    ['the pool wants bob, who is not', { conditions: GREETED, status: ASSIGNED }, LOGS_IN, again('bob')],
    ['the pool wants nobody', { conditions: GREETED, status: ASSIGNED }, DOES_NOT, BY_HAND],
    ['the pool is unknown', { conditions: GREETED, status: ASSIGNED }, undefined, BY_HAND],
  ];
  for (const [what, parts, pool, sentence] of cases) {
    test(what, () => assert.equal(resendDisturbance(vmOf(parts), pool, 'a change'), sentence));
  }
});
