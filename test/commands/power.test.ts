import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VMS } from '../../src/lib/vm/parse.ts';
import { phaseOf } from '../../src/lib/vm/state.ts';
import type { Vm } from '../../src/lib/vm/types.ts';
import { startApiProxy } from './api-proxy.ts';
import { assertGolden } from './golden.ts';
import { addVmElsewhere, assertNothingLeft, commandSuite, field, namesOf, until } from './suite.ts';

const ALICE = { user: 'alice', may: ['start', 'stop', 'reset'] };
const IGNORES = { 'sandbox.vmop/powerdown': 'ignore' };

const suite = commandSuite(
  {
    users: { alice: ['staff'], bob: [] },
    vms: [
      { name: 'a1', labels: { team: 'blue' }, spec: { permissions: [ALICE] } },
      { name: 'a2', labels: { team: 'blue' }, spec: { permissions: [ALICE, { role: 'staff', may: ['*'] }] } },
      {
        name: 'b1',
        spec: {
          permissions: [
            { user: 'bob', may: ['*'] },
            { role: 'boss', may: ['start'] },
          ],
        },
      },
      { name: 'busy' },
      { name: 'conflict' },
      { name: 'dry' },
      { name: 'never', spec: { vm: { currentCpus: 1 } } },
      { name: 'stubborn', annotations: IGNORES, spec: { vm: { powerdownTimeout: 60 } } },
      { name: 'again', annotations: IGNORES, spec: { vm: { powerdownTimeout: 60 } } },
    ],
  },
  (sandbox) => addVmElsewhere(sandbox, 'other', 'o1', { vm: { maximumCpus: 2, currentCpus: 2 } }),
);
const { run, start } = suite;

const wanted =
  (state: Vm['spec']['state']) =>
  (vm: Vm): boolean =>
    vm.spec.state === state;
const isPhase =
  (phase: ReturnType<typeof phaseOf>) =>
  (vm: Vm): boolean =>
    phaseOf(vm) === phase;
const get = (name: string): Promise<Vm> => suite.sandbox.admin.get(VMS, { namespace: 'default', name });

const hasReason =
  (wantedReason: string) =>
  ({ status }: Vm): boolean =>
    status.conditions.some(({ type, reason }) => type === 'Running' && reason === wantedReason);

/** Running, with somebody at its console. */
async function connect(name: string): Promise<void> {
  const { sandbox } = suite;
  await run(`start ${name} -q`);
  sandbox.driver.machine(name)?.connectConsole('10.0.0.7');
  await sandbox.waitFor(name, ({ status }) =>
    status.conditions.some(
      ({ type, ...condition }) => type === 'ConsoleConnected' && condition.status === 'True',
    ),
  );
}

test('start waits until the VM runs; stop until it is gone; both know when it is so already', async () => {
  const cases: [string, string][] = [
    ['start a1', 'a1 is running\n'],
    ['start a1', 'a1 was running already\n'],
    ['start a1 --no-wait', 'a1 was to be running already\n'],
    ['restart a1', 'a1 is running again\n'],
    ['stop a1', 'a1 is stopped\n'],
    ['stop a1', 'a1 was stopped already\n'],
    ['restart a1', 'a1 is running again\n'],
    ['stop a1 --no-wait', 'a1 was asked to stop\n'],
  ];
  for (const [line, stdout] of cases) {
    const result = await run(line, { user: 'alice' });
    assert.deepEqual({ line, code: result.code, stdout: result.stdout }, { line, code: 0, stdout });
  }
  await suite.sandbox.waitFor('a1', isPhase('stopped'));
});

test('a restart really ends the machine', async () => {
  await run('start a2');
  const before = suite.sandbox.driver.machine('a2');
  assert.equal((await run('restart a2', { user: 'alice' })).code, 0);
  const after = suite.sandbox.driver.machine('a2');
  assert.ok(after && after !== before);
  await run('stop a2');
});

test('of several all are tried and all are told; one failure makes it 1', async () => {
  const { code, stdout, stderr } = await run('start a1 b1 nope other/o1 a1', { user: 'alice' });
  assert.equal(code, 1);
  assert.equal(stdout, 'a1 is running\n');
  const errors = stderr.slice(stderr.indexOf('error:'));
  assertGolden('start-mixed.stderr.txt', errors);
  const json = await run('stop a1 b1 nope --json', { user: 'alice' });
  assert.equal(json.code, 1);
  assertGolden('stop-mixed.json', json.stdout);
});

test('on a terminal the moving lines go, and what became of each VM stays', async () => {
  const process = start('start a1 nope', { terminal: true });
  assert.equal((await process.ended).code, 1);
  assert.equal(
    process.runtime.screen.textWithScrollback,
    'a1 is running\nerror: there is no VM "nope" in namespace "default"\n' +
      '  vmop list -n default shows the VMs there; -A looks in all namespaces',
  );
  assertNothingLeft(process);
  await run('stop a1');
});

test('the result of one VM in all formats', async () => {
  const json = await run('start a1 --json');
  assertGolden('start.json', json.stdout);
  assert.equal((await run('start a1 nope -o name')).stdout, 'a1\n');
  assert.equal((await run(['start', 'a1', '-o', 'jsonpath={.state} {.changed}'])).stdout, 'running false');
  assertGolden('stop.yaml', (await run('stop a1 -o yaml')).stdout);
});

test('--all means those on which one holds the permission, --selector those with the labels', async () => {
  const all = await run('start --all --no-wait --dry-run --json', { user: 'alice' });
  assert.deepEqual(namesOf(all.json()), ['a1', 'a2']);
  const blue = await run('start -l team=blue --json');
  assert.deepEqual(namesOf(blue.json()), ['a1', 'a2']);
  assert.equal((await run('stop -l team=blue')).stdout, 'a1 is stopped\na2 is stopped\n');
  const everywhere = await run('start --all -A --dry-run --json');
  assert.equal(namesOf(everywhere.json()).join(' '), 'a1 a2 again b1 busy conflict dry never stubborn o1');
  const none = await run('reset -l team=red');
  assert.equal(none.code, 3);
  assert.match(none.stderr, /no VM in namespace "default" is selected on which you hold reset/);
});

test('an empty selector, as of an unset variable, means no VM at all', async () => {
  for (const selector of ['', ' ']) {
    const { code, stderr } = await run(['stop', '-l', selector]);
    assert.deepEqual([code, stderr], [2, 'error: the selector is empty\n  for every VM: --all\n']);
  }
});

test('what is chosen must be clear', async () => {
  for (const line of [
    'start a1 --all',
    'start a1 -l x',
    'stop -A',
    'stop a/b/c',
    'stop /a',
    'stop a1 --timeout soon',
  ]) {
    const { code, stdout, stderr } = await run(line);
    assert.equal(code, 2, line);
    assert.equal(stdout, '');
    assert.match(stderr, /^error: /);
  }
});

test('a VM of another namespace is named with it', async () => {
  const { code, stdout } = await run('start other/o1 --json');
  assert.equal(code, 0);
  assert.equal(field(JSON.parse(stdout), 'namespace'), 'other');
  assert.equal((await run('stop -n other o1')).code, 0);
});

test('an unknown VM is 3 and says where it was looked for', async () => {
  const { code, stderr } = await run('start nope');
  assert.equal(code, 3);
  assert.match(stderr, /^error: there is no VM "nope" in namespace "default"\n {2}vmop list -n default/);
});

test('a missing permission is 4 and names who holds it', async () => {
  const { code, stderr } = await run('start b1', { user: 'alice' });
  assert.equal(code, 4);
  assert.match(stderr, /alice does not hold the permission start on b1\n {2}.* gives it to bob, role boss;/);
  const { code: none, stderr: hint } = await run('reset busy', { user: 'alice' });
  assert.equal(none, 4);
  assert.match(hint, /gives it to nobody/);
  const restart = await run('restart b1', { user: 'alice' });
  assert.match(restart.stderr, /does not hold the permission stop on b1/);
});

test('what RBAC forbids names what is missing, and who can give it', async () => {
  await suite.sandbox.addVm({ name: 'unlisted', spec: { permissions: [ALICE] } });
  const { code, stderr } = await run('start unlisted', { user: 'alice' });
  assert.equal(code, 4);
  assert.match(
    stderr,
    /^error: the API server does not let alice patch vms "unlisted"\n {2}no Role allows what start on unlisted takes; an administrator of namespace default can/m,
  );
  await suite.sandbox.admin.delete(VMS, { namespace: 'default', name: 'unlisted' });
});

test('--dry-run has the server check and changes nothing', async () => {
  await run('start dry');
  await suite.sandbox.waitFor('dry', ({ status }) => (status.displayPasswordSerial ?? 0) > 0);
  await run('wait dry --for agent');
  const { resourceVersion } = await get('dry');
  for (const verb of ['start', 'stop', 'stop --force', 'restart', 'restart --force', 'reset']) {
    const { code, stdout } = await run(`${verb} dry --dry-run`);
    assert.equal(code, 0, verb);
    assert.equal(stdout, `dry: the server would ${verb.split(' ')[0] ?? ''} it (dry run, nothing changed)\n`);
    const json = await run(`${verb} dry --dry-run --json`);
    assert.deepEqual([field(json.json(), 'changed'), field(json.json(), 'dryRun')], [false, true]);
  }
  assert.equal((await get('dry')).resourceVersion, resourceVersion);
  assert.equal(suite.sandbox.driver.machine('dry')?.resets, 0);
});

test('reset presses the button and says that nobody reports it', async () => {
  const { code, stdout } = await run('reset dry --json');
  assert.equal(code, 0);
  assertGolden('reset.json', stdout);
  await until(() => suite.sandbox.driver.machine('dry')?.resets === 1);
  await run('stop dry');
  const stopped = await run('reset dry');
  assert.equal(stopped.code, 8);
  assert.match(stopped.stderr, /dry is stopped: only a running VM can be reset\n {2}vmop start dry/);
});

test('a start that takes too long is 6 and says what is known of the cause', async () => {
  await run('start never --no-wait');
  await suite.sandbox.waitFor('never', hasReason('RunnerStarted'));
  const { code, stderr } = await run('start never --timeout 0');
  assert.equal(code, 6);
  assert.match(stderr, /never: still not running .* after 0 s\n {2}spec\.vm\.currentCpus is 1/);
  const json = await run('start never --timeout 0 --json');
  assert.equal(json.code, 6);
  assert.deepEqual(field(json.json(), 'error', 'code'), 'timeout');
  assert.equal((await run('start never a1 --timeout 0.2s')).code, 1);
  await run('stop never a1');
});

test('a start that somebody else takes back is 5', async () => {
  const process = start('start never');
  await suite.sandbox.waitFor('never', wanted('Running'));
  await suite.sandbox.patchSpec('never', { vm: { state: 'Stopped' } });
  const { code, stderr } = await process.ended;
  assert.equal(code, 5);
  assert.match(stderr, /never is to be stopped again/);
});

test('a stop that takes too long is 6, and --force ends the machine', async () => {
  await run('start stubborn');
  const late = await run('stop stubborn --timeout 0');
  assert.equal(late.code, 6);
  assert.match(late.stderr, /still shutting down after 0 s\n {2}.* up to 60 s .* vmop stop --force stubborn/);
  await suite.sandbox.waitFor('stubborn', hasReason('VmTerminating'));
  const forced = await run('stop stubborn --force');
  assert.equal(forced.code, 0);
  assert.equal(suite.sandbox.driver.machine('stubborn'), undefined);
});

test('a stop while somebody starts the VM is 5', async () => {
  await run('start again');
  const process = start('stop again');
  await suite.sandbox.waitFor('again', wanted('Stopped'));
  await suite.sandbox.patchSpec('again', { vm: { state: 'Running' } });
  const { code, stderr } = await process.ended;
  assert.equal(code, 5);
  assert.match(stderr, /again is to run again: somebody started it meanwhile/);
  await run('stop again --force');
});

test('a conflict is decided anew with what is there now', async () => {
  let meddled = false;
  const proxy = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfig,
    async meet(method) {
      if (method !== 'PATCH' || meddled) return undefined;
      meddled = true;
      await suite.sandbox.patchSpec('conflict', { guestShutdownStops: true });
      return undefined;
    },
  });
  try {
    const { code } = await run(['start', 'conflict', '--server', proxy.url]);
    assert.equal(code, 0);
    assert.equal(proxy.requests.filter((request) => request.startsWith('PATCH')).length, 2);
  } finally {
    await proxy.close();
  }
});

test('nobody is thrown out of a console without a question', async () => {
  await connect('busy');
  const piped = await run('stop busy dry');
  assert.equal(piped.code, 5);
  assert.match(
    piped.stderr,
    /^error: a console is connected to busy \(10\.0\.0\.7\)\n {2}--yes does not ask; nothing/,
  );
  for (const answer of ['n\r', '\r']) {
    const asked = start('stop busy', { terminal: true });
    await asked.shows('A console is connected to busy (10.0.0.7). stop anyway?');
    asked.runtime.type(answer);
    const { code } = await asked.ended;
    assert.equal(code, 5);
    assert.match(asked.runtime.screen.text, /not confirmed: nothing was changed/);
    assertNothingLeft(asked);
  }
  const away = start('reset busy', { terminal: true });
  await away.shows('A console is connected');
  away.runtime.type('\u0003');
  assert.equal((await away.ended).code, 130);
  assertNothingLeft(away);
  assert.equal((await get('busy')).spec.state, 'Running');
  assert.equal(suite.sandbox.driver.machine('busy')?.resets, 0);

  const yes = start('restart busy', { terminal: true });
  await yes.shows('A console is connected');
  yes.runtime.type('y\r');
  assert.equal((await yes.ended).code, 0);
  await connect('busy');
  assert.equal((await run('stop busy --yes')).code, 0);
});

test('a signal ends the waiting, not the wish', async () => {
  for (const [reason, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    for (const terminal of [false, true]) {
      const process = start('start never', { terminal });
      await suite.sandbox.waitFor('never', wanted('Running'));
      process.runtime.interrupt(reason);
      const { code } = await process.ended;
      assert.equal(code, exitCode);
      assertNothingLeft(process);
      assert.equal((await get('never')).spec.state, 'Running');
      await run('stop never');
    }
  }
  for (const verb of ['stop', 'restart']) {
    await run('start stubborn');
    const process = start(`${verb} stubborn`, { terminal: true });
    await suite.sandbox.waitFor('stubborn', wanted('Stopped'));
    process.runtime.interrupt('SIGINT');
    assert.equal((await process.ended).code, 130);
    assertNothingLeft(process);
    assert.equal((await get('stubborn')).spec.state, 'Stopped');
    await suite.sandbox.waitFor('stubborn', hasReason('VmTerminating'));
    await run('stop stubborn --force');
  }
  const json = start('restart stubborn a1 --json');
  await suite.sandbox.waitFor('a1', wanted('Running'));
  json.runtime.interrupt('SIGINT');
  const { stdout } = await json.ended;
  assert.equal(field(JSON.parse(stdout), 'error', 'code'), 'interrupted');
});
