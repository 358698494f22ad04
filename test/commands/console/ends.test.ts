import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { userRules } from '../../../src/lib/sandbox/rules.ts';
import { DISPLAY_SECRETS } from '../../../src/lib/console/secret/display-secret.ts';
import { consoleUse, isRunning } from '../../../src/lib/vm/state.ts';
import { asObject } from '../../../src/lib/cluster/parse.ts';
import { VMS } from '../../../src/lib/vm/parse.ts';
import { Situations } from '../../e2e/situations.ts';
import { closeWindow, consoleStage, viewerGone, type StagedVm } from './stage.ts';
import type { VmopProcess } from '../../helpers/vmop.ts';
import type { RunOptions } from '../suite.ts';

/** The VM that alice, who is no administrator, may use. */
const LIMITED = 'taken-for-good';
const stage = consoleStage({ rules: userRules([`vm-${LIMITED}`]) });
const situations = new Situations('Ends');

interface Opened {
  console: VmopProcess;
  viewer: string;
}

async function open(vm: StagedVm, args: string[] = [], options: RunOptions = {}): Promise<Opened> {
  const viewer = await stage.viewer();
  const console = stage.start([vm.name, '--viewer', viewer, ...args], options);
  await console.shows(`connected to ${vm.name}`);
  await vm.shown();
  await stage.sandbox.waitFor(vm.name, (current) => consoleUse(current).connected);
  return { console, viewer };
}

describe('a session ends, and the cause is told', { concurrency: true }, () => {
  test('its window is closed', async (t) => {
    const vm = await stage.vm(t, { name: 'closed' });
    const { console, viewer } = await open(vm);
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.deepEqual(
      [ended.code, ended.stdout.replace(/[\d.]+ s/, 'N s')],
      [0, 'the console of vm-closed was closed after N s\n'],
    );
    assert.equal((await vm.secret()).expiry, 'now');
  });

  test('-v tells how long the opening took as soon as it is open', async (t) => {
    const vm = await stage.vm(t, { name: 'timed' });
    const { console, viewer } = await open(vm, ['-v']);
    await console.shows(' s  in all');
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.stderr.match(/ s {2}in all$/gm)?.length, 1, ended.stderr);
  });

  test('somebody takes it', async (t) => {
    const vm = await stage.vm(t, { name: 'taken' });
    const { console } = await open(vm);
    await vm.takenBy('bob', '10.0.0.9');
    const ended = await console.ended;
    assert.equal(ended.code, 5, ended.stderr);
    situations.saw('somebody takes the console', ended, vm.name);
  });

  test('somebody takes it from one who may not take it back', async (t) => {
    const spec = { permissions: [{ user: 'alice', may: ['accessConsole'] }] };
    const vm = await stage.vm(t, { name: LIMITED, spec });
    const { console } = await open(vm, [], { user: 'alice' });
    await vm.takenBy('bob', '10.0.0.9');
    const ended = await console.ended;
    assert.equal(ended.code, 5, ended.stderr);
    situations.saw('somebody takes it from one without takeConsole', ended, vm.name);
  });

  test('one takes it oneself, elsewhere', async (t) => {
    const vm = await stage.vm(t, { name: 'moved' });
    const { console, viewer } = await open(vm);
    await vm.takenBy('admin', '10.0.0.9', () => viewerGone(viewer));
    const ended = await console.ended;
    assert.equal(ended.code, 5, ended.stderr);
    situations.saw('one opens it again elsewhere', ended, vm.name);
  });

  test('the VM is stopped', async (t) => {
    const vm = await stage.vm(t, { name: 'halted' });
    const { console } = await open(vm);
    await stage.sandbox.patchSpec(vm.name, { vm: { state: 'Stopped' } });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.runnerVersion === undefined);
    vm.hangUp();
    const ended = await console.ended;
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('the VM is stopped under the session', ended, vm.name);
  });

  test('the guest powers itself off', async (t) => {
    const vm = await stage.vm(t, { name: 'off' });
    const { console } = await open(vm);
    vm.machine().powerOff();
    await stage.sandbox.waitFor(vm.name, (current) => !isRunning(current));
    vm.hangUp();
    const ended = await console.ended;
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('the guest powers itself off', ended, vm.name);
  });

  test('the VM is deleted', async (t) => {
    const vm = await stage.vm(t, { name: 'deleted' });
    const { console } = await open(vm);
    await stage.sandbox.admin.delete(VMS, { namespace: 'default', name: vm.name });
    vm.hangUp();
    const ended = await console.ended;
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('the VM is deleted under the session', ended, vm.name);
  });

  for (const [situation, name, args] of [
    ['the connection breaks', 'lost', []],
    ['the connection breaks, behind the API server', 'lost-tunnel', ['--tunnel', 'always']],
  ] as const) {
    test(situation, async (t) => {
      const vm = await stage.vm(t, { name });
      const { console } = await open(vm, [...args]);
      vm.hangUp();
      const ended = await console.ended;
      assert.equal(ended.code, 9, ended.stderr);
      situations.saw(situation, ended, vm.name);
    });
  }

  test('it is opened again, with a new password', async (t) => {
    const vm = await stage.vm(t, { name: 'back' });
    const { console, viewer } = await open(vm, ['--reconnect']);
    const { password } = await vm.secret();
    vm.hangUp();
    await console.shows('(attempt 1)');
    await console.shows('connected to vm-back', 2);
    await vm.shown();
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.notEqual((await vm.secret()).password, password);
    situations.saw('the connection breaks, with --reconnect', ended, vm.name, /opening it again/);
  });

  test('Ctrl-C', async (t) => {
    const vm = await stage.vm(t, { name: 'interrupted' });
    const { console } = await open(vm);
    console.runtime.interrupt('SIGINT');
    const ended = await console.ended;
    assert.equal(ended.code, 130, ended.stderr);
    assert.equal(vm.server.open.size, 0);
    assert.equal((await vm.secret()).expiry, 'now');
  });
});

describe('passwords that do not open the display', { concurrency: true }, () => {
  test('the display has another one', async (t) => {
    const vm = await stage.vm(t, { name: 'refusing', annotations: { 'sandbox.vmop/password': 'refuse' } });
    const ended = await stage.run([vm.name, '--viewer', await stage.viewer(), '--timeout', '2s']);
    assert.equal(ended.code, 9, ended.stderr);
    situations.saw('the display refuses the password', ended, vm.name);
  });

  test('it ran out before the viewer came', async (t) => {
    const vm = await stage.vm(t, { name: 'late' });
    const viewer = await stage.viewer();
    const slow = await stage.viewer(`sleep 3\nexec ${viewer} "$@"\n`);
    const ended = await stage.run([vm.name, '--viewer', slow, '--validity', '1s']);
    assert.equal(ended.code, 9, ended.stderr);
    situations.saw('the password ran out before the viewer came', ended, vm.name);
  });

  test('there is no Secret', async (t) => {
    const vm = await stage.vm(t, { name: 'secretless' });
    const { name } = await vm.secret();
    await stage.sandbox.admin.delete(DISPLAY_SECRETS, { namespace: 'default', name });
    const ended = await stage.run([vm.name, '--viewer', await stage.viewer()]);
    assert.equal(ended.code, 9, ended.stderr);
    situations.saw('the display asks for a password, and there is no Secret', ended, vm.name);
  });
});

describe('--on-disconnect', { concurrency: true }, () => {
  const agent = { 'sandbox.vmop/agent': 'normal' };

  async function closedWith(vm: StagedVm, args: string[], code = 0) {
    const { console, viewer } = await open(vm, args);
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.code, code, ended.stderr);
    return ended;
  }

  test('logout', async (t) => {
    const vm = await stage.vm(t, { name: 'logout', annotations: agent, login: 'bob' });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === 'bob');
    const ended = await closedWith(vm, ['--on-disconnect', 'logout']);
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === undefined);
    situations.saw('--on-disconnect logout', ended, vm.name, /logged out on/);
  });

  test('logout, where nobody was logged in', async (t) => {
    const vm = await stage.vm(t, { name: 'nobody' });
    const ended = await closedWith(vm, ['--on-disconnect', 'logout'], 8);
    situations.saw(
      '--on-disconnect logout, and nobody was logged in',
      ended,
      vm.name,
      /nobody is logged out/,
    );
  });

  test('logout, and RBAC forbids it', async (t) => {
    const spec = { permissions: [{ user: 'alice', may: ['accessConsole'] }] };
    const vm = await stage.vm(t, { name: 'kept', annotations: agent, login: 'alice', spec });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === 'alice');
    const args = [vm.name, '--viewer', await stage.viewer(), '--on-disconnect', 'logout'];
    const ended = await stage.run(args, { user: 'alice' });
    assert.equal(ended.code, 4, ended.stderr);
    situations.saw('--on-disconnect logout, and RBAC forbids it', ended, vm.name);
  });

  test('logout, which the VM’s annotation wishes and RBAC forbids', async (t) => {
    const spec = { permissions: [{ user: 'alice', may: ['accessConsole'] }] };
    const annotations = { ...agent, 'vmop/on-disconnect': 'logout' };
    const vm = await stage.vm(t, { name: 'wished', annotations, login: 'alice', spec });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === 'alice');
    const { console, viewer } = await open(vm, ['-o', 'json'], { user: 'alice' });
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    const { desktop } = asObject(ended.json());
    const { action, done } = asObject(desktop);
    assert.deepEqual([action, done], ['logout', false]);
    situations.saw('the VM’s annotation says logout, and RBAC forbids it', ended, vm.name, /stays as it is/);
  });

  test('logout, and the session is interrupted: JSON tells both', async (t) => {
    const vm = await stage.vm(t, { name: 'both', annotations: agent, login: 'alice' });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === 'alice');
    const { console } = await open(vm, ['--on-disconnect', 'logout', '-o', 'json']);
    console.runtime.interrupt('SIGINT');
    const ended = await console.ended;
    assert.equal(ended.code, 130, ended.stderr);
    const { code, desktop } = asObject(asObject(ended.json())['error']);
    assert.deepEqual([code, asObject(desktop)['done']], ['interrupted', true]);
  });

  test('logout, and somebody did it already', async (t) => {
    const vm = await stage.vm(t, { name: 'before', annotations: agent, login: 'alice' });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === 'alice');
    const { console, viewer } = await open(vm, ['--on-disconnect', 'logout']);
    const patch = { type: 'merge', body: { spec: { vm: { display: { loggedInUser: null } } } } } as const;
    await stage.sandbox.admin.patch(VMS, { namespace: 'default', name: vm.name }, patch);
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === undefined);
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /alice is logged out on vm-before already/);
  });

  test('logout, and a pool decides who is logged in', async (t) => {
    await stage.sandbox.addPool({ name: 'leased', spec: { loginOnAssignment: true } });
    const vm = await stage.vm(t, {
      name: 'leased',
      annotations: agent,
      spec: { pools: ['leased'] },
      status: { assignment: { pool: 'leased', user: 'bob' } },
    });
    const ended = await stage.run([vm.name, '--viewer', await stage.viewer(), '--on-disconnect', 'logout']);
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('--on-disconnect logout, and a pool decides who is logged in', ended, vm.name);
  });

  test('stop', async (t) => {
    const vm = await stage.vm(t, { name: 'stop' });
    const ended = await closedWith(vm, ['--on-disconnect', 'stop']);
    await stage.sandbox.waitFor(vm.name, ({ spec }) => spec.state === 'Stopped');
    situations.saw('--on-disconnect stop', ended, vm.name, /was asked to stop/);
  });

  test('lock', async (t) => {
    const vm = await stage.vm(t, { name: 'lock' });
    const ended = await closedWith(vm, ['--on-disconnect', 'lock']);
    situations.saw('--on-disconnect lock', ended, vm.name, /was not locked/);
    assert.match(ended.stderr, /warning: VM-Operator has no way[^]*connected to/, 'also before the session');
  });

  test('an annotation of the VM decides, and may make no sense', async (t) => {
    const stopping = await stage.vm(t, { name: 'annotated', annotations: { 'vmop/on-disconnect': 'stop' } });
    await closedWith(stopping, []);
    await stage.sandbox.waitFor(stopping.name, ({ spec }) => spec.state === 'Stopped');
    const senseless = await stage.vm(t, {
      name: 'senseless',
      annotations: { 'vmop/on-disconnect': 'explode' },
    });
    const ended = await closedWith(senseless, []);
    situations.saw('the VM’s annotation makes no sense', ended, senseless.name, /annotation/);
  });

  test('an action that one may not do is refused before the session', async (t) => {
    const spec = { permissions: [{ user: 'alice', may: ['accessConsole'] }] };
    const vm = await stage.vm(t, { name: 'forbidden', spec });
    const args = [vm.name, '--viewer', await stage.viewer(), '--on-disconnect', 'stop'];
    const ended = await stage.run(args, { user: 'alice' });
    assert.equal(ended.code, 4, ended.stderr);
    situations.saw('--on-disconnect stop without the permission', ended, vm.name);
  });

  test('somebody took the console: the desktop is theirs', async (t) => {
    const vm = await stage.vm(t, { name: 'theirs' });
    const { console } = await open(vm, ['--on-disconnect', 'stop']);
    await vm.takenBy('bob', '10.0.0.9');
    const ended = await console.ended;
    assert.equal(ended.code, 5, ended.stderr);
    situations.saw('--on-disconnect, and somebody has taken the console', ended, vm.name, /left as it is/);
  });

  test('somebody came right after', async (t) => {
    const vm = await stage.vm(t, { name: 'next' });
    const { console, viewer } = await open(vm, ['--on-disconnect', 'stop']);
    await closeWindow(viewer);
    await console.shows('looking whether somebody comes back');
    await vm.takenBy('bob', '10.0.0.9');
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    situations.saw('--on-disconnect, and somebody comes right after', ended, vm.name, /left as it is/);
  });
});

test('docs/console.md tells these', () =>
  situations.assertDocumented('node --test test/commands/console/ends.test.ts'));
