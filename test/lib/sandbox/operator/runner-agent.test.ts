import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RunnerTrace, withoutLog } from './runner-trace.ts';

const HELLO = '220 hello';

describe('agent', () => {
  test('connecting without a wanted user sends logout', () => {
    const runner = new RunnerTrace().run();
    assert.deepEqual(withoutLog(runner.agent(HELLO)), [
      'status VmopAgentConnected=True/VmopAgentStarted',
      'tellAgent logout',
    ]);
  });

  test('a log-in is done when the agent says so, and not before', () => {
    const runner = new RunnerTrace().run({ loggedInUser: 'alice' });
    assert.deepEqual(withoutLog(runner.agent(HELLO)), [
      'status VmopAgentConnected=True/VmopAgentStarted',
      'tellAgent login alice',
    ]);
    assert.deepEqual(withoutLog(runner.agent('101 stopping the desktop')), []);
    assert.deepEqual(withoutLog(runner.agent('201 done')), [
      'status loggedInUser="alice"',
      'status UserLoggedIn=True/LoggedIn',
    ]);
  });

  test('UserLoggedIn turns true before the log-in is complete, after a moment of Processing', () => {
    const runner = new RunnerTrace().run();
    runner.agent(HELLO);
    assert.deepEqual(withoutLog(runner.configure({ loggedInUser: 'alice' })), [
      'status UserLoggedIn=False/Processing',
      'status UserLoggedIn=True/LoggedIn',
      'tellAgent login alice',
    ]);
    assert.equal(runner.state.status.loggedInUser, undefined);
  });

  test('an agent that hangs or fails after connecting leaves VmopAgentDisconnected', () => {
    for (const answer of [[], ['451 no home directory']]) {
      const runner = new RunnerTrace().run({ loggedInUser: 'alice' });
      runner.agent(HELLO);
      for (const line of answer) assert.deepEqual(withoutLog(runner.agent(line)), []);
      const user = runner.state.status.conditions.find(({ type }) => type === 'UserLoggedIn');
      assert.equal(user?.status, 'False');
      assert.equal(user?.reason, 'VmopAgentDisconnected');
      assert.equal(user?.message, 'Waiting for VMOP agent to connect');
    }
  });

  test('from alice to bob UserLoggedIn stays true throughout', () => {
    const runner = new RunnerTrace().run({ loggedInUser: 'alice' });
    runner.agent(HELLO);
    runner.agent('201');
    assert.deepEqual(withoutLog(runner.configure({ loggedInUser: 'bob' })), ['tellAgent login bob']);
    assert.equal(runner.state.status.loggedInUser, 'alice');
    assert.deepEqual(withoutLog(runner.agent('201')), ['status loggedInUser="bob"']);
  });

  test('a refusal keeps the old name and the condition; only the log tells', () => {
    const runner = new RunnerTrace().run({ loggedInUser: 'alice' });
    runner.agent(HELLO);
    runner.agent('201');
    runner.configure({ loggedInUser: 'root' });
    assert.deepEqual(runner.agent('504 root is refused'), [
      'log Error response from vmop agent: 504 root is refused',
    ]);
    assert.equal(runner.state.status.loggedInUser, 'alice');
  });

  test('removing the field logs out; the name goes when the agent says so', () => {
    const runner = new RunnerTrace().run({ loggedInUser: 'alice' });
    runner.agent(HELLO);
    runner.agent('201');
    assert.deepEqual(withoutLog(runner.unconfigure('loggedInUser')), [
      'status UserLoggedIn=False/NotRequested',
      'tellAgent logout',
    ]);
    assert.deepEqual(withoutLog(runner.agent('202')), ['status loggedInUser=null']);
  });

  test('an empty name is sent as such', () => {
    const runner = new RunnerTrace().run();
    runner.agent(HELLO);
    assert.ok(runner.configure({ loggedInUser: '' }).includes('tellAgent login '));
  });

  test('every change of configuration or Secret is told the agent again', () => {
    const runner = new RunnerTrace().run();
    runner.agent(HELLO);
    assert.ok(runner.configure({}).includes('tellAgent logout'));
    assert.ok(runner.configure({}, { password: 'one', expiry: '99' }).includes('tellAgent logout'));
    assert.ok(runner.configure({ resetCounter: 1 }).includes('tellAgent logout'));
    assert.ok(runner.configure({ loggedInUser: 'alice' }).includes('tellAgent login alice'));
    assert.ok(runner.configure({}).includes('tellAgent login alice'));
  });

  test('without an agent nothing is sent', () => {
    const runner = new RunnerTrace().run();
    assert.deepEqual(runner.configure({ loggedInUser: 'alice' }), [
      'status UserLoggedIn=False/VmopAgentDisconnected',
    ]);
  });

  test('VmopAgentConnected is not cleared when the agent goes away', () => {
    const runner = new RunnerTrace().run();
    runner.agent(HELLO);
    assert.deepEqual(withoutLog(runner.machine({ type: 'agentGone' })), []);
    assert.ok(runner.configure({}).includes('tellAgent logout'));
  });

  test('an agent that comes back after a reset is told again', () => {
    const runner = new RunnerTrace().run({ loggedInUser: 'alice' });
    runner.agent(HELLO);
    assert.deepEqual(withoutLog(runner.agent(HELLO)), [
      'status UserLoggedIn=False/Processing',
      'status UserLoggedIn=True/LoggedIn',
      'tellAgent login alice',
    ]);
  });

  test('its lines and ours are in the log', () => {
    const runner = new RunnerTrace().run();
    assert.ok(runner.agent(HELLO).includes('log vmop agent(in): 220 hello'));
    assert.ok(runner.configure({}).includes('log vmop agent(out): logout'));
  });
});
