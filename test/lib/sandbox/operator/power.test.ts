import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { asArray, asObject } from '../../../../src/lib/cluster/parse.ts';
import type { SimulatedDriver } from '../../../../src/lib/sandbox/drivers/simulated.ts';
import { killMachine, resetMachine } from '../../../../src/lib/vm/power.ts';
import { condition, holds, phaseOf } from '../../../../src/lib/vm/state.ts';
import { VMS } from '../../../../src/lib/vm/parse.ts';
import type { Vm } from '../../../../src/lib/vm/types.ts';
import { sandboxApis } from '../../../helpers/sandbox-apis.ts';
import { startTestSandbox, type TestSandbox } from '../../../helpers/sandbox.ts';
import {
  course,
  logHas,
  RAW_CONFIG_MAPS,
  RAW_EVENTS,
  RAW_PODS,
  RAW_SECRETS,
  record,
  secretText,
  until,
} from './observe.ts';

const RUNNING = { vm: { state: 'Running' } };
const STOPPED = { vm: { state: 'Stopped' } };
const isSettled = (vm: Vm): boolean =>
  holds(vm, 'Booted') && holds(vm, 'VmopAgentConnected') && vm.status.displayPasswordSerial !== undefined;
const hasGone = (vm: Vm): boolean => vm.status.runnerVersion === undefined && !holds(vm, 'Running');

for (const api of await sandboxApis()) {
  describe(`power, over HTTP, on ${api.name}`, { skip: api.skip }, () => {
    let sandbox: TestSandbox<SimulatedDriver>;
    let number = 0;
    let name = '';
    before(async () => {
      sandbox = await startTestSandbox({ startApi: api.startApi });
    });
    after(async () => {
      await sandbox.close();
      assert.deepEqual(sandbox.troubles, []);
    });
    beforeEach(() => {
      number += 1;
      name = `vm-${number}`;
    });
    const ref = () => ({ namespace: 'default', name });

    async function run(annotations = {}, vm = {}): Promise<Vm> {
      await sandbox.addVm({ name, annotations, spec: { vm } });
      await sandbox.patchSpec(name, RUNNING);
      return await sandbox.waitFor(name, isSettled);
    }

    test('a start goes through VM-Operator’s states, and the serial’s bump comes last', async (t) => {
      await sandbox.addVm({ name });
      const recorded = record(t, sandbox.admin, name);
      await sandbox.patchSpec(name, RUNNING);
      await recorded.saw(isSettled);
      await recorded.stop();
      const { states } = recorded;
      assert.deepEqual(course(states, 'Running'), [
        'False/Creation',
        'False/RunnerStarted',
        'True/VmStarted',
        'True/VmBooted',
      ]);
      assert.deepEqual(course(states, 'UserLoggedIn'), [
        'False/Creation',
        'False/VmStopped',
        'False/NotRequested',
      ]);
      const first = states.findIndex((vm) => vm.status.displayPasswordSerial !== undefined);
      // What is reported while a write is under way goes with the next one: both may come in one state.
      assert.ok(first >= states.findIndex((vm) => holds(vm, 'Running')));
      const versions = states.map((vm) => vm.status.runnerVersion !== undefined);
      const started = states.findIndex((vm) => condition(vm, 'Running')?.reason === 'RunnerStarted');
      assert.ok(versions.indexOf(true) < started, 'runnerVersion comes before RunnerStarted');
      assert.equal(states[started]?.status.cpus, 1);
      assert.equal(states.at(-1)?.status.cpus, 2);
      assert.deepEqual(states.at(-1)?.status.osinfo['id'], 'simulated');
    });

    test('pod, ConfigMap and display Secret are as clients look for them', async () => {
      const vm = await run();
      const [pod, map, secret] = await Promise.all([
        sandbox.admin.get(RAW_PODS, ref()),
        sandbox.admin.get(RAW_CONFIG_MAPS, ref()),
        sandbox.admin.get(RAW_SECRETS, { ...ref(), name: `${name}-display-secret` }),
      ]);
      const labels = (component: string) => ({
        'app.kubernetes.io/name': 'vm-runner',
        'app.kubernetes.io/component': component,
        'app.kubernetes.io/instance': name,
      });
      assert.deepEqual(pod.metadata.labels, {
        ...labels('vm-runner'),
        'app.kubernetes.io/managed-by': 'vm-operator',
      });
      assert.deepEqual(secret.metadata.labels, labels('display-secret'));
      assert.equal(secret.metadata.ownerReferences, undefined);
      for (const owned of [pod, map]) assert.equal(owned.metadata.ownerReferences?.[0]?.uid, vm.uid);
      const spec = asObject(pod['spec']);
      assert.equal(spec['hostNetwork'], true);
      const container = asObject(asArray(spec['containers'])[0]);
      assert.equal(container['name'], name);
      assert.equal(asObject(asArray(container['ports'])[0])['name'], 'spice');
      const status = asObject(
        (await until(sandbox.admin, RAW_PODS, (pods) => phase(pods.get(name)) === 'Running')).get(name)?.[
          'status'
        ],
      );
      assert.deepEqual(status['podIPs'], [{ ip: '127.0.0.1' }]);
      // Locked until somebody rotates it.
      assert.equal(secretText(secret, 'password-expiry'), 'now');
      assert.equal(Buffer.from(secretText(secret, 'display-password') ?? '', 'base64').length, 16);
    });

    test('events tell what happened to the VM', async () => {
      const vm = await run();
      const events = await until(sandbox.admin, RAW_EVENTS, (all) => about(all.values()).length === 3);
      assert.deepEqual(about(events.values()), ['RunnerStarted', 'VmBooted', 'VmStarted']);
      function about(all: Iterable<Record<string, unknown>>): string[] {
        return [...all]
          .filter((event) => asObject(event['regarding'])['uid'] === vm.uid)
          .map((event) => {
            assert.equal(event['reportingController'], 'vmoperator.jdrupes.org/vm-runner');
            assert.equal(event['action'], 'StatusUpdate');
            return String(event['reason']);
          })
          .toSorted((one, other) => one.localeCompare(other));
      }
    });

    test('a stop goes through VmTerminating and VmStopped; then runnerVersion and pod are gone, the Secret stays', async (t) => {
      await run();
      const recorded = record(t, sandbox.admin, name);
      await sandbox.patchSpec(name, STOPPED);
      await sandbox.waitFor(name, hasGone);
      await recorded.stop();
      assert.deepEqual(course(recorded.states, 'Running'), [
        'True/VmBooted',
        'True/VmTerminating',
        'False/VmStopped',
      ]);
      const stopped = recorded.states.find((vm) => !holds(vm, 'Running'));
      assert.ok(stopped?.status.runnerVersion !== undefined);
      await until(sandbox.admin, RAW_PODS, (pods) => !pods.has(name));
      await sandbox.admin.get(RAW_SECRETS, { ...ref(), name: `${name}-display-secret` });
    });

    test('a restart keeps VmStopped until the runner reports', async (t) => {
      await run();
      await sandbox.patchSpec(name, STOPPED);
      await sandbox.waitFor(name, hasGone);
      const recorded = record(t, sandbox.admin, name);
      await sandbox.patchSpec(name, RUNNING);
      await sandbox.waitFor(name, isSettled);
      await recorded.stop();
      assert.deepEqual(course(recorded.states, 'Running').slice(0, 2), [
        'False/VmStopped',
        'False/RunnerStarted',
      ]);
    });

    test('a start while the VM still stops follows that', async () => {
      const { uid } = await run({ 'sandbox.vmop/powerdown': '50' });
      const old = (await sandbox.admin.get(RAW_PODS, ref())).metadata.uid;
      await sandbox.patchSpec(name, STOPPED);
      await sandbox.waitFor(name, (vm) => condition(vm, 'Running')?.reason === 'VmTerminating');
      await sandbox.patchSpec(name, RUNNING);
      const vm = await sandbox.waitFor(name, (now) => condition(now, 'Running')?.reason === 'VmBooted');
      assert.equal(vm.uid, uid);
      assert.equal(vm.spec.state, 'Running');
      assert.notEqual((await sandbox.admin.get(RAW_PODS, ref())).metadata.uid, old);
    });

    test('a guest that does not power down is ended after powerdownTimeout', async () => {
      await run({ 'sandbox.vmop/powerdown': 'ignore' }, { powerdownTimeout: 0 });
      await sandbox.patchSpec(name, STOPPED);
      await sandbox.waitFor(name, hasGone);
    });

    test('a guest that powers off by itself leaves a VM that is to be stopped', async () => {
      await run();
      sandbox.driver.machine(name)?.powerOff();
      const vm = await sandbox.waitFor(name, hasGone);
      assert.equal(vm.spec.state, 'Stopped');
    });

    test('a machine that dies is started again', async () => {
      await run();
      const old = sandbox.driver.machine(name);
      old?.crash();
      await sandbox.waitFor(name, (vm) => condition(vm, 'Running')?.reason === 'VmStopped');
      await sandbox.waitFor(name, isSettled);
      assert.notEqual(sandbox.driver.machine(name), old);
    });

    test('a start that fails is tried again, and flashes Running', async (t) => {
      await sandbox.addVm({ name, annotations: { 'sandbox.vmop/fail-starts': '1' } });
      const recorded = record(t, sandbox.admin, name);
      await sandbox.patchSpec(name, RUNNING);
      await sandbox.waitFor(name, isSettled);
      await recorded.stop();
      assert.deepEqual(course(recorded.states, 'Running').slice(0, 3), [
        'False/Creation',
        'True/VmTerminating',
        'False/VmStopped',
      ]);
    });

    test('a pod that is killed by force leaves Running=True/VmTerminating for good', async () => {
      const vm = await run({ 'sandbox.vmop/powerdown': 'ignore' });
      await sandbox.patchSpec(name, STOPPED);
      await sandbox.waitFor(name, (now) => condition(now, 'Running')?.reason === 'VmTerminating');
      await killMachine(sandbox.admin, vm);
      const dead = await sandbox.waitFor(name, (now) => now.status.runnerVersion === undefined);
      assert.equal(condition(dead, 'Running')?.status, 'True');
      assert.equal(sandbox.driver.machine(name), undefined);
      // The next start takes it back.
      await sandbox.patchSpec(name, RUNNING);
      await sandbox.waitFor(name, isSettled);
    });

    test('a pod that is killed while its runner reports is dead all the same, and starts again', async () => {
      const vm = await sandbox.addVm({ name });
      for (let round = 0; round < 5; round++) {
        await sandbox.patchSpec(name, RUNNING);
        await sandbox.waitFor(name, (now) => condition(now, 'Running')?.reason === 'VmStarted');
        await sandbox.patchSpec(name, STOPPED);
        await killMachine(sandbox.admin, vm);
        await sandbox.waitFor(
          name,
          (now) => now.status.runnerVersion === undefined && phaseOf(now) === 'stopped',
        );
      }
    });

    test('deleting the pod of a VM that shall run starts it anew', async () => {
      const vm = await run();
      const old = sandbox.driver.machine(name);
      await killMachine(sandbox.admin, vm);
      await sandbox.waitFor(name, (now) => condition(now, 'Running')?.reason === 'RunnerStarted');
      await sandbox.waitFor(name, isSettled);
      assert.notEqual(sandbox.driver.machine(name), old);
    });

    test('currentCpus: 1 never starts', async () => {
      await sandbox.addVm({ name, spec: { vm: { currentCpus: 1, state: 'Running' } } });
      const vm = await sandbox.waitFor(name, (now) => condition(now, 'Running')?.reason === 'RunnerStarted');
      assert.equal(vm.status.cpus, 1);
      assert.equal(sandbox.driver.machine(name), undefined);
      await sandbox.patchSpec(name, { vm: { currentCpus: 2 } });
      await sandbox.waitFor(name, isSettled);
    });

    test('raising resetCounter resets, each time, and leaves no event and no change of Booted', async (t) => {
      const vm = await run();
      const recorded = record(t, sandbox.admin, name);
      await resetMachine(sandbox.admin, vm);
      const isReset = async (times: number): Promise<void> => {
        await logHas(sandbox.admin, name, (log) => log.split('reset: done').length === times + 1);
        assert.equal(sandbox.driver.machine(name)?.resets, times);
      };
      await isReset(1);
      await resetMachine(sandbox.admin, vm);
      await isReset(2);
      // Any change of the spec writes the manager's own counter, so one more than that resets again.
      await sandbox.patchSpec(name, { vm: { currentCpus: 3 } });
      await sandbox.waitFor(name, (now) => now.status.cpus === 3);
      await resetMachine(sandbox.admin, vm);
      await isReset(3);
      await recorded.stop();
      assert.deepEqual(course(recorded.states, 'Booted'), ['True/VmBooted']);
    });

    test('a deleted VM takes pod and ConfigMap with it; a new one of the name waits for that', async () => {
      const { uid } = await run({ 'sandbox.vmop/powerdown': '50' });
      await sandbox.admin.delete(VMS, ref());
      await sandbox.addVm({ name, spec: RUNNING });
      const vm = await sandbox.waitFor(name, isSettled);
      assert.notEqual(vm.uid, uid);
      await sandbox.admin.delete(VMS, ref());
      await until(sandbox.admin, RAW_PODS, (pods) => !pods.has(name));
      await until(sandbox.admin, RAW_CONFIG_MAPS, (maps) => !maps.has(name));
      await sandbox.admin.get(RAW_SECRETS, { ...ref(), name: `${name}-display-secret` });
    });
  });
}

function phase(pod: Record<string, unknown> | undefined): unknown {
  return asObject(pod?.['status'])['phase'];
}
