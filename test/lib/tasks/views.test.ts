import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { render } from '../../../src/lib/output/render.ts';
import { detailText } from '../../../src/lib/tasks/show.ts';
import { vmListView } from '../../../src/lib/tasks/views.ts';
import { plainPaint } from '../../../src/lib/text.ts';
import { describeVm } from '../../../src/lib/vm/detail.ts';
import { summarize, type VmSummary } from '../../../src/lib/vm/summary.ts';
import { parsedVm, poolOfSpec, RUNNING, STOPPED, vmOf } from '../vm/objects.ts';

const NOW = new Date('2026-07-01T12:00:00Z');
const alice = { name: 'alice', roles: ['staff'], administrator: false };
const pool = poolOfSpec({
  permissions: [{ role: 'staff', may: ['start', 'accessConsole'] }],
  loginOnAssignment: true,
});

/** A VM of which everything is known, with text that must not reach a terminal as it is. */
const FULL = vmOf({
  metadata: { name: 'full' },
  spec: {
    pools: ['desktops'],
    permissions: [
      { user: 'carol', may: ['*'] },
      { role: 'staff', may: [] },
    ],
  },
  vm: {
    maximumRam: '8Gi',
    currentRam: '4Gi',
    display: { loggedInUser: 'bob', spice: { port: 5910, server: 'desk\u001b[31m.example' } },
  },
  conditions: {
    ...RUNNING,
    VmopAgentConnected: 'True/Connected',
    UserLoggedIn: 'True/LoggedIn',
    ConsoleConnected: 'True/Connected',
  },
  status: {
    cpus: 2,
    ram: '4Gi',
    loggedInUser: 'bob\nroot',
    consoleUser: 'bob',
    consoleClient: '10.0.0.7',
    osinfo: { 'pretty-name': 'Debian \u202e13', name: 'debian' },
    assignment: { pool: 'desktops', user: 'bob' },
  },
});
const BROKEN = parsedVm({
  metadata: { name: 'broken', namespace: 'ns' },
  spec: { vm: { state: 'Paused', maximumRam: 'lots' } },
});
const STOPPED_VM = vmOf({
  metadata: { name: 'stopped', creationTimestamp: '2026-07-01T11:59:30Z' },
  spec: { permissions: [{ user: 'alice', may: ['takeConsole'] }], pools: ['a', 'b'] },
  vm: { state: 'Stopped', maximumRam: '1500M' },
  conditions: { ...STOPPED, ConsoleConnected: 'False/VmStopped' },
  status: { runnerVersion: undefined, loggedInUser: 'left', consoleUser: 'left' },
});

const rows = [BROKEN, FULL, STOPPED_VM].map((vm) => summarize(vm, [pool], alice));
const nameOf = ({ namespace, name }: VmSummary): string => `${namespace}/${name}`;
const pipe = { isScreen: false, columns: undefined, paint: plainPaint };
const table = (kind: 'table' | 'wide', allNamespaces = false): Promise<string> =>
  render(
    { kind },
    rows,
    vmListView(() => NOW, allNamespaces, nameOf),
    pipe,
  );

describe('the list', () => {
  test('for a person', async () => {
    assert.equal(
      await table('table'),
      `\
NAME      STATE         USER        CONSOLE   POOL             CPUS   MEMORY   MAY             AGE
broken    stopped (!)   -           -         -                   -        -   -                 -
full      running       bob\\nroot   bob       desktops (bob)      2      4Gi   start,console    3h
stopped   stopped       -           -         a,b                 2    1.4Gi   take            30s
`,
    );
  });

  test('wide, of all namespaces', async () => {
    const [header = '', broken = '', full = ''] = (await table('wide', true)).split('\n');
    assert.match(header, /^NAMESPACE +NAME .* AGE +WANTED +CLIENT +SINCE +PROBLEMS$/);
    assert.match(
      broken,
      /^ns {2,}broken .*spec\.vm\.state is "Paused", not Running or Stopped; spec\.vm\.maximumRam is not/,
    );
    assert.match(full, /Running {2,}10\.0\.0\.7 {2,}120m {2,}-$/);
  });

  test('names', async () => {
    assert.equal(
      await render(
        { kind: 'name' },
        rows,
        vmListView(() => NOW, false, nameOf),
        pipe,
      ),
      'ns/broken\nns/full\nns/stopped\n',
    );
  });

  test('JSON leaves out what is not there', async () => {
    const parsed: unknown = JSON.parse(
      await render(
        { kind: 'json' },
        rows,
        vmListView(() => NOW, false, nameOf),
        pipe,
      ),
    );
    assert.ok(Array.isArray(parsed));
    assert.deepEqual(parsed[0], {
      name: 'broken',
      namespace: 'ns',
      state: 'stopped',
      wantedState: 'Stopped',
      console: { connected: false },
      pools: [],
      may: [],
      problems: ['spec.vm.state is "Paused", not Running or Stopped', 'spec.vm.maximumRam is not a quantity'],
    });
  });
});

describe('one VM', () => {
  const events = [
    {
      at: new Date('2026-07-01T10:00:00Z'),
      type: 'Normal',
      action: 'StatusUpdate',
      reason: 'VmStarted',
      note: 'It runs',
    },
    { type: 'Normal', action: 'ConsoleConnectionUpdate', reason: 'Connection from 10.0.0.7', note: '' },
  ];

  test('of which everything is known', () => {
    const password = { secret: 'full-display-secret', serial: 3, expiry: new Date('2026-07-01T12:01:00Z') };
    const detail = describeVm(FULL, { pools: [pool], pool, subject: alice, events, password });
    assert.equal(
      detailText(detail, NOW),
      `Name:        full
Namespace:   ns
Created:     2026-07-01T09:00:00Z (3h ago)
State:       running
Guest:       Debian \\u202e13
Guest agent: has greeted
Logged in:   bob\\nroot
Console:     bob from 10.0.0.7 since 2026-07-01T10:00:00Z
Display:     SPICE port 5910 on desk\\x1b[31m.example
Password:    in full-display-secret, valid until 2026-07-01T12:01:00Z
CPUs:        2 of 4
Memory:      4Gi of 8Gi
Pools:       desktops
Assigned:    to bob by pool desktops
You may:     start,console
Permissions: carol: *
             role staff: nothing
Conditions:  Running=True (VmStarted)
             VmopAgentConnected=True (Connected)
             UserLoggedIn=True (LoggedIn)
             ConsoleConnected=True (Connected)
Events:      2026-07-01T10:00:00Z  VmStarted  It runs
             Connection from 10.0.0.7
`,
    );
  });

  test('of which next to nothing is known', () => {
    const detail = describeVm(BROKEN, {
      pools: [],
      pool: undefined,
      subject: alice,
      events: [],
      password: {},
    });
    assert.equal(
      detailText(detail, NOW),
      `Name:        broken
Namespace:   ns
State:       stopped
Guest agent: has not greeted
Logged in:   nobody
Console:     not connected
Password:    there is no Secret
CPUs:        ? of ?
Memory:      ? of ?
You may:     nothing
Problems:    spec.vm.state is "Paused", not Running or Stopped
             spec.vm.maximumRam is not a quantity
`,
    );
  });

  test('stopped: what is left of the last run is not told', () => {
    const password = { serial: -1 };
    const detail = describeVm(STOPPED_VM, {
      pools: [],
      pool: undefined,
      subject: alice,
      events: [],
      password,
    });
    const text = detailText(detail, NOW);
    assert.match(text, /^State: +stopped$/m);
    assert.match(text, /^Logged in: +nobody$/m);
    assert.match(text, /^Console: +not connected$/m);
    assert.match(text, /^Password: +the display asks for none$/m);
    assert.doesNotMatch(text, /left/);
  });
});
