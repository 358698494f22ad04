import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { consoleUse } from '../../../src/lib/vm/state.ts';
import { Situations } from '../../e2e/situations.ts';
import { closeWindow, consoleStage } from './stage.ts';

const stage = consoleStage();
const situations = new Situations('Who may, and who is there');
const ALICE = { user: 'alice' };
const may = (...permissions: string[]) => ({ permissions: [{ user: 'alice', may: permissions }] });

describe('who may', { concurrency: true }, () => {
  test('neither permission', async (t) => {
    const vm = await stage.vm(t, { name: 'not-mine', spec: may('start') });
    const ended = await stage.run([vm.name, '--file', '-'], ALICE);
    assert.equal(ended.code, 4, ended.stderr);
    situations.saw('one holds no permission for it', ended, vm.name);
  });

  test('no such VM', async () => {
    const ended = await stage.run(['nowhere', '--file', '-']);
    assert.equal(ended.code, 3, ended.stderr);
    situations.saw('there is no such VM', ended, 'nowhere');
  });

  test('RBAC refuses what a console takes', async (t) => {
    // The sandbox lets users see all, and change nothing that it was not told of.
    const vm = await stage.vm(t, { name: 'read-only', spec: may('accessConsole') });
    const ended = await stage.run([vm.name, '--file', '-'], ALICE);
    assert.equal(ended.code, 0, ended.stderr);
    situations.saw('one may not put down a name at the VM', ended, vm.name, /^warning: others will not see/);
  });
});

describe('somebody is there', { concurrency: true }, () => {
  test('by name, since when, from where; taken with --take only', async (t) => {
    const vm = await stage.vm(t, { name: 'in-use', spec: may('accessConsole') });
    await vm.takenBy('bob', '10.0.0.9');
    const refused = await stage.run([vm.name, '--file', '-']);
    assert.equal(refused.code, 5, refused.stderr);
    assert.match(refused.stderr, /bob is connected to vm-in-use from 10\.0\.0\.9 since \d{4}-/);
    situations.saw('somebody is there, and one may take it', refused, vm.name);
    const powerless = await stage.run([vm.name, '--file', '-'], ALICE);
    assert.equal(powerless.code, 5, powerless.stderr);
    situations.saw('somebody is there, and one may not take it', powerless, vm.name);
    const forbidden = await stage.run([vm.name, '--file', '-', '--take'], ALICE);
    assert.equal(forbidden.code, 4, forbidden.stderr);
    situations.saw('--take without the permission', forbidden, vm.name);
    const taken = await stage.run([vm.name, '--file', '-', '--take']);
    assert.equal(taken.code, 0, taken.stderr);
    situations.saw('--take', taken, vm.name, /^warning: bob is connected/);
    const quiet = await stage.run([vm.name, '--file', '-', '--take', '--quiet']);
    assert.equal(quiet.code, 0);
    assert.match(
      quiet.stderr,
      /^warning: you, or somebody .* connected to vm-in-use .*: that console will be closed$/m,
    );
    assert.equal(quiet.stderr.trimEnd().split('\n').length, 1, 'and nothing else');
  });

  test('by a viewer that was started by hand', async (t) => {
    const vm = await stage.vm(t, { name: 'by-hand' });
    vm.machine().connectConsole('10.0.0.9');
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.consoleClient === '10.0.0.9');
    const refused = await stage.run([vm.name, '--file', '-']);
    assert.equal(refused.code, 5, refused.stderr);
    situations.saw('somebody is there who gave no name', refused, vm.name);
  });

  test('one’s own other console, or somebody who came by hand after it', async (t) => {
    const vm = await stage.vm(t, { name: 'own', spec: may('accessConsole') });
    await vm.takenBy('admin', '10.0.0.9');
    const viewer = await stage.viewer();
    const refused = await stage.run([vm.name, '--viewer', viewer]);
    assert.equal(refused.code, 5, refused.stderr);
    situations.saw('one’s own console may be open elsewhere', refused, vm.name);
    const console = stage.start([vm.name, '--viewer', viewer, '--take']);
    await console.shows('connected to vm-own; close');
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    situations.saw('the same, with --take', ended, vm.name, /^warning: you, or somebody/);
  });

  test('on a terminal it is asked', async (t) => {
    const vm = await stage.vm(t, { name: 'asked' });
    await vm.takenBy('admin', '10.0.0.9');
    const viewer = await stage.viewer();
    const no = stage.start([vm.name, '--viewer', viewer], { terminal: true });
    await no.shows('Close that console?');
    no.runtime.type('n\r');
    assert.equal((await no.ended).code, 5);
    const yes = stage.start([vm.name, '--viewer', viewer], { terminal: true });
    await yes.shows('Close that console?');
    yes.runtime.type('y\r');
    await vm.shown();
    await yes.shows('connected to vm-asked; close');
    await closeWindow(viewer);
    const ended = await yes.ended;
    assert.equal(ended.code, 0, ended.stderr);
  });

  test('one’s name goes with the session, so that nobody stands there for one', async (t) => {
    const vm = await stage.vm(t, { name: 'nameless' });
    const viewer = await stage.viewer();
    const console = stage.start([vm.name, '--viewer', viewer]);
    await vm.shown();
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.consoleUser === 'admin');
    await closeWindow(viewer);
    assert.equal((await console.ended).code, 0);
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.consoleUser === undefined);
    vm.machine().connectConsole('10.0.0.9');
    await stage.sandbox.waitFor(vm.name, (current) => consoleUse(current).connected);
    const refused = await stage.run([vm.name, '--viewer', viewer]);
    assert.equal(refused.code, 5, refused.stderr);
    assert.match(refused.stderr, /^error: somebody is connected to vm-nameless from 10\.0\.0\.9/m);
  });

  test('the name of whoever is there comes back when taking the console fails', async (t) => {
    const vm = await stage.vm(t, { name: 'untaken' });
    await vm.takenBy('bob', '10.0.0.9');
    const failed = await stage.run([vm.name, '--viewer', await stage.viewer('exit 1\n'), '--take']);
    assert.equal(failed.code, 9, failed.stderr);
    const { status } = await stage.sandbox.waitFor(vm.name, () => true);
    assert.equal(status.consoleUser, 'bob');
  });

  for (const [way, name, args] of [
    ['directly', 'late', []],
    ['behind the API server', 'late-tunnel', ['--tunnel', 'always']],
  ] as const) {
    test(`somebody comes while it is prepared, ${way}`, async (t) => {
      const vm = await stage.vm(t, { name, annotations: { 'sandbox.vmop/agent': 'slow:1500' } });
      const slow = await stage.viewer(`sleep 2\nexec ${await stage.viewer()} "$@"\n`);
      const login = way === 'directly' ? ['--login', 'alice', '--login-first'] : [];
      const console = stage.start([vm.name, '--viewer', slow, ...login, ...args]);
      await console.shows(way === 'directly' ? 'logging in alice' : 'starting remote-viewer');
      await vm.takenBy('bob', '10.0.0.9');
      const ended = await console.ended;
      assert.equal(ended.code, 5, ended.stderr);
      assert.match(ended.stderr, new RegExp(`^error: bob is connected to vm-${name} from 10`, 'm'));
      assert.equal(consoleUse(await stage.sandbox.waitFor(vm.name, () => true)).user, 'bob');
    });
  }

  test('a name that an earlier session left is nobody', async (t) => {
    const vm = await stage.vm(t, { name: 'left-name' });
    await stage.sandbox.patchStatus(vm.name, { consoleUser: 'bob', consoleClient: '10.0.0.9' });
    const viewer = await stage.viewer();
    const console = stage.start([vm.name, '--viewer', viewer]);
    await console.shows('connected to vm-left-name');
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    situations.saw('an earlier session left its name', ended, vm.name, /^connected to/);
  });

  test('a connection that a runner left which was killed is nobody’s', async (t) => {
    const vm = await stage.vm(t, { name: 'left-connection' });
    await vm.takenBy('bob', '10.0.0.9');
    const { status } = await stage.sandbox.waitFor(vm.name, () => true);
    // What a pod that was killed by force leaves: the machine terminates for ever, and bob is connected to it.
    const conditions = status.conditions.map(({ lastTransitionTime, ...condition }) => ({
      ...condition,
      observedGeneration: 1,
      lastTransitionTime: (lastTransitionTime ?? new Date()).toISOString(),
      ...(condition.type === 'Running' ? { reason: 'VmTerminating' } : {}),
    }));
    assert.ok(conditions.some(({ type, status: is }) => type === 'ConsoleConnected' && is === 'True'));
    await stage.sandbox.patchSpec(vm.name, { vm: { state: 'Stopped' } });
    await stage.sandbox.waitFor(vm.name, (current) => current.status.runnerVersion === undefined);
    await stage.sandbox.patchStatus(vm.name, { conditions });
    const stopped = await stage.run([vm.name, '--file', '-']);
    assert.equal(stopped.code, 8, stopped.stderr);
    assert.doesNotMatch(stopped.stderr, /bob/);
    situations.saw('a runner that was killed left a connection', stopped, vm.name);
  });
});

describe('the VM does not run', { concurrency: true }, () => {
  test('it is stopped', async (t) => {
    const vm = await stage.vm(t, { name: 'stopped' });
    await stage.sandbox.patchSpec(vm.name, { vm: { state: 'Stopped' } });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.runnerVersion === undefined);
    const ended = await stage.run([vm.name, '--file', '-']);
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('the VM is stopped', ended, vm.name);
  });

  test('it is stopping', async (t) => {
    const vm = await stage.vm(t, { name: 'ending', annotations: { 'sandbox.vmop/powerdown': 'ignore' } });
    await stage.sandbox.patchSpec(vm.name, { vm: { state: 'Stopped' } });
    const ended = await stage.run([vm.name, '--file', '-']);
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('the VM is stopping', ended, vm.name);
  });

  test('it will never start', async () => {
    await stage.sandbox.addVm({ name: 'vm-crippled', spec: { vm: { state: 'Running', currentCpus: 1 } } });
    await stage.sandbox.waitFor('vm-crippled', ({ status }) =>
      status.conditions.some(({ type, reason }) => type === 'Running' && reason === 'RunnerStarted'),
    );
    const crippled = await stage.run(['vm-crippled', '--file', '-']);
    assert.equal(crippled.code, 8, crippled.stderr);
    situations.saw('the VM will never start', crippled, 'vm-crippled');
  });

  test('it starts', async () => {
    const annotations = { 'sandbox.vmop/fail-starts': '1000' };
    await stage.sandbox.addVm({ name: 'vm-failing', annotations, spec: { vm: { state: 'Running' } } });
    const ended = await stage.run(['vm-failing', '--file', '-']);
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('the VM is starting', ended, 'vm-failing');
  });
});

test('docs/console.md tells these', () =>
  situations.assertDocumented('node --test test/commands/console/who.test.ts'));
