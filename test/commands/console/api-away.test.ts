import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { asObject } from '../../../src/lib/cluster/parse.ts';
import { consoleUse } from '../../../src/lib/vm/state.ts';
import { startFaultyApi } from '../../e2e/faulty-api.ts';
import { Situations } from '../../e2e/situations.ts';
import type { FaultProxy } from '../../helpers/fault-proxy.ts';
import { startVmop, type VmopProcess } from '../../helpers/vmop.ts';
import { closeWindow, consoleStage, type StagedVm } from './stage.ts';

const stage = consoleStage();
const situations = new Situations('The desktop, and the API server is away');

interface Opened {
  vm: StagedVm;
  console: VmopProcess;
  viewer: string;
  proxy: FaultProxy;
  kubeconfig: string;
}

/** Bob's desktop, in a session that is to log him out. */
async function open(t: TestContext, name: string, args: string[] = []): Promise<Opened> {
  const vm = await stage.vm(t, { name, annotations: { 'sandbox.vmop/agent': 'normal' }, login: 'bob' });
  await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === 'bob');
  const { proxy, kubeconfig } = await startFaultyApi(t, stage.sandbox, await stage.folder());
  const viewer = await stage.viewer();
  const line = [vm.name, '--viewer', viewer, '--on-disconnect', 'logout', ...args];
  const console = stage.start(line, { kubeconfig });
  await console.shows(`connected to ${vm.name}`);
  await vm.shown();
  await stage.sandbox.waitFor(vm.name, (current) => consoleUse(current).connected);
  return { vm, console, viewer, proxy, kubeconfig };
}

const isLoggedOut = (vm: StagedVm): Promise<unknown> =>
  stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === undefined);

describe('--on-disconnect logout', { concurrency: true }, () => {
  test('waits for an API server that is away for a while', async (t) => {
    const { vm, console, viewer, proxy } = await open(t, 'away');
    const comeBack = await proxy.goAway();
    await closeWindow(viewer);
    await console.shows('cannot be asked to log out yet');
    await comeBack();
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    await isLoggedOut(vm);
    assert.match(ended.stderr, /^bob was logged out on vm-away/m);
    situations.saw('it comes back', ended, vm.name, /cannot be asked/);
  });

  test('a write whose answer is lost was made all the same', async (t) => {
    const { vm, console, viewer, proxy } = await open(t, 'unanswered');
    proxy.fail({ method: 'PATCH', path: /\/vms\/vm-unanswered$|\/vms\/vm-unanswered\?/, resetAfter: true });
    await closeWindow(viewer);
    const ended = await console.ended;
    proxy.assertUsed();
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /^bob was logged out on vm-unanswered/m);
    await isLoggedOut(vm);
  });

  test('Ctrl-C gives up, and it is said what is left to do', async (t) => {
    const { vm, console, viewer, proxy } = await open(t, 'given-up', ['-o', 'json']);
    const comeBack = await proxy.goAway();
    await closeWindow(viewer);
    await console.shows('cannot be asked to log out yet');
    console.runtime.interrupt('SIGINT');
    const ended = await console.ended;
    await comeBack();
    assert.equal(ended.code, 130, ended.stderr);
    const { desktop, outcome } = asObject(ended.json());
    const { action, done } = asObject(desktop);
    assert.deepEqual([outcome, action, done], ['windowClosed', 'logout', false]);
    situations.saw('Ctrl-C gives up', ended, vm.name, /logout failed/);
  });

  test('the Ctrl-C that ends the session does not end this, the second one does', async (t) => {
    const { vm, console, proxy } = await open(t, 'interrupted');
    const comeBack = await proxy.goAway();
    console.runtime.interrupt('SIGINT');
    await console.shows('cannot be asked to log out yet');
    console.runtime.exit(130);
    await console.shows('given up: vmop logout vm-interrupted does it by hand');
    await comeBack();
    const ended = await console.ended;
    assert.equal(ended.code, 130, ended.stderr);
    await isLoggedOut(vm);
  });

  test('Ctrl-C ends a session like a closed window', async (t) => {
    const { vm, console } = await open(t, 'ctrl-c');
    console.runtime.interrupt('SIGINT');
    const ended = await console.ended;
    assert.equal(ended.code, 130, ended.stderr);
    assert.match(ended.stderr, /^bob was logged out on vm-ctrl-c/m);
    await isLoggedOut(vm);
  });

  test('refusals are final', async (t) => {
    const { vm, console, viewer, proxy } = await open(t, 'conflicting');
    proxy.fail({ method: 'PATCH', path: /\/vms\/vm-conflicting/, status: 409, times: 10 });
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.code, 5, ended.stderr);
    situations.saw('it is there, and refuses', ended, vm.name, /logout failed/);
  });

  test('after kill -9 it is waited for, too', async (t) => {
    const name = 'vm-killed';
    const annotations = { 'sandbox.vmop/agent': 'normal' };
    const vm = await stage.vm(t, { name: 'killed', annotations, login: 'bob' });
    const { uid } = await stage.sandbox.waitFor(name, ({ status }) => status.loggedInUser === 'bob');
    const { proxy, kubeconfig } = await startFaultyApi(t, stage.sandbox, await stage.folder());
    const comeBack = await proxy.goAway();
    const args = ['finish-session', '--on-disconnect=logout', `--uid=${uid}`, `default/${name}`, 'seen:'];
    const finish = startVmop(stage.sandbox.folder, args, { kubeconfig });
    await finish.shows('cannot be asked to log out yet');
    await comeBack();
    const ended = await finish.ended;
    assert.equal(ended.code, 0, ended.stderr);
    await isLoggedOut(vm);
  });
});

test('docs/console.md tells these', () =>
  situations.assertDocumented('node --test test/commands/console/api-away.test.ts'));
