import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../../src/lib/errors.ts';
import { consoleGates, gateError, type ConsoleAsker, type GateName } from '../../../src/lib/console/gates.ts';
import { connectionOf } from '../../../src/lib/vm/state.ts';
import type { Permission, Vm } from '../../../src/lib/vm/types.ts';
import { RUNNING, vmOf, type VmFields } from './objects.ts';

const FREE = { ...RUNNING, UserLoggedIn: 'False/NotRequested', ConsoleConnected: 'False/Disconnected' };
const BUSY = { ...FREE, ConsoleConnected: 'True/Connected@2026-07-01T10:30:00Z' };
const BY_BOB = { consoleUser: 'bob', consoleClient: '10.1.2.3' };
const ACCESS: Permission[] = ['accessConsole'];
const TAKE: Permission[] = ['accessConsole', 'takeConsole'];
const asker = (permissions: Permission[], rest: Partial<ConsoleAsker> = {}): ConsoleAsker => ({
  name: 'alice',
  permissions: new Set(permissions),
  take: false,
  ...rest,
});

type Shut = [gate: GateName, code: ErrorCode, sentence: RegExp, hint: RegExp];
const CASES: [what: string, vm: VmFields, asker: ConsoleAsker, shut: Shut | undefined][] = [
  ['free', { conditions: FREE }, asker(ACCESS), undefined],
  ['takeConsole alone is enough', { conditions: FREE }, asker(['takeConsole']), undefined],
  [
    'stopped',
    { conditions: { Running: 'False/VmStopped' }, vm: { state: 'Stopped' } },
    asker(ACCESS),
    ['running', 'state', /^desktop-1 is stopped$/, /^vmop start ns\/desktop-1$/],
  ],
  [
    'starting',
    { conditions: { Running: 'False/RunnerStarted' } },
    asker(ACCESS),
    ['running', 'state', /is starting/, /^vmop wait ns\/desktop-1 --for running$/],
  ],
  [
    'starting for ever',
    { conditions: { Running: 'False/RunnerStarted' }, vm: { currentCpus: 1 } },
    asker(ACCESS),
    ['running', 'state', /is starting/, /currentCpus is 1/],
  ],
  [
    'stopping',
    { conditions: FREE, vm: { state: 'Stopped' } },
    asker(ACCESS),
    ['running', 'state', /is stopping/, /^vmop restart ns\/desktop-1$/],
  ],
  [
    'running only in name: the pod was killed',
    { conditions: { ...FREE, Running: 'True/VmTerminating' }, status: { runnerVersion: null } },
    asker(ACCESS),
    ['running', 'state', /is starting|is stopped/, /./],
  ],
  [
    'a stopped VM comes before a missing permission',
    { conditions: { Running: 'False/VmStopped' }, vm: { state: 'Stopped' } },
    asker([]),
    ['running', 'state', /./, /./],
  ],
  [
    'no permission',
    { conditions: FREE },
    asker(['start', 'stop', 'reset']),
    [
      'permission',
      'forbidden',
      /^alice holds neither/,
      /spec.permissions of VM desktop-1 gives it to .*; an administrator of namespace .* can change that/,
    ],
  ],
  [
    'in use by bob',
    { conditions: BUSY, status: BY_BOB },
    asker(ACCESS),
    [
      'inUse',
      'conflict',
      /^bob is connected to desktop-1 from 10\.1\.2\.3 since 2026-07-01 10:30 UTC$/,
      /^ask bob to leave$/,
    ],
  ],
  [
    'in use by bob, alice may take it',
    { conditions: BUSY, status: BY_BOB },
    asker(TAKE),
    ['inUse', 'conflict', /^bob is connected/, /^vmop console ns\/desktop-1 --take disconnects bob$/],
  ],
  [
    'in use by bob, alice takes it',
    { conditions: BUSY, status: BY_BOB },
    asker(TAKE, { take: true }),
    undefined,
  ],
  [
    'in use by bob, alice may not take it',
    { conditions: BUSY, status: BY_BOB },
    asker(ACCESS, { take: true }),
    ['inUse', 'forbidden', /alice does not hold takeConsole/, /ask bob/],
  ],
  [
    'in use under her own name: by her, or by somebody who connected by hand after her',
    { conditions: BUSY, status: { consoleUser: 'alice', consoleClient: '10.1.2.3' } },
    asker(ACCESS),
    [
      'inUse',
      'conflict',
      /^you, or somebody with a viewer started by hand, are connected to desktop-1 from 10\.1\.2\.3 since/,
      /^vmop console ns\/desktop-1 --take closes that console$/,
    ],
  ],
  [
    'in use under her own name, and --take needs no permission then',
    { conditions: BUSY, status: { consoleUser: 'alice' } },
    asker(ACCESS, { take: true }),
    undefined,
  ],
  [
    'in use by a connection that is known to be hers, whatever its name',
    { conditions: BUSY, status: BY_BOB },
    asker(ACCESS, { own: new Set([connectionOf(vmOf({ conditions: BUSY, status: BY_BOB })) ?? '']) }),
    undefined,
  ],
  [
    'a connection that is older than the machine is none',
    {
      conditions: { ...BUSY, ConsoleConnected: 'True/Connected@2026-07-01T09:59:59Z' },
      status: BY_BOB,
    },
    asker(ACCESS),
    undefined,
  ],
  [
    'in use by a viewer that was started by hand',
    { conditions: BUSY },
    asker(TAKE),
    ['inUse', 'conflict', /^somebody is connected to desktop-1 since/, /--take disconnects them/],
  ],
  [
    'in use by a name that would paint the terminal',
    { conditions: BUSY, status: { consoleUser: '\u001b[31mbob' } },
    asker(ACCESS),
    ['inUse', 'conflict', /^\\x1b\[31mbob is connected/, /\\x1b/],
  ],
  ["bob's name stays after he has gone", { conditions: FREE, status: BY_BOB }, asker(ACCESS), undefined],
  [
    'a connection that survived the stop is none',
    { conditions: { ...BUSY, Running: 'False/VmStopped' }, status: BY_BOB, vm: { state: 'Stopped' } },
    asker(ACCESS),
    ['running', 'state', /./, /./],
  ],
  [
    'bob is logged in',
    { conditions: { ...FREE, UserLoggedIn: 'True/LoggedIn' }, status: { loggedInUser: 'bob' } },
    asker(ACCESS),
    ['login', 'state', /^bob is logged in on desktop-1/, /^vmop login ns\/desktop-1 --user alice, once bob/],
  ],
  [
    'alice is logged in',
    { conditions: { ...FREE, UserLoggedIn: 'True/LoggedIn' }, status: { loggedInUser: 'alice' } },
    asker(ACCESS),
    undefined,
  ],
  [
    'bob is logged in, alice holds takeConsole',
    { conditions: { ...FREE, UserLoggedIn: 'True/LoggedIn' }, status: { loggedInUser: 'bob' } },
    asker(TAKE),
    undefined,
  ],
  [
    'alice is being logged in: the condition is true before she is',
    {
      conditions: { ...FREE, UserLoggedIn: 'True/Processing' },
      vm: { display: { spice: {}, loggedInUser: 'alice' } },
    },
    asker(ACCESS),
    [
      'login',
      'state',
      /^alice is to be logged in on desktop-1, and is not yet$/,
      /^vmop wait ns\/desktop-1 --for login=alice$/,
    ],
  ],
  [
    'bob is being logged in',
    {
      conditions: { ...FREE, UserLoggedIn: 'True/Processing' },
      vm: { display: { spice: {}, loggedInUser: 'bob' } },
    },
    asker(ACCESS),
    ['login', 'state', /^bob is to be logged in/, /^vmop login ns\/desktop-1 --user alice$/],
  ],
  [
    'no agent',
    {
      conditions: { ...FREE, UserLoggedIn: 'False/VmopAgentDisconnected' },
      vm: { display: { spice: {}, loggedInUser: 'alice' } },
    },
    asker(ACCESS),
    ['login', 'state', /alice is to be logged in/, /no agent has answered/],
  ],
  [
    'a version without log-ins, whose VM has no such condition',
    { conditions: { Running: 'True/VmStarted' } },
    asker(ACCESS),
    undefined,
  ],
  [
    'right after the start nobody knows yet',
    { conditions: { ...FREE, UserLoggedIn: 'False/VmStopped' } },
    asker(ACCESS),
    ['login', 'state', /has not settled/, /vmop show ns\/desktop-1/],
  ],
];
for (const [what, fields, who, shut] of CASES) {
  test(`gates: ${what}`, () => {
    const vm = vmOf(fields);
    const gates = consoleGates(vm, who);
    assert.deepEqual(
      gates.map(({ name }) => name),
      ['running', 'permission', 'inUse', 'login'],
    );
    const error = gateError(vm, gates);
    if (shut === undefined) return assert.equal(error, undefined);
    const [name, code, sentence, hint] = shut;
    assert.equal(gates.find((gate) => !gate.open)?.name, name);
    assert.equal(error?.code, code);
    assert.equal(error.vm, 'desktop-1');
    assert.match(error.message, sentence);
    assert.match(error.hint ?? '', hint);
  });
}

test('what will be ended is said', () => {
  const vm = (user: string): Vm => vmOf({ conditions: BUSY, status: { consoleUser: user } });
  const sentenceOf = (user: string, who: ConsoleAsker): string | undefined =>
    consoleGates(vm(user), who)[2]?.sentence;
  const own = new Set([connectionOf(vm('alice')) ?? '']);
  assert.match(
    sentenceOf('alice', asker(ACCESS, { own })) ?? '',
    /your own console is connected since .*, and will be closed/,
  );
  assert.match(sentenceOf('bob', asker(TAKE, { take: true })) ?? '', /bob .*, and will be disconnected/);
});
