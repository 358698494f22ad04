import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VMS } from '../../src/lib/vm/parse.ts';
import { startApiProxy } from './api-proxy.ts';
import { assertGolden } from './golden.ts';
import { assertNothingLeft, commandSuite, namesOf } from './suite.ts';

const running = { spec: { vm: { state: 'Running' } } };

const suite = commandSuite(
  {
    vms: [
      { name: 'used', labels: { team: 'blue' }, ...running },
      { name: 'mute', ...running, annotations: { 'sandbox.vmop/agent': 'absent' } },
      { name: 'dark', ...running, annotations: { 'sandbox.vmop/boot-ms': 'never' } },
      { name: 'off', labels: { team: 'blue' } },
    ],
  },
  async (sandbox) => {
    await sandbox.patchSpec('used', { vm: { display: { loggedInUser: 'alice' } } });
    await sandbox.waitFor('used', ({ status }) => status.loggedInUser === 'alice');
    sandbox.driver.machine('used')?.connectConsole();
    await sandbox.waitFor('used', ({ status }) => status.consoleClient !== undefined);
    await sandbox.waitFor('dark', ({ status }) => (status.displayPasswordSerial ?? 0) > 0);
  },
);
const { run, start } = suite;

test('each condition: where it holds it is over at once, where it does not the time-out says what is', async () => {
  const cases: [string, string, string, string][] = [
    ['running', 'used', 'off', 'not running: it is stopped'],
    ['stopped', 'off', 'used', 'not stopped: it is running'],
    ['booted', 'used', 'dark', 'not known to have booted: it is running'],
    ['agent', 'used', 'mute', 'no agent in its guest has greeted: it is running'],
    ['login=alice', 'used', 'mute', 'alice is not logged in: it is running'],
    ['logout', 'mute', 'used', 'somebody is still logged in: it is running'],
    ['console', 'used', 'mute', 'no console is connected: it is running'],
    ['no-console', 'mute', 'used', 'a console is still connected: it is running'],
    ['password', 'used', 'off', 'its display password is not set: it is stopped'],
    ['jsonpath={.status.cpus}=2', 'used', 'off', '.status.cpus is not 2: it is stopped'],
    ['jsonpath=.status.osinfo.id', 'used', 'dark', '.status.osinfo.id has no value: it is running'],
    [
      'jsonpath={.status.conditions[?(@.type=="Booted")].status}=True',
      'used',
      'dark',
      '.status.conditions[?(@.type=="Booted")].status is not True: it is running',
    ],
  ];
  for (const [condition, there, elsewhere, unmet] of cases) {
    const met = await run(['wait', there, '--for', condition]);
    assert.deepEqual([met.code, met.stdout], [0, `${there}: ${condition}\n`]);
    const late = await run(['wait', elsewhere, '--for', condition, '--timeout', '0']);
    assert.equal(late.code, 6);
    assert.match(late.stderr, /^error: /m);
    assert.ok(late.stderr.includes(`error: ${elsewhere}: ${unmet} after 0 s\n`), late.stderr);
  }
});

test('it waits until the condition comes true', async () => {
  const waiting = start('wait off --for booted --json');
  await waiting.shows('off: stopped; waiting for booted');
  await suite.sandbox.patchSpec('off', { vm: { state: 'Running' } });
  const { code, stdout } = await waiting.ended;
  assert.equal(code, 0);
  assertGolden('wait.json', stdout);
  await run('stop off');
});

test('a time-out of 0 asks once', async () => {
  assert.equal((await run('wait used --for running --timeout 0')).code, 0);
  assert.equal((await run('wait off --for running --timeout 0')).code, 6);
});

test('what is no condition is 2, and nothing is asked of the cluster', async () => {
  const proxy = await startApiProxy();
  try {
    for (const condition of ['happy', '', 'login=', 'login=root', 'jsonpath=', 'jsonpath={', 'toString']) {
      const { code, stderr } = await run(['wait', 'used', '--for', condition, '--server', proxy.url]);
      assert.deepEqual([condition, code], [condition, 2]);
      assert.match(stderr, /^error: /);
    }
    const unknown = await run(['wait', 'used', '--for', 'happy', '--server', proxy.url]);
    assert.equal(
      unknown.stderr,
      'error: not a condition to wait for: "happy"\n' +
        '  there are: running, stopped, booted, agent, logout, console, no-console, password, login=USER, jsonpath=PATH=VALUE\n',
    );
    assert.equal((await run(['wait', 'used', '--server', proxy.url])).code, 2);
    assert.deepEqual(proxy.requests, []);
  } finally {
    await proxy.close();
  }
});

test('several VMs: all must come; those that do not are told', async () => {
  const some = await run('wait -l team=blue --for running --timeout 0 --json');
  assert.equal(some.code, 1);
  assertGolden('wait-mixed.json', some.stdout);
  const both = await run('wait used mute --for running --json');
  assert.equal(both.code, 0);
  assert.deepEqual(namesOf(both.json()), ['used', 'mute']);
  const unknown = await run('wait used nope --for running');
  assert.equal(unknown.code, 1);
  assert.equal(unknown.stdout, 'used: running\n');
  assert.match(unknown.stderr, /there is no VM "nope"/);
});

test('a VM that is not there is 3, also when it goes away meanwhile', async () => {
  assert.equal((await run('wait nope --for stopped')).code, 3);
  await suite.sandbox.addVm({ name: 'brief' });
  const waiting = start('wait brief --for running');
  await waiting.shows('waiting for running');
  await suite.sandbox.admin.delete(VMS, { namespace: 'default', name: 'brief' });
  const { code, stderr } = await waiting.ended;
  assert.equal(code, 3);
  assert.match(stderr, /error: VM brief was deleted meanwhile\n/);
});

test('a signal ends the waiting', async () => {
  for (const [reason, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    for (const terminal of [false, true]) {
      const waiting = start('wait off dark --for booted', { terminal });
      await waiting.shows('off: stopped; waiting for booted');
      waiting.runtime.interrupt(reason);
      assert.equal((await waiting.ended).code, exitCode);
      assertNothingLeft(waiting);
    }
  }
});
