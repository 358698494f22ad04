import assert from 'node:assert/strict';
import { VMS } from '../../../src/lib/vm/parse.ts';
import type { ScriptedVm } from '../../helpers/scripted-vm.ts';
import { field } from '../suite.ts';
import { operatorSuite } from './suite.ts';

const suite = operatorSuite('Starts and stops');
const { copes, run, start } = suite;

async function runningVm(name: string): Promise<ScriptedVm> {
  const vm = await suite.operator.vm(name, { vm: { state: 'Running' } });
  await vm.hasRunForLong();
  return vm;
}

const wanted = (vm: ScriptedVm, state: string): Promise<unknown> =>
  vm.until(({ spec }) => spec.state === state);

copes(
  'A start shows RunnerStarted and one CPU before it runs',
  'start waits for Running=True and takes nothing earlier for it',
  async (t) => {
    const vm = await suite.operator.vm('plain');
    const { url, until } = await suite.proxy(t, {});
    const starting = start(`start plain --json --server ${url}`);
    await wanted(vm, 'Running');
    await until((request) => request.includes('watch=true'));
    await vm.runnerReports();
    await vm.machinePrepared();
    assert.equal(field((await run('show plain --json')).json(), 'state'), 'starting');
    await vm.cpusAdded();
    assert.equal((await run('wait plain --for running --timeout 0')).code, 6);
    await vm.machineRuns();
    const { code, json } = await starting.ended;
    assert.equal(code, 0);
    assert.deepEqual([field(json(), 'state'), field(json(), 'confirmed')], ['running', true]);
  },
);

copes(
  'A VM with currentCpus 1 (or none) stays paused at RunnerStarted for ever',
  'start and wait time out with 6 and name currentCpus; show calls it the obstacle',
  async () => {
    for (const [name, cpus, says] of [
      ['one', 1, 'spec.vm.currentCpus is 1, and VM-Operator never lets such a VM run: set it to 2 or more'],
      [
        'none',
        null,
        'spec.vm.currentCpus is absent, which the runner takes for 1, and VM-Operator never lets',
      ],
    ] as const) {
      const vm = await suite.operator.vm(name);
      await vm.spec({ vm: { currentCpus: cpus } });
      await run(`start ${name} --no-wait`);
      await vm.runnerReports();
      await vm.machinePrepared();
      const { code, stderr } = await run(`start ${name} --timeout 100ms`);
      assert.equal(code, 6);
      assert.match(stderr, /still not running \(Running=False, RunnerStarted\) after 0\.1 s\n/);
      assert.ok(stderr.includes(says), stderr);
      assert.ok((await run(`wait ${name} --for booted --timeout 0`)).stderr.includes(says));
      assert.match((await run(`show ${name}`)).stdout, /^Obstacle: +spec\.vm\.currentCpus is /m);
    }
  },
);

copes(
  'A failed start flashes Running=True/VmTerminating, and is tried again',
  'start goes on waiting, and ends when the next try runs',
  async () => {
    const vm = await suite.operator.vm('retried');
    const starting = start('start retried --json');
    await wanted(vm, 'Running');
    await vm.runnerReports();
    await vm.machinePrepared();
    await vm.terminating();
    assert.equal(field((await run('show retried --json')).json(), 'state'), 'starting');
    assert.equal((await run('wait retried --for running --timeout 0')).code, 6);
    await vm.machineStopped();
    await vm.podGone();
    await vm.starts();
    const { code, json } = await starting.ended;
    assert.deepEqual([code, field(json(), 'state')], [0, 'running']);
  },
);

copes(
  'A stop goes through Running=True/VmTerminating to False/VmStopped',
  'stop waits for the end; list and show say stopping meanwhile',
  async () => {
    const vm = await runningVm('ending');
    const stopping = start('stop ending');
    await wanted(vm, 'Stopped');
    await vm.terminating();
    assert.match((await run('list')).stdout, /^ending +stopping/m);
    assert.equal((await run('wait ending --for stopped --timeout 0')).code, 6);
    await vm.machineStopped();
    await vm.podGone();
    assert.deepEqual((await stopping.ended).stdout, 'ending is stopped\n');
  },
);

copes(
  'A pod that was killed leaves Running=True/VmTerminating behind for good',
  'with no runnerVersion the VM counts as stopped: stop is done at once, start works, and so does wait',
  async () => {
    const vm = await runningVm('killed');
    await vm.terminating();
    await vm.podGone();
    await vm.spec({ vm: { state: 'Stopped' } });
    assert.match((await run('list')).stdout, /^killed +stopped/m);
    assert.equal((await run('wait killed --for stopped --timeout 0')).code, 0);
    assert.deepEqual((await run('stop killed')).stdout, 'killed was stopped already\n');
    const starting = start('start killed');
    await wanted(vm, 'Running');
    await vm.starts();
    assert.equal((await starting.ended).stdout, 'killed is running\n');
  },
);

copes(
  'So it does with its runnerVersion, where no manager saw the pod go',
  'show, stop and restart ask for the pod: without one the VM counts as stopped',
  async () => {
    const vm = await runningVm('orphan');
    await vm.terminating();
    await vm.spec({ vm: { state: 'Stopped' } });
    assert.equal(field((await run('show orphan --json')).json(), 'state'), 'stopped');
    assert.equal((await run('stop orphan')).stdout, 'orphan was stopped already\n');
    const restart = start('restart orphan');
    await wanted(vm, 'Running');
    await vm.starts();
    assert.equal((await restart.ended).code, 0);
    // With a pod it is really about to end.
    const alive = await runningVm('alive');
    await alive.pod('10.0.0.1');
    await alive.terminating();
    await alive.spec({ vm: { state: 'Stopped' } });
    assert.equal(field((await run('show alive --json')).json(), 'state'), 'stopping');
    assert.equal((await run('stop alive --timeout 0')).code, 6);
  },
);

copes(
  'A guest that powers off ends with spec.vm.state Stopped',
  'who waits for a start gets 5; wait says that it is stopped when its time is over',
  async (t) => {
    const vm = await suite.operator.vm('off', { vm: { state: 'Running' } });
    await vm.runnerReports();
    await vm.machinePrepared();
    const { url, until } = await suite.proxy(t, {});
    const starting = start(`start off --server ${url}`);
    await until((request) => request.includes('watch=true'));
    await vm.machineStopped();
    await vm.podGone();
    await vm.spec({ vm: { state: 'Stopped' } });
    const { code, stderr } = await starting.ended;
    assert.equal(code, 5);
    assert.match(stderr, /off is to be stopped again: somebody changed it, or its guest powered off/);
    const waited = await run('wait off --for booted --timeout 0');
    assert.equal(waited.code, 6);
    assert.match(waited.stderr, /not known to have booted: it is stopped after 0 s/);
  },
);

copes(
  'A guest that powers off is started again by version 4.0.3',
  'wait goes on through the stop and ends when it is so',
  async (t) => {
    const vm = await runningVm('again');
    const { url, until } = await suite.proxy(t, {});
    const waiting = start(`wait again --for booted --server ${url}`);
    await until((request) => request.includes('watch=true'));
    await vm.terminating();
    await vm.machineStopped();
    await vm.podGone();
    await vm.starts();
    await vm.guestBooted();
    assert.equal((await waiting.ended).code, 0);
  },
);

copes(
  'A VM that is deleted and made anew has the same name and another uid',
  'who waited for the old one gets 3, even if the watch did not tell of the deletion',
  async (t) => {
    const vm = await suite.operator.vm('anew', { vm: { state: 'Running' } });
    let blind = false;
    const { url } = await suite.proxy(t, {
      async meet(_method, path) {
        if (!path.includes('watch=true') || blind) return undefined;
        blind = true;
        await suite.operator.admin.delete(VMS, vm.ref);
        const other = await suite.operator.vm('anew', { vm: { state: 'Running' } });
        await other.starts();
        return { status: 410, body: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } };
      },
    });
    const { code, stderr } = await run(`wait anew --for running --server ${url}`);
    assert.equal(code, 3);
    assert.match(stderr, /^error: VM anew was deleted meanwhile/m);
  },
);

copes(
  'The reset counter stands in the runner’s ConfigMap, and any change of the spec rewrites it',
  'reset reads it, adds one, and touches the pod so that the kubelet hands it on; without a runner it is 8',
  async (t) => {
    const vm = await runningVm('pressed');
    assert.equal((await run('reset pressed')).code, 8);
    await vm.pod('10.0.0.1');
    await vm.configMap('"/Runner":\n  "vm":\n    "maximumCpus": 4\n  "resetCounter": 3\n');
    const { code, stdout } = await run('reset pressed');
    assert.equal(code, 0);
    assert.match(stdout, /was asked to reset; VM-Operator does not report when it has/);
    assert.equal(await vm.configText(), '"/Runner":\n  "vm":\n    "maximumCpus": 4\n  "resetCounter": 4\n');
    assert.match((await vm.podAnnotations())['vmrunner.jdrupes.org/cmVersion'] ?? '', /^vmop-/);
    // A change of the spec: the manager writes what it knows, and the next reset counts on from there.
    await vm.spec({ vm: { currentCpus: 3 } });
    await vm.configRewritten('"/Runner":\n  "vm":\n    "maximumCpus": 4\n  "resetCounter": 0\n');
    assert.equal((await run('reset pressed')).code, 0);
    assert.match(String(await vm.configText()), /"resetCounter": 1\n/);
    // And once more, between vmop's read and its write.
    let late = false;
    const { url } = await suite.proxy(t, {
      async meet(method, path) {
        if (method !== 'PATCH' || !path.includes('/configmaps/') || late) return undefined;
        late = true;
        await vm.spec({ vm: { currentCpus: 2 } });
        await vm.configRewritten('"/Runner":\n  "vm":\n    "maximumCpus": 5\n  "resetCounter": 0\n');
        return undefined;
      },
    });
    assert.equal((await run(`reset pressed --server ${url}`)).code, 0);
    assert.ok(late);
    assert.equal(await vm.configText(), '"/Runner":\n  "vm":\n    "maximumCpus": 5\n  "resetCounter": 1\n');
  },
);

copes('A deleted VM goes at once, its pod later', 'who waits for its start or its end gets 3', async (t) => {
  const cases = [
    ['start', await suite.operator.vm('deleted-early')],
    ['stop', await runningVm('deleted')],
  ] as const;
  for (const [verb, vm] of cases) {
    await vm.pod('10.0.0.1');
    const { url, until } = await suite.proxy(t, {});
    const waiting = start(`${verb} ${vm.name} --server ${url}`);
    await until((request) => request.includes('watch=true'));
    await vm.terminating();
    await vm.delete();
    const { code, stderr } = await waiting.ended;
    assert.equal(code, 3);
    assert.match(stderr, new RegExp(`VM ${vm.name} was deleted meanwhile`));
    assert.ok(await vm.hasPod(), 'nobody waited for the pod');
    await vm.ownedGone();
  }
});

copes(
  'A VM that is made beside the pod of an earlier one waits for that to go, and only then runs',
  'the earlier pod is not taken for its own: not for its display, to be ended or reset, nor for a sign of life',
  async () => {
    const old = await runningVm('heir');
    await old.pod('10.0.0.1');
    await old.configMap('"/Runner":\n  "resetCounter": 3\n');
    await old.event('StatusUpdate', 'VmStarted');
    await old.delete();
    const vm = await suite.operator.vm('heir', { vm: { state: 'Running' } });
    assert.equal(field((await run('show heir --json')).json(), 'state'), 'starting');
    assert.doesNotMatch((await run('show heir')).stdout, /VmStarted/);
    const killing = await run('stop heir --force --yes --no-wait');
    assert.equal(killing.code, 0, killing.stderr);
    assert.ok(await old.hasPod());
    // Objects are anybody’s: such a status may be there all the same.
    await vm.spec({ vm: { state: 'Running' } });
    await vm.hasRunForLong();
    assert.equal((await run('reset heir')).code, 8);
    assert.match(String(await old.configText()), /"resetCounter": 3/);
    await vm.secret({ expiry: 'never' });
    const console = await run('console heir --file -');
    assert.equal(console.code, 8);
    assert.match(
      console.stderr,
      /^error: pod heir is still that of an earlier VM of this name\n {2}.*try again/m,
    );
    await vm.terminating();
    await vm.spec({ vm: { state: 'Stopped' } });
    assert.equal(field((await run('show heir --json')).json(), 'state'), 'stopped');
    const starting = start('start heir');
    await wanted(vm, 'Running');
    await old.ownedGone();
    await vm.pod('10.0.0.2');
    await vm.starts();
    assert.equal((await starting.ended).code, 0);
  },
);
