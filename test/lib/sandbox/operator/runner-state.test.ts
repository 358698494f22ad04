import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONFIG, RunnerTrace, withoutLog } from './runner-trace.ts';

const CREATED = { type: 'created', cpus: 2, ramBytes: 2 ** 30 } as const;
const GONE =
  'VmopAgentConnected=False/VmStopped UserLoggedIn=False/VmStopped ConsoleConnected=False/VmStopped';
const TERMINATING = ['status Running=True/VmTerminating Booted=False/VmTerminating', 'event VmTerminating'];

describe('start', () => {
  test('the order of reports is VM-Operator’s', () => {
    const runner = new RunnerTrace();
    assert.deepEqual(runner.configure(), ['status runnerVersion="vmop-sandbox"', 'start']);
    assert.deepEqual(runner.machine(CREATED), [
      `status Running=False/RunnerStarted Booted=False/RunnerStarted ${GONE} cpus=1 ram="2147483648"`,
      'event RunnerStarted',
      'status cpus=2 ram="1073741824"',
      'status UserLoggedIn=False/NotRequested',
    ]);
    assert.deepEqual(runner.machine({ type: 'started' }), [
      'status Running=True/VmStarted Booted=False/VmStarted',
      'event VmStarted',
      'timer displayPassword 50',
    ]);
  });

  test('the serial’s own bump comes after Running=True, and before the expiry', () => {
    const runner = new RunnerTrace({ displayPasswordSerial: 7 });
    runner.configure();
    runner.machine(CREATED);
    assert.ok(!runner.machine({ type: 'started' }).join().includes('Serial'));
    assert.deepEqual(runner.input({ type: 'timer', timer: 'displayPassword' }), [
      'setPassword one',
      'status displayPasswordSerial=8',
      'setExpiry now',
    ]);
  });

  test('a rotation right after a start finds the start’s own bump first', () => {
    const runner = new RunnerTrace();
    runner.configure();
    runner.machine(CREATED);
    runner.machine({ type: 'started' });
    assert.deepEqual(runner.configure({}, { password: 'two', expiry: '99' }), [
      'setPassword one',
      'status displayPasswordSerial=1',
      'setExpiry now',
      'setPassword two',
      'status displayPasswordSerial=2',
      'setExpiry 99',
    ]);
    assert.deepEqual(runner.input({ type: 'timer', timer: 'displayPassword' }), []);
  });

  test('a wanted user waits for the agent', () => {
    const runner = new RunnerTrace();
    runner.configure({ loggedInUser: 'alice' });
    assert.ok(runner.machine(CREATED).includes('status UserLoggedIn=False/VmopAgentDisconnected'));
  });

  test('booting brings osinfo and turns Booted', () => {
    const runner = new RunnerTrace().run();
    assert.deepEqual(runner.machine({ type: 'booted', osinfo: { id: 'debian' } }), [
      'status osinfo={"id":"debian"}',
      'status Running=True/VmBooted Booted=True/VmBooted',
      'event VmBooted',
    ]);
  });

  test('without a display Secret the serial is −1, and stays so', () => {
    const runner = new RunnerTrace({ displayPasswordSerial: 3 });
    runner.secret = undefined;
    assert.deepEqual(runner.configure({ hasDisplayPassword: false }), [
      'status runnerVersion="vmop-sandbox" displayPasswordSerial=-1',
      'start',
    ]);
    runner.machine(CREATED);
    runner.machine({ type: 'started' });
    assert.deepEqual(runner.input({ type: 'timer', timer: 'displayPassword' }), []);
    assert.deepEqual(runner.configure({}), []);
  });

  test('currentCpus: 1 never starts: Running=False/RunnerStarted for ever', () => {
    const runner = new RunnerTrace();
    assert.deepEqual(withoutLog(runner.configure({ currentCpus: 1 })), [
      'status runnerVersion="vmop-sandbox"',
      `status Running=False/RunnerStarted Booted=False/RunnerStarted ${GONE} cpus=1 ram="2147483648"`,
      'event RunnerStarted',
    ]);
    assert.deepEqual(runner.configure({}), []);
    // Until it gets a second one; RunnerStarted is not reported again.
    assert.deepEqual(runner.configure({ currentCpus: 2 }), ['start']);
    assert.deepEqual(runner.machine(CREATED), [
      'status cpus=2 ram="1073741824"',
      'status UserLoggedIn=False/NotRequested',
    ]);
  });

  test('a failed start flashes Running=True/VmTerminating', () => {
    const runner = new RunnerTrace();
    runner.configure();
    const lines = withoutLog(runner.machine({ type: 'exited', cause: 'failed', message: 'no' }));
    assert.deepEqual(lines.slice(0, 2), TERMINATING);
    assert.match(lines[2] ?? '', /^status Running=False\/VmStopped Booted=False\/VmStopped/);
    assert.deepEqual(lines.slice(3), ['event VmStopped', 'finished failed']);
  });

  test('a transition’s time moves only when the condition turns', () => {
    const runner = new RunnerTrace().run();
    const time = () => runner.state.status.conditions[0]?.lastTransitionTime;
    const started = time();
    runner.input({ type: 'machine', event: { type: 'booted' } }, new Date(5000));
    assert.equal(time(), started);
    runner.input({ type: 'machine', event: { type: 'exited', cause: 'guest', message: '' } }, new Date(9000));
    assert.equal(time(), new Date(9000).toISOString());
  });
});

describe('stop', () => {
  test('VmTerminating, then VmStopped when the guest has powered down', () => {
    const runner = new RunnerTrace().run();
    assert.deepEqual(runner.input({ type: 'terminate' }), [
      ...TERMINATING,
      'powerDown',
      'timer powerdown 900000',
    ]);
    assert.deepEqual(withoutLog(runner.machine({ type: 'exited', cause: 'host', message: '' })), [
      'status Running=False/VmStopped Booted=False/VmStopped UserLoggedIn=False/VmStopped cpus=0 ram="0"',
      'event VmStopped',
      'finished succeeded',
    ]);
  });

  test('after powerdownTimeout the machine is ended', () => {
    const runner = new RunnerTrace().run({ powerdownTimeoutSeconds: 30 });
    assert.ok(runner.input({ type: 'terminate' }).includes('timer powerdown 30000'));
    assert.deepEqual(withoutLog(runner.input({ type: 'timer', timer: 'powerdown' })), ['kill']);
  });

  test('a sandbox that stops gives less time', () => {
    const runner = new RunnerTrace().run();
    const lines = runner.input({ type: 'terminate', withinSeconds: 5 });
    assert.ok(lines.includes('timer powerdown 5000'));
  });

  test('so does one that stops while the guest powers down already', () => {
    const runner = new RunnerTrace().run();
    runner.input({ type: 'terminate' });
    assert.deepEqual(runner.input({ type: 'terminate', withinSeconds: 5 }), ['timer powerdown 5000']);
  });

  test('a guest that powers off by itself ends the container as done', () => {
    const runner = new RunnerTrace().run();
    const lines = withoutLog(runner.machine({ type: 'exited', cause: 'guest', message: '' }));
    assert.deepEqual(lines.slice(0, 2), TERMINATING);
    assert.equal(lines.at(-1), 'finished succeeded');
  });

  test('what was known of guest and console is taken back; the console’s user is not', () => {
    const runner = new RunnerTrace().run({ loggedInUser: 'alice' });
    runner.machine({ type: 'booted', osinfo: { id: 'x' } });
    runner.agent('220');
    runner.agent('201');
    runner.machine({ type: 'consoleConnected', client: '10.0.0.1', port: 1 });
    const [, , , patch = ''] = runner.machine({ type: 'exited', cause: 'guest', message: '' });
    for (const gone of ['loggedInUser=null', 'consoleClient=""', 'osinfo=null', GONE]) {
      assert.ok(patch.includes(gone), gone);
    }
    assert.ok(!patch.includes('consoleUser'));
  });

  test('a runner without a machine stops at once', () => {
    const runner = new RunnerTrace();
    runner.configure({ currentCpus: 1 });
    assert.equal(runner.input({ type: 'terminate' }).at(-1), 'finished succeeded');
  });

  test('nothing is reported after the end, or asked of the guest while it powers down', () => {
    const runner = new RunnerTrace().run();
    runner.agent('220');
    runner.input({ type: 'terminate' });
    assert.deepEqual(runner.input({ type: 'terminate' }), []);
    assert.deepEqual(runner.configure({ loggedInUser: 'alice' }), []);
    runner.machine({ type: 'exited', cause: 'host', message: '' });
    assert.deepEqual(runner.machine({ type: 'booted' }), []);
    assert.deepEqual(runner.input({ type: 'timer', timer: 'powerdown' }), []);
  });
});

describe('reset and scale', () => {
  test('a resetCounter that increases resets; it leaves no event, and Booted does not drop', () => {
    const runner = new RunnerTrace().run();
    runner.machine({ type: 'booted' });
    assert.deepEqual(runner.configure({ resetCounter: 1 }), ['reset']);
    assert.deepEqual(runner.machine({ type: 'booted' }), []);
  });

  test('a counter that falls or stays does nothing', () => {
    const runner = new RunnerTrace().run({ resetCounter: 5 });
    assert.deepEqual(runner.configure({ resetCounter: 5 }), []);
    assert.deepEqual(runner.configure({ resetCounter: 0 }), []);
    assert.deepEqual(runner.configure({ resetCounter: 1 }), ['reset']);
  });

  test('cpus and ram follow the machine, not the wish', () => {
    const runner = new RunnerTrace().run();
    assert.deepEqual(runner.configure({ currentCpus: 3 }), [`resize 3 ${CONFIG.currentRamBytes}`]);
    const resized = { type: 'resized', cpus: 3, ramBytes: CONFIG.currentRamBytes } as const;
    assert.deepEqual(runner.machine(resized), ['status cpus=3']);
    assert.deepEqual(runner.machine(resized), []);
  });
});

describe('display password', () => {
  const cases: [string, { password?: string; expiry?: string } | undefined, string[]][] = [
    [
      'a changed one counts',
      { password: 'two', expiry: '99' },
      ['setPassword two', 'status displayPasswordSerial=2', 'setExpiry 99'],
    ],
    ['an unchanged one does not', { password: 'one', expiry: 'now' }, []],
    [
      'a change of the expiry alone is applied and does not count',
      { password: 'one', expiry: '99' },
      ['setExpiry 99'],
    ],
    [
      'without an expiry none is set',
      { password: 'two' },
      ['setPassword two', 'status displayPasswordSerial=2'],
    ],
    ['a Secret that has gone changes nothing', {}, []],
  ];
  for (const [name, secret, expected] of cases) {
    test(name, () => assert.deepEqual(new RunnerTrace().run().configure({}, secret), expected));
  }

  test('two quick rotations count twice', () => {
    const runner = new RunnerTrace().run();
    runner.configure({}, { password: 'two' });
    runner.configure({}, { password: 'three' });
    assert.equal(runner.state.status.serial, 3);
  });
});

describe('console', () => {
  const connected = { type: 'consoleConnected', client: '10.0.0.1', port: 4711 } as const;

  test('a connection is told by condition, client and an event without a note', () => {
    const runner = new RunnerTrace().run();
    assert.deepEqual(runner.machine(connected), [
      'status ConsoleConnected=True/Connection consoleClient="10.0.0.1"',
      'event Connection from 10.0.0.1',
    ]);
    assert.deepEqual(runner.machine({ ...connected, type: 'consoleDisconnected' }), [
      'status ConsoleConnected=False/Disconnected consoleClient=""',
      'event Disconnected from 10.0.0.1',
    ]);
  });

  test('a takeover is False, then True', () => {
    const runner = new RunnerTrace().run();
    runner.machine(connected);
    const lines = [
      ...runner.machine({ ...connected, type: 'consoleDisconnected' }),
      ...runner.machine({ ...connected, port: 4712 }),
    ];
    assert.deepEqual(
      lines.filter((line) => line.includes('ConsoleConnected')),
      [
        'status ConsoleConnected=False/Disconnected consoleClient=""',
        'status ConsoleConnected=True/Connection consoleClient="10.0.0.1"',
      ],
    );
  });

  test('only the main channel’s client counts', () => {
    const runner = new RunnerTrace().run();
    runner.machine(connected);
    assert.deepEqual(runner.machine({ ...connected, type: 'consoleDisconnected', port: 1 }), []);
  });
});

describe('a sandbox that comes back', () => {
  const condition = (type: string, reason: string) => ({ type, status: 'True', reason, message: '' });
  const before = {
    runnerVersion: 'vmop-sandbox',
    displayPasswordSerial: 4,
    cpus: 2,
    ram: '1073741824',
    conditions: [
      condition('Running', 'VmBooted'),
      condition('Booted', 'VmBooted'),
      condition('VmopAgentConnected', 'VmopAgentStarted'),
      {
        type: 'UserLoggedIn',
        status: 'False',
        reason: 'NotRequested',
        message: 'No user is to be logged in',
      },
      condition('ConsoleConnected', 'Connection'),
    ],
  };

  test('takes over a machine that still runs, and reports nothing again', () => {
    const runner = new RunnerTrace({ ...before, consoleClient: '::1' }, { adopt: true });
    assert.deepEqual(runner.configure(), ['adopt']);
    const events = [
      runner.machine(CREATED),
      runner.machine({ type: 'started' }),
      runner.machine({ type: 'booted' }),
      runner.machine({ type: 'consoleConnected', client: '::1', port: 1 }),
    ];
    assert.deepEqual(events.flat(), []);
    // What the Secret holds may have changed meanwhile; whoever sits there is not logged out.
    assert.deepEqual(withoutLog(runner.input({ type: 'adopted' })), [
      'setPassword one',
      'status displayPasswordSerial=5',
      'setExpiry now',
    ]);
  });

  test('notices that the console was closed meanwhile', () => {
    const runner = new RunnerTrace({ ...before, consoleClient: '::1' }, { adopt: true });
    runner.configure();
    assert.ok(
      runner
        .input({ type: 'adopted' })
        .includes('status ConsoleConnected=False/Disconnected consoleClient=""'),
    );
  });

  test('logs in who is wanted by now', () => {
    const runner = new RunnerTrace(before, { adopt: true });
    runner.configure({ loggedInUser: 'alice' });
    assert.ok(runner.input({ type: 'adopted' }).includes('tellAgent login alice'));
  });

  test('reports a machine that is gone as stopped, and has it started again', () => {
    const runner = new RunnerTrace(before, { adopt: true });
    runner.configure();
    const lines = withoutLog(runner.input({ type: 'lost' }));
    assert.match(lines[0] ?? '', /^status Running=False\/VmStopped/);
    assert.deepEqual(lines.slice(1), ['event VmStopped', 'finished failed']);
  });

  test('leaves a machine with one CPU as it was', () => {
    const runner = new RunnerTrace({}, { adopt: true });
    runner.configure({ currentCpus: 1 });
    runner.input({ type: 'lost' });
    assert.equal(runner.state.phase, 'held');
  });
});
