import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Situations } from '../../e2e/situations.ts';
import { closeWindow, consoleStage } from './stage.ts';

const stage = consoleStage();
const situations = new Situations('Log-in');
const ALICE = { user: 'alice' };
const HERS = { permissions: [{ user: 'alice', may: ['accessConsole'] }] };
const agent = (manner: string) => ({ 'sandbox.vmop/agent': manner });

describe('the desktop is for whoever is logged in there', { concurrency: true }, () => {
  test('somebody else is', async (t) => {
    const vm = await stage.vm(t, { name: 'of-bob', annotations: agent('normal'), spec: HERS, login: 'bob' });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === 'bob');
    const ended = await stage.run([vm.name, '--file', '-'], ALICE);
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('somebody else is logged in', ended, vm.name);
  });

  test('somebody is to be, and is not yet', async (t) => {
    const vm = await stage.vm(t, { name: 'for-bob', annotations: agent('silent'), spec: HERS, login: 'bob' });
    await stage.sandbox.waitFor(vm.name, ({ status }) =>
      status.conditions.some(({ type, status: is }) => type === 'VmopAgentConnected' && is === 'True'),
    );
    const bob = await stage.run([vm.name, '--file', '-'], ALICE);
    assert.equal(bob.code, 8, bob.stderr);
    situations.saw('somebody else is to be logged in, and is not yet', bob, vm.name);
    const viewer = await stage.viewer();
    const login = await stage.run([vm.name, '--viewer', viewer, '--login', 'alice'], ALICE);
    assert.equal(login.code, 8, login.stderr);
    assert.match(login.stderr, /--login-first logs in before/);
    situations.saw('--login, and somebody else is to be logged in', login, vm.name);
  });

  test('oneself is to be, and is not yet', async (t) => {
    const vm = await stage.vm(t, {
      name: 'for-alice',
      annotations: agent('silent'),
      spec: HERS,
      login: 'alice',
    });
    await stage.sandbox.waitFor(vm.name, ({ status }) =>
      status.conditions.some(({ type, status: is }) => type === 'VmopAgentConnected' && is === 'True'),
    );
    const ended = await stage.run([vm.name, '--file', '-'], ALICE);
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('one is to be logged in, and is not yet', ended, vm.name);
  });

  test('nobody can be: there is no agent', async (t) => {
    const vm = await stage.vm(t, { name: 'no-agent', spec: HERS, login: 'alice' });
    const ended = await stage.run([vm.name, '--file', '-'], ALICE);
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('one is to be logged in, and no agent has answered', ended, vm.name);
  });

  test('a pool decides who is', async (t) => {
    await stage.sandbox.addPool({ name: 'desks', spec: { loginOnAssignment: true } });
    const vm = await stage.vm(t, {
      name: 'assigned',
      annotations: agent('normal'),
      spec: { pools: ['desks'] },
      status: { assignment: { pool: 'desks', user: 'bob' } },
    });
    const ended = await stage.run([vm.name, '--viewer', await stage.viewer(), '--login', 'alice']);
    assert.equal(ended.code, 8, ended.stderr);
    situations.saw('--login, and a pool decides who is logged in', ended, vm.name);
  });
});

describe('--login', { concurrency: true }, () => {
  test('comes when the console is connected', async (t) => {
    const vm = await stage.vm(t, { name: 'welcome', annotations: agent('normal') });
    const viewer = await stage.viewer();
    const console = stage.start([vm.name, '--viewer', viewer, '--login', 'alice']);
    await console.shows('alice is logged in on vm-welcome');
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /connected to vm-welcome[^]*logging in alice/);
    situations.saw('--login', ended, vm.name, /^alice is logged in/);
  });

  const FAILING: [situation: string, name: string, manner: string, sentence: string][] = [
    ['--login, and the agent refuses', 'refusing', 'fail:451 no such user', 'refused to log in alice'],
    ['--login, and the agent does not answer', 'mute', 'silent', 'has not confirmed'],
    ['--login, and there is no agent', 'agentless', 'absent', 'no agent in the guest'],
  ];
  for (const [situation, name, manner, sentence] of FAILING) {
    test(`${situation}: the session goes on`, async (t) => {
      const vm = await stage.vm(t, { name, annotations: agent(manner) });
      const viewer = await stage.viewer();
      const console = stage.start([vm.name, '--viewer', viewer, '--login', 'alice', '--timeout', '5s']);
      await console.shows(sentence);
      assert.equal(vm.server.open.size, 2, 'the viewer is connected');
      await closeWindow(viewer);
      const ended = await console.ended;
      assert.equal(ended.code, manner === 'silent' ? 6 : 10, ended.stderr);
      situations.saw(situation, ended, vm.name);
    });
  }

  test('nobody is logged in where nobody connects', async (t) => {
    const vm = await stage.vm(t, { name: 'unseen', annotations: agent('normal') });
    const ended = await stage.run([vm.name, '--viewer', await stage.viewer('exit 1\n'), '--login', 'alice']);
    assert.equal(ended.code, 9, ended.stderr);
    assert.deepEqual(
      vm.machine().agentInput.filter((line) => line.startsWith('login')),
      [],
    );
  });

  test('--login-first, and the agent refuses: no console', async (t) => {
    const vm = await stage.vm(t, { name: 'first', annotations: agent('fail:451 no such user') });
    const ended = await stage.run([vm.name, '--file', '-', '--login', 'alice', '--login-first']);
    assert.deepEqual([ended.code, ended.stdout], [10, ''], ended.stderr);
    situations.saw('--login-first, and the agent refuses', ended, vm.name);
  });
});

test('docs/console.md tells these', () =>
  situations.assertDocumented('node --test test/commands/console/login.test.ts'));
