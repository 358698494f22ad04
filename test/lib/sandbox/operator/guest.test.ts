import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { asObject } from '../../../../src/lib/cluster/parse.ts';
import type { SimulatedDriver } from '../../../../src/lib/sandbox/drivers/simulated.ts';
import { condition, holds } from '../../../../src/lib/vm/state.ts';
import type { Vm } from '../../../../src/lib/vm/types.ts';
import { sandboxApis } from '../../../helpers/sandbox-apis.ts';
import { startTestSandbox, type TestSandbox } from '../../../helpers/sandbox.ts';
import { logHas, RAW_EVENTS, RAW_SECRETS, record, secretData, secretText, until } from './observe.ts';

const serial = (vm: Vm): number | undefined => vm.status.displayPasswordSerial;
const reason = (vm: Vm): string | undefined => condition(vm, 'UserLoggedIn')?.reason;

for (const api of await sandboxApis()) {
  describe(`guest, console and password, over HTTP, on ${api.name}`, { skip: api.skip }, () => {
    let sandbox: TestSandbox<SimulatedDriver>;
    const needsLog = { skip: api.noKubelet };
    let number = 0;
    let name = '';
    before(async () => {
      sandbox = await startTestSandbox({
        startApi: api.startApi,
        pools: [{ name: 'login', spec: { loginOnAssignment: true } }, { name: 'plain' }],
      });
    });
    after(async () => {
      await sandbox.close();
      assert.deepEqual(sandbox.troubles, []);
    });
    beforeEach(() => {
      number += 1;
      name = `vm-${number}`;
    });

    async function run(annotations: Record<string, string> = {}, vm = {}): Promise<Vm> {
      await sandbox.addVm({ name, annotations, spec: { vm: { state: 'Running', ...vm } } });
      const agent = annotations['sandbox.vmop/agent'] !== 'absent';
      return await sandbox.waitFor(
        name,
        (now) =>
          holds(now, 'Booted') && serial(now) !== undefined && holds(now, 'VmopAgentConnected') === agent,
      );
    }
    const setUser = (loggedInUser: string | null) =>
      sandbox.patchSpec(name, { vm: { display: { loggedInUser } } });
    const secretRef = () => ({ namespace: 'default', name: `${name}-display-secret` });
    const writeSecret = (values: Record<string, string>) =>
      sandbox.admin.patch(RAW_SECRETS, secretRef(), { type: 'merge', body: secretData(values) });
    const machine = () => {
      const found = sandbox.driver.machine(name);
      assert.ok(found);
      return found;
    };
    const waitForInput = (lines: string[]) =>
      logHas(sandbox.admin, name, () => machine().agentInput.length >= lines.length).then(() =>
        assert.deepEqual(machine().agentInput, lines),
      );

    test('a log-in is in the status when the agent has confirmed it', async (t) => {
      await run();
      await setUser('alice');
      const vm = await sandbox.waitFor(name, (now) => now.status.loggedInUser === 'alice');
      assert.equal(reason(vm), 'LoggedIn');
      await setUser('bob');
      const recorded = await record(t, sandbox.admin, name);
      await recorded.until((now) => now.status.loggedInUser === 'bob');
      assert.ok(recorded.states.every((state) => holds(state, 'UserLoggedIn')));
      await setUser(null);
      await sandbox.waitFor(
        name,
        (now) => now.status.loggedInUser === undefined && reason(now) === 'NotRequested',
      );
      assert.deepEqual(machine().agentInput, ['logout', 'login alice', 'login bob', 'logout']);
    });

    test('UserLoggedIn is true before a slow agent has finished', async () => {
      await run({ 'sandbox.vmop/agent': 'slow:100' });
      await setUser('alice');
      const vm = await sandbox.waitFor(name, (now) => holds(now, 'UserLoggedIn'));
      assert.equal(vm.status.loggedInUser, undefined);
      await sandbox.waitFor(name, (now) => now.status.loggedInUser === 'alice');
    });

    test('a refusal shows in the runner’s log alone', needsLog, async () => {
      await run({}, { display: { spice: {}, loggedInUser: 'alice' } });
      await sandbox.waitFor(name, (now) => now.status.loggedInUser === 'alice');
      await setUser('root');
      const log = await logHas(sandbox.admin, name, (text) => text.includes('504'));
      assert.match(log, /Error response from vmop agent: 504 root is refused\n/);
      const vm = await sandbox.waitFor(name, () => true);
      assert.equal(vm.status.loggedInUser, 'alice');
      assert.ok(holds(vm, 'UserLoggedIn'));
    });

    for (const agent of ['silent', 'fail:451 no such user']) {
      test(`a wanted user and an agent that is ${agent}: connected, and yet VmopAgentDisconnected`, async () => {
        const vm = await run(
          { 'sandbox.vmop/agent': agent },
          { display: { spice: {}, loggedInUser: 'alice' } },
        );
        assert.equal(reason(vm), 'VmopAgentDisconnected');
        assert.equal(condition(vm, 'UserLoggedIn')?.message, 'Waiting for VMOP agent to connect');
      });
    }

    test('without an agent a wanted user waits', async () => {
      const display = { spice: {}, loggedInUser: 'alice' };
      const vm = await run({ 'sandbox.vmop/agent': 'absent' }, { display });
      assert.equal(reason(vm), 'VmopAgentDisconnected');
      assert.deepEqual(machine().agentInput, []);
    });

    test('any change of the spec, and of the Secret, sends logout again', needsLog, async () => {
      await run();
      await waitForInput(['logout']);
      await sandbox.patchSpec(name, { permissions: [{ user: 'x', may: [] }] });
      await waitForInput(['logout', 'logout']);
      await writeSecret({ 'password-expiry': '99' });
      await waitForInput(['logout', 'logout', 'logout']);
    });

    test('an assignment logs in at once where its pool says so, and its end logs out', async () => {
      await run();
      const { generation } = await sandbox.patchStatus(name, {
        assignment: { pool: 'login', user: 'carol' },
      });
      const vm = await sandbox.waitFor(name, (now) => now.status.loggedInUser === 'carol');
      assert.equal(vm.generation, generation);
      await sandbox.patchStatus(name, { assignment: null });
      await sandbox.waitFor(name, (now) => now.status.loggedInUser === undefined);
    });

    test('another pool’s assignment does not', needsLog, async () => {
      await run();
      await sandbox.patchStatus(name, { assignment: { pool: 'plain', user: 'carol' } });
      // What comes after it has been seen, so it has been seen, too.
      await sandbox.patchSpec(name, { vm: { currentCpus: 3 } });
      await sandbox.waitFor(name, (now) => now.status.cpus === 3);
      await waitForInput(['logout', 'logout']);
    });

    test(
      'a rotation is confirmed by the serial, an expiry alone is not, and both arrive',
      needsLog,
      async () => {
        const before_ = serial(await run()) ?? 0;
        await writeSecret({ 'display-password': 'one', 'password-expiry': '4102444800' });
        await sandbox.waitFor(name, (vm) => serial(vm) === before_ + 1);
        await writeSecret({ 'display-password': 'two', 'password-expiry': '4102444800' });
        await sandbox.waitFor(name, (vm) => serial(vm) === before_ + 2);
        await writeSecret({ 'password-expiry': 'never' });
        await logHas(sandbox.admin, name, () => machine().display.expiry === 'never');
        assert.deepEqual(machine().display, { password: 'two', expiry: 'never' });
        assert.equal(serial(await sandbox.waitFor(name, () => true)), before_ + 2);
      },
    );

    test(
      'the serial rises even when the machine refuses the password; the log never has it',
      needsLog,
      async () => {
        const vm = await run({ 'sandbox.vmop/password': 'refuse' });
        await writeSecret({ 'display-password': 'sesame' });
        await sandbox.waitFor(name, (now) => serial(now) === (serial(vm) ?? 0) + 1);
        const log = await logHas(
          sandbox.admin,
          name,
          (text) => text.split('set_password failed').length === 3,
        );
        assert.ok(!log.includes('sesame'));
        assert.equal(machine().display.password, undefined);
      },
    );

    test('of several display Secrets the oldest holds, whatever its name', async () => {
      await run();
      const { metadata } = await sandbox.admin.get(RAW_SECRETS, secretRef());
      await sandbox.admin.create(RAW_SECRETS, 'default', {
        metadata: { name: `zz-${name}`, labels: metadata.labels },
        ...secretData({ 'display-password': 'younger' }),
      });
      await writeSecret({ 'display-password': 'older' });
      await sandbox.waitFor(name, (vm) => serial(vm) === 2);
      assert.equal(machine().display.password, 'older');
    });

    test('generateSecret=false: no Secret, serial −1', async () => {
      const vm = await run({}, { display: { spice: { generateSecret: false } } });
      assert.equal(serial(vm), -1);
      const secrets = await until(sandbox.admin, RAW_SECRETS, () => true);
      assert.ok(!secrets.has(secretRef().name));
    });

    test('a deleted Secret comes back with the next change of the spec: locked, serial +1', async () => {
      const first = serial(await run()) ?? 0;
      const old = await sandbox.admin.get(RAW_SECRETS, secretRef());
      await sandbox.admin.delete(RAW_SECRETS, secretRef());
      await sandbox.patchStatus(name, { consoleUser: 'x' });
      await sandbox.patchSpec(name, { vm: { currentCpus: 3 } });
      await sandbox.waitFor(name, (vm) => serial(vm) === first + 1);
      const fresh = await sandbox.admin.get(RAW_SECRETS, secretRef());
      assert.equal(secretText(fresh, 'password-expiry'), 'now');
      assert.notEqual(secretText(fresh, 'display-password'), secretText(old, 'display-password'));
    });

    test('a console shows in condition, client and event; its user stays afterwards', async () => {
      await run();
      await sandbox.patchStatus(name, { consoleUser: 'alice' });
      const port = machine().connectConsole('127.0.0.1');
      const open = await sandbox.waitFor(name, (vm) => holds(vm, 'ConsoleConnected'));
      assert.equal(open.status.consoleClient, '127.0.0.1');
      await until(sandbox.admin, RAW_EVENTS, (events) =>
        [...events.values()].some(
          (event) =>
            event['action'] === 'ConsoleConnectionUpdate' &&
            event['reason'] === 'Connection from 127.0.0.1' &&
            event['note'] === undefined &&
            asObject(event['regarding'])['name'] === name,
        ),
      );
      machine().disconnectConsole(port);
      const closed = await sandbox.waitFor(name, (vm) => !holds(vm, 'ConsoleConnected'));
      assert.equal(condition(closed, 'ConsoleConnected')?.reason, 'Disconnected');
      assert.equal(closed.status.consoleClient, undefined);
      assert.equal(closed.status.consoleUser, 'alice');
    });

    test('cpus and memory change while the VM runs', async () => {
      await run();
      await sandbox.patchSpec(name, { vm: { currentCpus: 4, currentRam: '512Mi' } });
      await sandbox.waitFor(name, (vm) => vm.status.cpus === 4 && vm.status.ramBytes === 512 * 2 ** 20);
    });

    test('the log’s lines carry rising times where they are asked for', needsLog, async () => {
      await run();
      const log = await sandbox.admin.log({ namespace: 'default', name }, { timestamps: true, tailLines: 3 });
      const times = log
        .trimEnd()
        .split('\n')
        .map((line) => line.split(' ')[0] ?? '');
      assert.equal(times.length, 3);
      assert.ok(times.every((time) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/.test(time)));
      assert.deepEqual(times, [...new Set(times)].toSorted());
    });
  });
}
