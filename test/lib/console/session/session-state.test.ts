import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  nextDeadline,
  sessionStep,
  startSession,
  type SessionInput,
  type SessionOutcome,
  type SessionRules,
  type SessionState,
} from '../../../../src/lib/console/session/session-state.ts';
import { parseViewerLine } from '../../../../src/lib/console/viewer/debug-output.ts';
import type { DisplayEvent } from '../../../../src/lib/console/session/display-event.ts';
import { VmopError } from '../../../../src/lib/errors.ts';
import type { Vm } from '../../../../src/lib/vm/types.ts';
import { RUNNING, vmOf, type VmFields } from '../objects.ts';

const RULES: SessionRules = { me: 'alice', understood: true, until: 'ended', hangAfterMs: 30_000 };
const BLIND: Partial<SessionRules> = { understood: false };
const FREE: VmFields = { conditions: { ...RUNNING, ConsoleConnected: 'False/VmStopped' } };

/** A VM whose console is connected by `user` from `client` since 12:00 and `second` seconds. */
const used = (user: string, client: string, second: number, conditions = RUNNING): VmFields => ({
  conditions: { ...conditions, ConsoleConnected: `True/Connected@2026-07-01T12:00:0${second}Z` },
  status: { consoleUser: user, consoleClient: client },
});
const MINE = used('alice', '10.0.0.1', 1);
const STOPPED: VmFields = { conditions: { Running: 'False/VmStopped' }, vm: { state: 'Stopped' } };
const STOPPING: VmFields = { ...MINE, vm: { state: 'Stopped' } };
const CRASHED: VmFields = { conditions: { Running: 'False/VmStopped' } };

type Step = [at: number, input: SessionInput | VmFields | 'deleted' | DisplayEvent['type'] | 'tick'];

const exit = (
  code: number | null,
  signal: NodeJS.Signals | null = null,
  lastLine?: string,
): SessionInput => ({
  type: 'viewerEnded',
  end: { code, signal, stopped: false },
  lastLine,
});

const NOT_ADMITTED = new VmopError('conflict', 'bob is connected');

const PLAIN_EVENTS = {
  linking: { type: 'linking' },
  mainOpened: { type: 'mainOpened' },
  displayCreated: { type: 'displayCreated', display: 0 },
  passwordRefused: { type: 'passwordRefused' },
  connectFailed: { type: 'connectFailed', reason: 'Connection refused' },
  mainDestroyed: { type: 'mainDestroyed' },
  mainClosed: { type: 'mainClosed' },
  windowClosing: { type: 'windowClosing' },
  unsupported: { type: 'unsupported', kind: 'spice' },
  fileRejected: { type: 'fileRejected', reason: 'x' },
  failed: { type: 'failed', reason: 'nobody opened the link' },
  noDesktop: { type: 'noDesktop', display: ':99' },
  certificateRefused: { type: 'certificateRefused', reason: 'self-signed' },
  linkBroken: { type: 'linkBroken' },
  waiting: { type: 'waiting' },
  notAdmitted: { type: 'notAdmitted', error: NOT_ADMITTED },
} satisfies Record<DisplayEvent['type'], DisplayEvent>;

function inputOf(step: Step[1]): SessionInput {
  if (step === 'tick') return { type: 'tick' };
  if (step === 'deleted') return { type: 'vm', vm: undefined };
  if (typeof step === 'string') return { type: 'viewer', event: PLAIN_EVENTS[step] };
  return 'type' in step ? step : { type: 'vm', vm: vmOf(step) };
}

/** Plays the steps; between them time passes, so that whatever is due by itself happens first. */
function play(steps: Step[], rules: Partial<SessionRules> = {}, vm: Vm = vmOf(FREE)): SessionState {
  let state = startSession({ ...RULES, ...rules }, vm, 0);
  const pass = (until: number): void => {
    for (;;) {
      const deadline = nextDeadline(state);
      if (deadline === undefined || deadline > until) return;
      state = sessionStep(state, { type: 'tick' }, deadline);
    }
  };
  for (const [at, step] of steps) {
    pass(at);
    state = sessionStep(state, inputOf(step), at);
  }
  return state;
}

const UP: Step[] = [
  [200, 'linking'],
  [300, 'mainOpened'],
  [400, 'displayCreated'],
];

type Case = [
  what: string,
  steps: Step[],
  outcome: SessionOutcome | undefined,
  rules?: Partial<SessionRules>,
  vm?: VmFields,
];
const CASES: Case[] = [
  ['still going on', [...UP, [60_000, 'tick']], undefined],
  ['somebody else has it by now', [[200, 'notAdmitted']], { kind: 'notAdmitted', error: NOT_ADMITTED }],
  [
    'somebody else has it when the page is loaded anew',
    [...UP, [9000, 'notAdmitted']],
    { kind: 'notAdmitted', error: NOT_ADMITTED },
  ],
  [
    'the page waits for its person, and nobody is connected meanwhile',
    [...UP, [500, MINE], [9000, FREE], [10_000, 'waiting'], [11_000, FREE], [90_000, 'tick']],
    undefined,
  ],
  [
    'the page waited for its person, and is connected again',
    [
      ...UP,
      [500, MINE],
      [9000, 'waiting'],
      [9500, FREE],
      [60_000, 'mainOpened'],
      [61_000, MINE],
      [90_000, 'tick'],
    ],
    undefined,
  ],
  [
    'the window is closed',
    [...UP, [5000, 'windowClosing'], [5500, 'mainDestroyed'], [5501, 'mainClosed'], [5510, exit(0)]],
    { kind: 'windowClosed' },
  ],
  ['the window is not closed after all', [...UP, [5000, 'windowClosing'], [9000, 'tick']], undefined],
  [
    'the viewer lingers after its window',
    [...UP, [5000, 'mainDestroyed'], [5300, 'tick']],
    { kind: 'windowClosed' },
  ],
  [
    'the window is closed while the server is silent',
    [
      [200, 'linking'],
      [5000, 'windowClosing'],
      [5010, 'mainDestroyed'],
      [5020, exit(0)],
    ],
    { kind: 'windowClosed' },
  ],
  [
    'the password is refused',
    [
      [200, 'linking'],
      [250, 'passwordRefused'],
    ],
    { kind: 'passwordRefused' },
  ],
  [
    'nobody listens',
    [
      [200, 'linking'],
      [250, 'connectFailed'],
      [250, 'mainDestroyed'],
    ],
    { kind: 'unreachable', reason: 'Connection refused' },
  ],
  [
    'somebody has come since',
    [
      [200, 'linking'],
      [250, 'notAdmitted'],
    ],
    { kind: 'notAdmitted', error: NOT_ADMITTED },
  ],
  [
    'the certificate is refused',
    [
      [200, 'linking'],
      [250, 'certificateRefused'],
    ],
    { kind: 'unreachable', reason: 'its certificate is refused: self-signed' },
  ],
  [
    'the server hangs up',
    [
      [200, 'linking'],
      [250, 'linkBroken'],
    ],
    { kind: 'unreachable', reason: 'it hangs up, or it is no SPICE server' },
  ],
  [
    'the reason comes after the end',
    [
      [200, 'linking'],
      [250, 'mainDestroyed'],
      [300, 'linkBroken'],
    ],
    { kind: 'unreachable', reason: 'it hangs up, or it is no SPICE server' },
  ],
  [
    'no reason ever comes',
    [
      [200, 'linking'],
      [250, 'mainDestroyed'],
      [550, 'tick'],
    ],
    { kind: 'unreachable', reason: 'the viewer gives no reason' },
  ],
  [
    'it called the server and ends without a word',
    [
      [50, 'linking'],
      [100, exit(0)],
      [400, 'tick'],
    ],
    { kind: 'unreachable', reason: 'the viewer gives no reason' },
  ],
  [
    'somebody tries the console before the viewer is connected',
    [
      [50, used('alice', '10.0.0.2', 1)],
      [90, FREE],
      [5000, used('alice', '10.0.0.2', 5)],
      [8000, 'linking'],
      [8100, 'mainOpened'],
      [8200, 'displayCreated'],
      [8300, MINE],
      [9000, 'windowClosing'],
      [9100, exit(0)],
    ],
    { kind: 'windowClosed' },
  ],
  [
    'somebody has the console, and the viewer does not notice',
    [...UP, [600, MINE], [9000, used('bob', '10.0.0.9', 9)]],
    { kind: 'takenOver', by: 'bob', from: '10.0.0.9' },
  ],
  [
    'taken back by who had been there before',
    [
      ...UP,
      [600, MINE],
      [5000, 'mainClosed'],
      [5100, { ...FREE, status: { consoleUser: 'bob' } }],
      [7200, 'tick'],
    ],
    { kind: 'takenOver', by: 'bob' },
    {},
    { ...FREE, status: { consoleUser: 'bob' } },
  ],
  [
    'the status shows for long that nobody is connected, and the viewer says nothing: the network is dead',
    [...UP, [600, MINE], [5000, FREE], [15_100, 'tick']],
    { kind: 'connectionLost' },
  ],
  [
    'a page that is loaded anew connects again',
    [
      ...UP,
      [600, MINE],
      [5000, FREE],
      [5200, 'mainOpened'],
      [5300, used('alice', '10.0.0.1', 5)],
      [20_000, 'tick'],
      [20_100, exit(0)],
    ],
    { kind: 'windowClosed' },
  ],
  [
    'the server never answers',
    [
      [200, 'linking'],
      [30_000, 'tick'],
    ],
    { kind: 'viewerHung', stage: 'link' },
  ],
  [
    'the password runs out between the channels',
    [
      [200, 'linking'],
      [1000, 'mainOpened'],
      [31_000, 'tick'],
    ],
    { kind: 'viewerHung', stage: 'display' },
  ],
  [
    'a slow network is no hang',
    [
      [200, 'linking'],
      [25_000, 'mainOpened'],
      [50_000, 'displayCreated'],
      [90_000, 'tick'],
    ],
    undefined,
  ],
  [
    'this build shows no SPICE',
    [[200, 'unsupported']],
    {
      kind: 'viewerFailed',
      reason: 'it cannot show spice consoles',
      hint: 'it was built without: another may be named with --viewer, and --web needs none',
    },
  ],
  [
    'the file is not understood',
    [[200, 'fileRejected']],
    { kind: 'viewerFailed', reason: 'it does not understand the connection file: x' },
  ],
  [
    'no desktop',
    [
      [20, 'noDesktop'],
      [30, exit(1)],
    ],
    { kind: 'viewerFailed', reason: 'it finds no desktop to show itself on :99' },
  ],
  [
    'it dies at once',
    [[30, exit(127, null, 'error while loading shared libraries')]],
    { kind: 'viewerFailed', reason: 'it ended with code 127: error while loading shared libraries' },
  ],
  [
    'there is no such program',
    [
      [
        30,
        {
          type: 'viewerEnded',
          end: { code: 127, signal: null, stopped: false, notStarted: '/nowhere/viewer: not found' },
          lastLine: 'viewer: 1: exec: /nowhere/viewer: not found',
        },
      ],
    ],
    { kind: 'viewerFailed', reason: 'it cannot be started: /nowhere/viewer: not found' },
  ],
  [
    'it crashes',
    [...UP, [9000, exit(null, 'SIGSEGV')]],
    { kind: 'viewerFailed', reason: 'it was ended by SIGSEGV' },
  ],
  [
    'it ends before anything',
    [
      [100, exit(0)],
      [400, 'tick'],
    ],
    { kind: 'viewerFailed', reason: 'it ended before it had connected' },
  ],
  ['interrupted', [...UP, [500, { type: 'interrupted' }]], { kind: 'interrupted' }],
  [
    'interrupted by its end',
    [
      ...UP,
      [
        500,
        { type: 'viewerEnded', end: { code: null, signal: 'SIGTERM', stopped: true }, lastLine: undefined },
      ],
    ],
    { kind: 'interrupted' },
  ],
  // What ended a connection shows in the VM's status.
  [
    'taken over by bob',
    [
      ...UP,
      [600, MINE],
      [5000, 'mainClosed'],
      [5001, 'mainDestroyed'],
      [5030, exit(0)],
      [5100, FREE],
      [5150, used('bob', '10.0.0.2', 5)],
    ],
    { kind: 'takenOver', by: 'bob', from: '10.0.0.2' },
  ],
  [
    'taken over, the status is known first',
    [
      ...UP,
      [600, MINE],
      [4990, used('bob', '10.0.0.2', 5)],
      [5000, 'mainClosed'],
      [5010, used('bob', '10.0.0.2', 5)],
      [7000, 'tick'],
    ],
    { kind: 'takenOver', by: 'bob', from: '10.0.0.2' },
  ],
  [
    'taken over, and the VM was quicker to tell',
    [...UP, [600, MINE], [4990, used('bob', '10.0.0.2', 5)], [5000, 'mainClosed'], [7000, 'tick']],
    { kind: 'takenOver', by: 'bob', from: '10.0.0.2' },
  ],
  [
    'a name that was there before says nothing',
    [...UP, [600, used('bob', '10.0.0.1', 1)], [5000, 'mainClosed'], [7000, 'tick']],
    { kind: 'connectionLost' },
    {},
    { ...FREE, status: { consoleUser: 'bob' } },
  ],
  [
    'taken over by a window of my own',
    [...UP, [600, MINE], [5000, 'mainClosed'], [5200, used('alice', '10.0.0.9', 5)]],
    { kind: 'takenOver', own: true, by: 'alice', from: '10.0.0.9' },
  ],
  [
    'taken over from the same address within a second',
    [...UP, [600, MINE], [900, 'mainClosed'], [1000, MINE], [2900, 'tick']],
    { kind: 'takenOver', own: true, by: 'alice', from: '10.0.0.1' },
  ],
  [
    'the network is gone, and the status still shows the connection when something else in it changes',
    [...UP, [600, MINE], [9000, 'mainClosed'], [9500, MINE], [11_500, 'tick']],
    { kind: 'connectionLost' },
  ],
  [
    'the connection breaks',
    [
      ...UP,
      [600, MINE],
      [5000, 'mainClosed'],
      [5200, { ...FREE, status: { consoleUser: 'alice' } }],
      [7000, 'tick'],
    ],
    { kind: 'connectionLost' },
  ],
  [
    'nothing is heard of the VM',
    [...UP, [600, MINE], [5000, 'mainClosed'], [7000, 'tick']],
    { kind: 'connectionLost' },
  ],
  [
    'the guest powers off',
    [...UP, [600, MINE], [5000, 'mainClosed'], [5030, exit(0)], [5400, STOPPED]],
    { kind: 'vmStopped' },
  ],
  [
    'the VM was told to stop before',
    [...UP, [600, MINE], [4000, STOPPING], [9000, 'mainClosed']],
    { kind: 'vmStopped' },
  ],
  [
    'the guest shuts down and its user watches',
    [...UP, [600, MINE], [4000, STOPPING], [60_000, 'tick']],
    undefined,
  ],
  ['the machine crashes', [...UP, [600, MINE], [5000, 'mainClosed'], [5400, CRASHED]], { kind: 'vmStopped' }],
  [
    'the VM is deleted',
    [...UP, [600, MINE], [5000, 'deleted'], [5100, 'mainClosed']],
    { kind: 'vmStopped', deleted: true },
  ],
  [
    'a viewer that does not notice',
    [...UP, [600, MINE], [5000, STOPPED], [10_000, 'tick']],
    { kind: 'vmStopped' },
  ],
  ['a reset is no end', [...UP, [600, MINE], [5000, CRASHED], [6000, MINE], [20_000, 'tick']], undefined],
  // A viewer that reports nothing.
  [
    'blind: closed',
    [
      [600, MINE],
      [5000, exit(0)],
      [5200, FREE],
      [7000, 'tick'],
    ],
    { kind: 'windowClosed' },
    BLIND,
  ],
  [
    'blind: it never connected',
    [
      [5000, exit(0)],
      [7000, 'tick'],
    ],
    { kind: 'viewerFailed', reason: 'it ended before it had connected' },
    BLIND,
  ],
  [
    'blind: the status comes late',
    [
      [5000, exit(0)],
      [5100, MINE],
      [7000, 'tick'],
    ],
    { kind: 'windowClosed' },
    BLIND,
  ],
  [
    'blind: taken over',
    [
      [600, MINE],
      [5000, exit(0)],
      [5100, used('bob', '10.0.0.2', 5)],
    ],
    { kind: 'takenOver', by: 'bob', from: '10.0.0.2' },
    BLIND,
  ],
  [
    'blind: taken over, and closed later',
    [
      [600, MINE],
      [5000, used('bob', '10.0.0.2', 5)],
      [9000, exit(0)],
      [11_000, 'tick'],
    ],
    { kind: 'takenOver', by: 'bob', from: '10.0.0.2' },
    BLIND,
  ],
  [
    'blind: the VM stops',
    [
      [600, MINE],
      [5000, exit(0)],
      [5400, STOPPED],
    ],
    { kind: 'vmStopped' },
    BLIND,
  ],
  ['blind: it is given its time', [[100_000, 'tick']], undefined, BLIND],
  [
    'blind: an older connection is not ours',
    [
      [600, used('bob', '10.0.0.2', 0)],
      [5000, exit(0)],
      [7000, 'tick'],
    ],
    { kind: 'viewerFailed', reason: 'it ended before it had connected' },
    BLIND,
    used('bob', '10.0.0.2', 0),
  ],
  // Followed only until it is connected.
  ['detached: connected', [[600, MINE]], { kind: 'connected' }, { ...BLIND, until: 'connected' }],
  [
    'detached: never seen to connect',
    [[30_000, 'tick']],
    { kind: 'viewerHung', stage: 'link' },
    { ...BLIND, until: 'connected' },
  ],
  [
    'detached: it dies',
    [[50, exit(1, null, 'no')]],
    { kind: 'viewerFailed', reason: 'it ended with code 1: no' },
    { ...BLIND, until: 'connected' },
  ],
  [
    'attached, until connected',
    [
      [200, 'linking'],
      [300, 'mainOpened'],
    ],
    { kind: 'connected' },
    { until: 'connected' },
  ],
  [
    'a name that would paint the terminal',
    [...UP, [600, MINE], [5000, 'mainClosed'], [5100, used('\u001b[31mbob', '\u0007', 5)]],
    { kind: 'takenOver', by: '\\x1b[31mbob', from: '\\x07' },
  ],
];
for (const [what, steps, outcome, rules, vm] of CASES) {
  test(`session: ${what}`, () => {
    assert.deepEqual(play(steps, rules, vm && vmOf(vm)).outcome, outcome);
  });
}

test('nothing changes an outcome', () => {
  const state = play([[200, 'passwordRefused']]);
  const inputs = Object.values(PLAIN_EVENTS).map((event): SessionInput => ({ type: 'viewer', event }));
  for (const input of [...inputs, inputOf('deleted'), inputOf('tick'), exit(1)]) {
    assert.equal(sessionStep(state, input, 99_999), state);
  }
  assert.equal(nextDeadline(state), undefined);
});

test('the password is needed no more some time after the latest picture', () => {
  assert.equal(play(UP).channelsUp, false);
  assert.equal(play([...UP, [1899, 'tick']]).channelsUp, false);
  assert.equal(play([...UP, [1900, 'tick']]).channelsUp, true);
  // A slow network: three times as long as the picture took.
  const slow: Step[] = [
    [1000, 'mainOpened'],
    [4000, 'displayCreated'],
  ];
  assert.equal(play([...slow, [12_999, 'tick']]).channelsUp, false);
  assert.equal(play([...slow, [13_000, 'tick']]).channelsUp, true);
  assert.equal(
    play(
      [
        [600, MINE],
        [99_000, 'tick'],
      ],
      BLIND,
    ).channelsUp,
    false,
  );
});

test('connected means: the password was accepted, or VM-Operator shows a new connection', () => {
  assert.equal(play([[200, 'linking']]).connected, false);
  assert.equal(play(UP).connected, true);
  assert.equal(play([[600, MINE]]).connected, false, 'an understood viewer speaks for itself');
  assert.equal(play([[600, MINE]], BLIND).connected, true);
  assert.equal(play([[600, MINE]], BLIND, vmOf(MINE)).connected, false, 'that was there before');
});

const FIXTURES = path.join(import.meta.dirname, '../fixtures');
const RECORDINGS: Record<string, SessionOutcome | undefined> = {
  'closed-by-user': { kind: 'windowClosed' },
  'taken-over': { kind: 'connectionLost' },
  'vm-quit': { kind: 'connectionLost' },
  'channels-refused': { kind: 'viewerHung', stage: 'display' },
  'password-refused': { kind: 'passwordRefused' },
  'password-expired': { kind: 'passwordRefused' },
  'port-refused': { kind: 'unreachable', reason: 'Could not connect to 127.0.0.1: Connection refused' },
  'tls-required': { kind: 'unreachable', reason: 'the viewer gives no reason' },
  'server-silent': { kind: 'viewerHung', stage: 'link' },
  'no-display': { kind: 'viewerFailed', reason: 'it finds no desktop to show itself on' },
};
for (const [recording, outcome] of Object.entries(RECORDINGS)) {
  test(`a recorded session without any word of the VM: ${recording}`, () => {
    const steps: Step[] = [];
    for (const line of readFileSync(path.join(FIXTURES, `${recording}.txt`), 'utf8').split('\n')) {
      const code = /^exit (\d+)$/.exec(line)?.[1];
      const event = parseViewerLine(line.slice(4));
      if (event) steps.push([100, { type: 'viewer', event }]);
      if (code !== undefined) steps.push([100, exit(Number(code))]);
    }
    assert.deepEqual(play([...steps, [60_000, 'tick']]).outcome, outcome);
  });
}
