import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VMS } from '../../src/lib/vm/parse.ts';
import type { Vm } from '../../src/lib/vm/types.ts';
import { startApiProxy } from './api-proxy.ts';
import { assertGolden } from './golden.ts';
import { assertNothingLeft, commandSuite, field, namesOf } from './suite.ts';

const running = (name: string, agent?: string) => ({
  name,
  annotations: agent === undefined ? {} : { 'sandbox.vmop/agent': agent },
  spec: { vm: { state: 'Running' } },
});

const suite = commandSuite(
  {
    pools: [
      { name: 'auto', spec: { loginOnAssignment: true, permissions: [{ user: 'alice', may: ['*'] }] } },
      { name: 'plain', spec: { permissions: [{ user: 'alice', may: ['*'] }] } },
    ],
    vms: [
      running('a1'),
      running('a2'),
      running('slow', 'slow:200'),
      running('refuses', 'fail:451 no such user'),
      running('silent', 'silent'),
      running('absent', 'absent'),
      { ...running('auto1'), status: { assignment: { pool: 'auto', user: 'alice' } } },
      { ...running('plain1'), status: { assignment: { pool: 'plain', user: 'alice' } } },
      { name: 'off' },
    ],
  },
  async (sandbox) => {
    for (const name of ['a1', 'a2', 'slow', 'refuses', 'silent', 'auto1', 'plain1']) {
      await sandbox.waitFor(name, has('VmopAgentConnected'));
    }
    await sandbox.waitFor('absent', has('Booted'));
  },
);
const { run, start } = suite;

function has(type: string): (vm: Vm) => boolean {
  return ({ status }) => status.conditions.some((one) => one.type === type && one.status === 'True');
}

const get = (name: string): Promise<Vm> => suite.sandbox.admin.get(VMS, { namespace: 'default', name });

const MANUAL =
  /^warning: nobody is logged in on a1 through VM-Operator; if somebody logged in there by hand, .* ends$/m;

test('success means that the guest has said who is logged in', async () => {
  const login = await run('login a1 -u alice');
  assert.equal(login.code, 0);
  assert.equal(login.stdout, 'alice is logged in on a1\n');
  assert.match(login.stderr, MANUAL);
  assert.equal((await get('a1')).status.loggedInUser, 'alice');

  const { resourceVersion } = await get('a1');
  const again = await run('login a1 -u alice --json');
  assertGolden('login.json', again.stdout);
  assert.doesNotMatch(again.stderr, /warning/);
  assert.equal((await get('a1')).resourceVersion, resourceVersion, 'nothing was to be changed');

  const other = await run('login a1 -u bob');
  assert.equal(other.stdout, 'bob is logged in on a1\n');
  assert.equal((await get('a1')).status.loggedInUser, 'bob');

  const logout = await run('logout a1');
  assert.deepEqual([logout.code, logout.stdout], [0, 'nobody is logged in on a1\n']);
  assert.equal((await get('a1')).status.loggedInUser, undefined);
  assertGolden('logout.json', (await run('logout a1 --json')).stdout);
});

test('it waits for a guest that takes its time', async () => {
  const { code } = await run('login slow -u alice');
  assert.equal(code, 0);
  assert.equal((await get('slow')).status.loggedInUser, 'alice');
});

test('a refusal is 10 with the words of the agent', async () => {
  const { code, stdout, stderr } = await run('login refuses -u alice');
  assert.equal(code, 10);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    /error: refuses: the guest's agent refused to log in alice: 451 no such user\n {2}the reason/,
  );
  const json = await run('login refuses -u bob --json');
  assert.equal(json.code, 10);
  assertGolden('login-refused.json', json.stdout);
});

test('a refusal that may not be read is a time-out that says so', async () => {
  const proxy = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfig,
    meet: (_method, path) =>
      path.includes('/log?') ? { status: 403, body: { message: 'no logs for you' } } : undefined,
  });
  try {
    const { code, stderr } = await run([
      'login',
      'refuses',
      '-u',
      'carol',
      '--timeout',
      '300ms',
      '--server',
      proxy.url,
    ]);
    assert.equal(code, 6);
    assert.match(stderr, /cannot be read: no logs for you/);
  } finally {
    await proxy.close();
  }
});

test('a guest without an agent is 10 in the end, one that is silent 6', async () => {
  const absent = await run('login absent -u alice --timeout 300ms');
  assert.equal(absent.code, 10);
  assert.match(absent.stderr, /no agent in the guest has greeted.* log in alice.*the guest has booted/);
  const silent = await run('login silent -u alice --timeout 300ms');
  assert.equal(silent.code, 6);
  assert.match(
    silent.stderr,
    /has not confirmed to log in alice; nobody is logged in after 0\.3 s\n {2}the wish stays: vmop wait silent --for login=alice/,
  );
});

test('a name that is none is 2, and nothing is asked of the cluster', async () => {
  const proxy = await startApiProxy();
  try {
    for (const name of ['root', 'a b', 'Alice', '', '-x', 'a\nlogout', 'x'.repeat(33), '$(id)', 'ä']) {
      const { code, stderr } = await run(['login', 'a1', `--user=${name}`, '--server', proxy.url]);
      assert.equal(code, 2, name);
      assert.match(stderr, /^error: not a user name to log in: "/, name);
    }
    const none = await run(['login', 'a1', '--server', proxy.url]);
    assert.deepEqual(
      [none.code, none.stderr],
      [2, 'error: missing flag --user\n  add --help to see what it takes\n'],
    );
    const soon = await run(['login', 'a1', '-u', 'alice', '--timeout', 'soon', '--server', proxy.url]);
    assert.equal(soon.code, 2);
    assert.deepEqual(proxy.requests, []);
  } finally {
    await proxy.close();
  }
});

test('a stopped VM is 8; with --no-wait it keeps the wish', async () => {
  for (const line of ['login off -u alice', 'logout off']) {
    const { code, stderr } = await run(line);
    assert.equal(code, 8);
    assert.match(stderr, /off is stopped: nobody can log (in|out) there\n {2}vmop start off; or .*--no-wait/);
  }
  const wish = await run('login off -u alice --no-wait');
  assert.deepEqual(
    [wish.code, wish.stdout],
    [0, 'off was asked to log in alice; not waiting for its guest\n'],
  );
  assert.equal((await get('off')).spec.loggedInUser, 'alice');
  await run('start off');
  await suite.sandbox.waitFor('off', ({ status }) => status.loggedInUser === 'alice');
});

test('a pool that logs in its own user wins, and says so', async () => {
  const { code, stderr } = await run('login auto1 -u bob');
  assert.equal(code, 8);
  assert.match(
    stderr,
    /auto1 is assigned to alice by pool auto, which logs in its user whatever the VM says/,
  );
  assert.equal((await run('logout auto1')).code, 8);
  await suite.sandbox.waitFor('auto1', ({ status }) => status.loggedInUser === 'alice');
  const same = await run('login auto1 -u alice --timeout 5s');
  assert.deepEqual([same.code, same.stdout], [0, 'alice is logged in on auto1\n']);
  assert.equal((await run('login plain1 -u bob')).code, 0);
});

test('who may not use the console may not say who sits there: 4', async () => {
  for (const line of ['login a1 -u bob', 'logout a1', 'login a1 -u bob --dry-run', 'logout a1 --no-wait']) {
    const { code, stderr } = await run(line, { user: 'bob' });
    assert.deepEqual([line, code], [line, 4]);
    assert.match(stderr, /^error: bob does not hold the permission accessConsole on a1\n/m);
  }
});

test('several VMs: all are tried and all are told', async () => {
  const { code, stdout, stderr } = await run('login a1 a2 refuses nope -u dave');
  assert.equal(code, 1);
  assert.equal(stdout, 'dave is logged in on a1\ndave is logged in on a2\n');
  assert.match(stderr, /error: refuses: .* 451 no such user/);
  assert.match(stderr, /error: there is no VM "nope"/);
  const json = await run('logout a1 nope --json');
  assertGolden('logout-mixed.json', json.stdout);
  assert.deepEqual(namesOf(json.json()), ['a1', 'nope']);
});

test('--dry-run has the server check and changes nothing', async () => {
  const { resourceVersion } = await get('a1');
  const { code, stdout } = await run('login a1 -u eve --dry-run');
  assert.deepEqual(
    [code, stdout],
    [0, 'a1: the server would take the wish to log in eve (dry run, nothing changed)\n'],
  );
  const json = await run('logout a1 --dry-run --json');
  assert.deepEqual([field(json.json(), 'dryRun'), field(json.json(), 'confirmed')], [true, false]);
  assert.equal((await get('a1')).resourceVersion, resourceVersion);
});

test('a VM that is stopped meanwhile is 8', async () => {
  const process = start('login silent -u frank');
  await suite.sandbox.waitFor('silent', ({ spec }) => spec.loggedInUser === 'frank');
  await suite.sandbox.patchSpec('silent', { vm: { state: 'Stopped' } });
  const { code, stderr } = await process.ended;
  assert.equal(code, 8);
  assert.match(stderr, /silent was stopped meanwhile\n {2}vmop start silent/);
  await run('start silent');
});

test('a signal ends the waiting', async () => {
  for (const [reason, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const process = start('login silent absent -u grace', { terminal: true });
    await suite.sandbox.waitFor('silent', ({ spec }) => spec.loggedInUser === 'grace');
    await suite.sandbox.waitFor('absent', ({ spec }) => spec.loggedInUser === 'grace');
    process.runtime.interrupt(reason);
    assert.equal((await process.ended).code, exitCode);
    assertNothingLeft(process);
    await run('logout silent absent --no-wait');
  }
});
