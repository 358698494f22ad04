import assert from 'node:assert/strict';
import { asObject } from '../../../src/lib/cluster/parse.ts';
import type { ScriptedVm } from '../../helpers/scripted-vm.ts';
import { field } from '../suite.ts';
import { operatorSuite } from './suite.ts';

const suite = operatorSuite('Log-ins');
const { copes, run, start } = suite;

/** A VM that runs, with an agent in its guest. */
async function desktop(name: string): Promise<ScriptedVm> {
  const vm = await suite.operator.vm(name, { vm: { state: 'Running' } });
  await vm.pod('10.0.0.1');
  await vm.hasRunForLong();
  await vm.guestBooted();
  await vm.agentGreets();
  return vm;
}

const isWanted = (vm: ScriptedVm, user: string | undefined): Promise<unknown> =>
  vm.until(({ spec }) => spec.loggedInUser === user);

copes(
  'UserLoggedIn is Processing for a moment and turns True before the log-in is complete',
  'login and wait --for login end only when status.loggedInUser is the user',
  async () => {
    const vm = await desktop('early');
    const login = start('login early -u alice --json');
    await isWanted(vm, 'alice');
    await vm.loginProcessing();
    assert.match((await run('show early')).stdout, /^Logged in: +nobody yet, wanted: alice$/m);
    await vm.loginAnnounced();
    assert.equal((await run('wait early --for login=alice --timeout 0')).code, 6);
    assert.match((await run('show early')).stdout, /^Logged in: +nobody yet, wanted: alice$/m);
    await vm.loginDone('alice');
    const { code, json } = await login.ended;
    assert.deepEqual([code, field(json(), 'loggedInUser'), field(json(), 'confirmed')], [0, 'alice', true]);
    assert.equal((await run('wait early --for login=alice --timeout 0')).code, 0);
  },
);

copes(
  'From alice to bob UserLoggedIn stays True, and the name follows later',
  'login of bob waits for bob',
  async () => {
    const vm = await desktop('switch');
    await vm.spec({ vm: { display: { loggedInUser: 'alice' } } });
    await vm.loginDone('alice');
    const login = start('login switch -u bob');
    await isWanted(vm, 'bob');
    await vm.loginAnnounced();
    assert.equal((await run('wait switch --for login=bob --timeout 0')).code, 6);
    await vm.loginDone('bob');
    assert.deepEqual((await login.ended).stdout, 'bob is logged in on switch\n');
  },
);

copes(
  'A refused log-in leaves the old name in the status and UserLoggedIn True; only the runner’s log tells',
  'login is 10 with the agent’s line',
  async () => {
    const vm = await desktop('refusing');
    await vm.spec({ vm: { display: { loggedInUser: 'alice' } } });
    await vm.loginDone('alice');
    const login = start('login refusing -u bob');
    await isWanted(vm, 'bob');
    vm.log('Jul 01, 2026 10:00:00 AM WARNING: Error response from vmop agent: 504 Cannot log in bob');
    const { code, stderr } = await login.ended;
    assert.equal(code, 10);
    assert.match(
      stderr,
      /^error: refusing: the guest's agent refused to log in bob: 504 Cannot log in bob$/m,
    );
    // The same wish once more writes nothing, so the runner sends nothing: the answer is known.
    assert.equal((await run('login refusing -u bob')).code, 10);
    assert.match((await run('show refusing')).stdout, /^Logged in: +alice$/m);
  },
);

copes(
  'An agent that answers 451 has VmopAgentConnected=True and UserLoggedIn=False/VmopAgentDisconnected',
  'login is 10 with the agent’s line, not the condition’s message',
  async () => {
    const vm = await desktop('failing');
    await vm.conditions({
      type: 'UserLoggedIn',
      status: 'False',
      reason: 'VmopAgentDisconnected',
      message: 'Waiting for VMOP agent to connect',
    });
    const login = start('login failing -u alice');
    await isWanted(vm, 'alice');
    vm.log('WARNING: Error response from vmop agent: 451 useradd failed');
    const { code, stderr } = await login.ended;
    assert.equal(code, 10);
    assert.match(stderr, /451 useradd failed/);
    assert.doesNotMatch(stderr, /Waiting for VMOP agent/);
  },
);

copes(
  'An agent that hangs shows nowhere but in what the runner’s log does not say',
  'login is 6, tells what stands in the log about the agent, and keeps the wish',
  async () => {
    const vm = await desktop('hanging');
    const silent = await run('login hanging -u alice --timeout 100ms');
    assert.equal(silent.code, 6);
    assert.match(silent.stderr, /has not confirmed to log in alice; nobody is logged in after 0\.1 s\n/);
    assert.match(
      silent.stderr,
      /vmop wait hanging --for login=alice; the runner's log says nothing of the agent/,
    );
    vm.log('FINE: Vmop agent says nothing for long');
    vm.log('FINE: monitor(out): {"execute":"cont"}');
    vm.log('FINE: vmop agent(out): login alice');
    const told = await run('login hanging -u alice --timeout 100ms');
    assert.equal(told.code, 6);
    assert.match(
      told.stderr,
      /says last of the agent: FINE: Vmop agent says nothing for long \| FINE: vmop agent\(out\)/,
    );
  },
);

copes(
  'An agent that goes away leaves VmopAgentConnected True until the VM stops',
  'wait --for agent believes it; login waits in vain, is 6, and tells what the log says last of the agent',
  async () => {
    const vm = await desktop('left');
    vm.log('FINE: vmop agent: the guest closed the port');
    assert.equal((await run('wait left --for agent --timeout 0')).code, 0);
    assert.equal(field((await run('show left --json')).json(), 'guestAgent'), 'connected');
    const { code, stderr } = await run('login left -u alice --timeout 100ms');
    assert.equal(code, 6);
    assert.match(stderr, /says last of the agent: FINE: vmop agent: the guest closed the port$/m);
    await vm.stops();
    await vm.spec({ vm: { state: 'Stopped' } });
    assert.equal((await run('wait left --for agent --timeout 0')).code, 6);
  },
);

copes(
  'A guest without an agent stays at VmopAgentDisconnected',
  'login is 10 and says what is missing in the guest',
  async () => {
    const vm = await suite.operator.vm('agentless', { vm: { state: 'Running' } });
    await vm.starts('VmopAgentDisconnected');
    await vm.guestBooted();
    const { code, stderr } = await run('login agentless -u alice --timeout 100ms');
    assert.equal(code, 10);
    assert.match(stderr, /no agent in the guest has greeted.*\(the guest has booted\)/);
  },
);

copes(
  'The runner’s log holds display passwords in clear text at its finest level',
  'no password of it is printed with the agent’s lines',
  async () => {
    const vm = await desktop('talkative');
    const SECRET = 'c2VjcmV0IQ==';
    vm.log(
      'FINE: vmop agent triggers {"execute":"set_password","arguments":{"protocol":"spice","password":"c2VjcmV0IQ=="}}',
    );
    vm.log(`FINE: vmop agent: display-password=${SECRET}, password: '${SECRET}'`);
    // As a text within the JSON of another line.
    vm.log(
      `FINEST: vmop agent after {"line":"{\\"execute\\":\\"set_password\\",\\"arguments\\":{\\"password\\":\\"${SECRET}\\",\\"protocol\\":\\"spice\\"}}"}`,
    );
    const late = await run('login talkative -u alice --timeout 100ms');
    assert.equal(late.code, 6);
    assert.match(late.stderr, /"password":…/);
    assert.match(late.stderr, /\\"password\\":…/);
    const login = start('login talkative -u bob --json');
    await isWanted(vm, 'bob');
    vm.log(`WARNING: Error response from vmop agent: 451 {"password": "${SECRET}"}`);
    const refused = await login.ended;
    assert.equal(refused.code, 10);
    for (const { stdout, stderr } of [late, refused]) assert.ok(!(stdout + stderr).includes(SECRET));
  },
);

copes(
  'An empty loggedInUser sends login without a name; only a removed one logs out',
  'logout removes the field, and ends when the status names nobody',
  async () => {
    const vm = await desktop('leaving');
    await vm.spec({ vm: { display: { loggedInUser: 'alice' } } });
    await vm.loginDone('alice');
    const logout = start('logout leaving');
    await isWanted(vm, undefined);
    const display = asObject(asObject(asObject((await vm.raw())['spec'])['vm'])['display']);
    assert.ok(!Object.hasOwn(display, 'loggedInUser'));
    assert.equal((await run('wait leaving --for logout --timeout 0')).code, 6);
    await vm.logoutDone();
    assert.deepEqual((await logout.ended).stdout, 'nobody is logged in on leaving\n');
  },
);

copes('Somebody else’s empty loggedInUser is there', 'nobody is wanted, and login replaces it', async () => {
  const vm = await desktop('emptied');
  await vm.spec({ vm: { display: { loggedInUser: '' } } });
  assert.match((await run('show emptied')).stdout, /^Logged in: +nobody$/m);
  const login = start('login emptied -u alice');
  await isWanted(vm, 'alice');
  await vm.loginDone('alice');
  assert.equal((await login.ended).code, 0);
});

copes(
  'A pool with loginOnAssignment logs in the assignment’s user, whatever loggedInUser says',
  'login of another user and logout are 8 and name the pool; login of that user waits for the agent',
  async () => {
    await suite.operator.pool('auto', {
      loginOnAssignment: true,
      permissions: [{ user: 'admin', may: ['*'] }],
    });
    await suite.operator.pool('plain', { permissions: [{ user: 'admin', may: ['*'] }] });
    const vm = await desktop('leased');
    await vm.spec({ vm: { display: { loggedInUser: 'bob' } } });
    await vm.status({ assignment: { pool: 'auto', user: 'alice', lastUsed: new Date().toISOString() } });
    assert.equal(field((await run('show leased --json')).json(), 'wantedUser'), 'alice');
    for (const line of ['login leased -u bob', 'logout leased']) {
      const { code, stderr } = await run(line);
      assert.equal(code, 8);
      assert.match(
        stderr,
        /leased is assigned to alice by pool auto, which logs in its user whatever the VM says/,
      );
    }
    const login = start('login leased -u alice --timeout 20s');
    await isWanted(vm, 'alice');
    await vm.loginDone('alice');
    assert.equal((await login.ended).code, 0);
    // A pool that does not: the VM's own field counts.
    await vm.status({ assignment: { pool: 'plain', user: 'alice' } });
    assert.equal((await run('login leased -u bob --no-wait')).code, 0);
  },
);

copes(
  'An assignment with loginOnAssignment logs in at once with no change of the spec; taken away it leaves {} and logs out',
  'wait follows both, show names who is wanted, and afterwards the VM’s own field counts again',
  async () => {
    const permissions = [{ user: 'admin', may: ['*'] }];
    await suite.operator.pool('at-once', { loginOnAssignment: true, permissions });
    const vm = await desktop('lent');
    const { generation } = await vm.get();
    const loggedIn = start('wait lent --for login=alice');
    await vm.status({ assignment: { pool: 'at-once', user: 'alice', lastUsed: new Date().toISOString() } });
    await vm.loginDone('alice');
    assert.equal((await loggedIn.ended).code, 0);
    assert.match((await run('show lent')).stdout, /^Logged in: +alice$/m);
    const loggedOut = start('wait lent --for logout');
    await vm.status({ assignment: null });
    assert.deepEqual(asObject((await vm.raw())['status'])['assignment'], {});
    assert.match((await run('show lent')).stdout, /^Logged in: +alice/m);
    assert.equal((await run('wait lent --for logout --timeout 0')).code, 6);
    await vm.logoutDone();
    assert.equal((await loggedOut.ended).code, 0);
    const shown = (await run('show lent --json')).json();
    assert.deepEqual([field(shown, 'wantedUser'), field(shown, 'assignment')], [undefined, undefined]);
    assert.equal((await vm.get()).generation, generation, 'no spec was changed');
    assert.equal((await run('login lent -u bob --no-wait')).code, 0);
  },
);

copes(
  'Every change of the spec makes the agent log out where nobody is wanted',
  'login and permissions grant and revoke warn before they write, unless somebody is wanted already; stop does not, which ends every session',
  async () => {
    const vm = await desktop('manual');
    const MANUAL = /^warning: nobody is logged in on manual through VM-Operator; .* that session ends$/m;
    const GRANTED =
      /^warning: a change of spec\.permissions makes the agent of manual log out: a session that somebody opened there by hand ends$/m;
    assert.match((await run('permissions grant manual -u bob --may start --dry-run')).stderr, GRANTED);
    const granted = await run('permissions grant manual -u bob --may start');
    assert.deepEqual([granted.code, granted.stdout], [0, 'manual: user bob may now do start\n']);
    assert.match(granted.stderr, GRANTED);
    // What is there already is not written.
    assert.equal((await run('permissions grant manual -u bob --may start')).stderr, '');
    assert.match((await run('permissions revoke manual -u bob')).stderr, GRANTED);
    assert.doesNotMatch((await run('stop manual --dry-run')).stderr, /warning/);
    assert.match((await run('login manual -u alice --no-wait')).stderr, MANUAL);
    await vm.loginDone('alice');
    assert.equal((await run('permissions grant manual -u bob --may start')).stderr, '');
    assert.doesNotMatch((await run('login manual -u bob --no-wait')).stderr, /warning/);
    assert.match(
      (await run('permissions revoke manual -u bob')).stderr,
      /^warning: a change of spec\.permissions makes the agent of manual log in bob once more/m,
    );
    await vm.terminating();
    await vm.podGone();
    assert.equal((await run('permissions grant manual -u bob --may start')).stderr, '');
  },
);

copes(
  'VmopAgentConnected and loggedInUser stay after the guest has powered off and its VM is Stopped',
  'who waits for a log-in gets 8',
  async () => {
    const vm = await desktop('ended');
    const login = start('login ended -u alice');
    await isWanted(vm, 'alice');
    await vm.terminating();
    await vm.podGone();
    await vm.spec({ vm: { state: 'Stopped' } });
    const { code, stderr } = await login.ended;
    assert.equal(code, 8);
    assert.match(stderr, /^error: ended was stopped meanwhile\n {2}vmop start ended$/m);
    assert.equal((await run('wait ended --for agent --timeout 0')).code, 6);
  },
);

copes(
  'A user name reaches YAML and a line protocol as it is',
  'root, spaces, line ends and whatever is no plain name are a usage error, and nothing is written',
  async () => {
    const vm = await desktop('named');
    const { resourceVersion } = await vm.get();
    for (const name of ['root', 'a b', 'a\nlogout', '', 'Alice', '-x', 'é', 'a'.repeat(33)]) {
      assert.equal((await run(['login', 'named', `--user=${name}`])).code, 2, name);
    }
    assert.equal((await vm.get()).resourceVersion, resourceVersion);
  },
);
