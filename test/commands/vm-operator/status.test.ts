import assert from 'node:assert/strict';
import { asObject } from '../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../src/lib/cluster/types.ts';
import type { ScriptedVm } from '../../helpers/scripted-vm.ts';
import { field } from '../suite.ts';
import { operatorSuite } from './suite.ts';

const suite = operatorSuite('Status and spec');
const { copes, run, start } = suite;

async function runningVm(name: string, vm: JsonObject = {}): Promise<ScriptedVm> {
  const scripted = await suite.operator.vm(name, { vm: { state: 'Running', ...vm } });
  await scripted.hasRunForLong();
  return scripted;
}

/** A field of the one VM of `show`. */
async function shown(name: string, ...path: string[]): Promise<unknown> {
  return field((await run(`show ${name} --json`)).json(), ...path);
}

/** The answers' VMs changed before vmop sees them: what the CRD's defaults would fill in is absent. */
function withoutDefaults(change: (object: JsonObject) => void): (path: string, text: string) => string {
  return (path, text) => {
    if (!path.includes('/vms')) return text;
    const answer: JsonObject = asObject(JSON.parse(text));
    const items = Array.isArray(answer['items']) ? answer['items'].map(asObject) : [answer];
    items.forEach(change);
    return JSON.stringify(answer);
  };
}

copes(
  'The status is absent until the manager has seen the VM',
  'list and show take it for stopped, or starting',
  async (t) => {
    await suite.operator.vm('new', { vm: { state: 'Running' } });
    const { url } = await suite.proxy(t, { rewrite: withoutDefaults((vm) => delete vm['status']) });
    assert.match((await run(`list --server ${url}`)).stdout, /^new +starting +/m);
    const { code, stdout } = await run(`show new --server ${url}`);
    assert.equal(code, 0);
    assert.match(stdout, /^State: +starting, wanted: Running$/m);
    assert.match(stdout, /^Logged in: +nobody$/m);
    assert.equal((await run(`start new --no-wait --server ${url}`)).code, 0);
    const wait = await run(`wait new --for booted --timeout 0 --server ${url}`);
    assert.equal(wait.code, 6);
  },
);

copes('spec.vm.state may be absent', 'that is Stopped, and start writes Running', async (t) => {
  const vm = await suite.operator.vm('stateless');
  const rewrite = withoutDefaults((object) => delete asObject(asObject(object['spec'])['vm'])['state']);
  const { url } = await suite.proxy(t, { rewrite });
  const { stdout } = await run(`show stateless --json --server ${url}`);
  const json: unknown = JSON.parse(stdout);
  assert.deepEqual([field(json, 'state'), field(json, 'wantedState')], ['stopped', 'Stopped']);
  assert.equal((await run(`start stateless --no-wait --server ${url}`)).code, 0);
  assert.equal((await vm.get()).spec.state, 'Running');
});

copes('Conditions may be missing, all or some', 'what they would say counts as not so', async () => {
  const vm = await suite.operator.vm('bare', { vm: { state: 'Running' } });
  await vm.status({ conditions: [] });
  assert.equal(await shown('bare', 'state'), 'starting');
  await vm.status({
    conditions: [
      {
        type: 'Running',
        status: 'True',
        reason: 'VmStarted',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  });
  assert.equal(await shown('bare', 'state'), 'running');
  assert.equal(await shown('bare', 'guestAgent'), 'silent');
  assert.equal(await shown('bare', 'console', 'connected'), false);
  assert.equal((await run('wait bare --for running --timeout 0')).code, 0);
  assert.equal((await run('wait bare --for no-console --timeout 0')).code, 0);
  assert.equal((await run('wait bare --for agent --timeout 0')).code, 6);
});

copes(
  'Conditions and reasons of a newer version are unknown',
  'they are shown as they are; the known ones count',
  async () => {
    const vm = await runningVm('newer');
    await vm.conditions({ type: 'Running', status: 'True', reason: 'VmResumed', message: 'after a pause' });
    const { conditions } = asObject(asObject(await vm.raw())['status']);
    const frozen = {
      type: 'Frozen',
      status: 'Unknown',
      reason: 'Winter',
      message: '',
      lastTransitionTime: '',
    };
    await vm.status({
      conditions: [...(Array.isArray(conditions) ? conditions : []), frozen],
      vgpu: { model: 'x' },
    });
    const { stdout } = await run('show newer');
    assert.match(stdout, /^State: +running$/m);
    assert.match(stdout, /Running=True \(VmResumed\)/);
    assert.match(stdout, /Frozen=Unknown \(Winter\)/);
  },
);

copes(
  'consoleUser and consoleClient stay when a console has gone',
  'they count only while one is connected',
  async () => {
    const vm = await runningVm('left');
    await vm.status({ consoleUser: 'bob', consoleClient: '10.0.0.7' });
    assert.deepEqual(await shown('left', 'console'), { connected: false });
    assert.match((await run('list')).stdout, /^left +running +(<none>|-)? +(?!bob)/m);
    assert.equal((await run('stop left --no-wait --dry-run')).code, 0);
    await vm.consoleOpened('10.0.0.8');
    assert.equal(await shown('left', 'console', 'user'), 'bob');
    const { code, stderr } = await run('stop left --no-wait');
    assert.equal(code, 5);
    assert.match(stderr, /a console is connected to left \(bob\)/);
  },
);

copes(
  'ConsoleConnected and loggedInUser stay True and named after a crash',
  'nobody is connected or logged in on a dead VM',
  async () => {
    const vm = await runningVm('crashed');
    await vm.loginDone('alice');
    await vm.status({ consoleUser: 'alice' });
    await vm.consoleOpened('10.0.0.7');
    await vm.terminating();
    await vm.podGone();
    assert.deepEqual(await shown('crashed', 'console'), { connected: false });
    assert.equal(await shown('crashed', 'loggedInUser'), undefined);
    assert.equal((await run('wait crashed --for logout --timeout 0')).code, 0);
    assert.equal((await run('wait crashed --for no-console --timeout 0')).code, 0);
    const { code } = await run('stop crashed --no-wait');
    assert.equal(code, 0, 'nobody has to be asked');
  },
);

copes(
  'A released assignment may be left as {}',
  'the VM is not assigned, and its own permissions hold',
  async () => {
    const vm = await suite.operator.vm('released', {
      spec: { pools: ['desks'], permissions: [{ user: 'alice', may: ['start'] }] },
    });
    await vm.status({ assignment: {} });
    assert.equal(await shown('released', 'assignment'), undefined);
    const { stdout } = await run('list --json', { user: 'alice' });
    const json: unknown = JSON.parse(stdout);
    assert.deepEqual([field(json, 0, 'name'), field(json, 0, 'may')], ['released', ['start']]);
  },
);

copes(
  'RAM is a number, a Kubernetes quantity, or a size with B',
  'all are told in bytes; what is none is a problem of the row',
  async () => {
    const GiB = 2 ** 30;
    const cases: [unknown, number | undefined][] = [
      [2 * GiB, 2 * GiB],
      ['2147483648', 2 * GiB],
      ['2Gi', 2 * GiB],
      ['2G', 2e9],
      ['1.5Gi', 1.5 * GiB],
      ['2 GiB', 2 * GiB],
      ['2 GB', 2e9],
      ['512MiB', 512 * 2 ** 20],
      ['2e9', 2e9],
      ['lots', undefined],
      ['2 gigs', undefined],
    ];
    for (const [index, [ram, bytes]] of cases.entries()) {
      const name = `ram-${index}`;
      await suite.operator.vm(name, { vm: { maximumRam: ram, currentRam: ram } });
      assert.equal(await shown(name, 'maximumMemoryBytes'), bytes, String(ram));
      assert.equal(await shown(name, 'memoryBytes'), bytes, String(ram));
      const problems = bytes === undefined ? 2 : 0;
      assert.equal(await shown(name, 'problems', 'length'), problems, String(ram));
    }
    const { code, stdout } = await run('list');
    assert.equal(code, 0);
    assert.match(stdout, /^ram-10 +stopped \(!\)/m);
  },
);

copes(
  'Conditions of a running VM say VmStopped, “The VM is not running”, until they are first set',
  'show does not repeat that',
  async () => {
    await runningVm('fresh');
    const { stdout } = await run('show fresh');
    assert.doesNotMatch(stdout, /VmStopped|not running/);
    assert.match(stdout, /ConsoleConnected=False \(not since its start\)/);
    assert.doesNotMatch((await run('show fresh --json')).stdout, /The VM is not running/);
  },
);

copes(
  'Lowering currentCpus or currentRam waits for the guest, for ever if need be',
  'list and show tell what the VM has, show also what is wanted',
  async () => {
    const vm = await runningVm('scaled', { currentCpus: 4, currentRam: '2Gi' });
    await vm.status({ ram: String(2 ** 31) });
    await vm.spec({ vm: { currentCpus: 2, currentRam: '1Gi' } });
    const { stdout } = await run('show scaled');
    assert.match(stdout, /^CPUs: +4 of 4, wanted: 2$/m);
    assert.match(stdout, /^Memory: +2Gi of 2Gi, wanted: 1Gi$/m);
    assert.equal(await shown('scaled', 'cpus'), 4);
    assert.deepEqual(
      [await shown('scaled', 'wantedCpus'), await shown('scaled', 'wantedMemoryBytes')],
      [2, 2 ** 30],
    );
  },
);

copes('Objects have fields that vmop does not know', 'they survive whatever vmop writes', async () => {
  const spec = {
    cloudInit: { userData: { '#': 'x' } },
    image: { path: 'p' },
    newer: { deep: [1, { two: 2 }] },
  };
  const cpus = { cpuTopology: { sockets: 2 }, maximumCpus: undefined };
  const vm = await suite.operator.vm('rich', { spec, vm: { ...cpus, tpm: true } });
  assert.equal(await shown('rich', 'maximumCpus'), 2);
  await vm.secret();
  const before = asObject((await vm.raw())['spec']);
  const starting = start('start rich --timeout 20s');
  await vm.until(({ spec: { state } }) => state === 'Running');
  await vm.starts();
  assert.equal((await starting.ended).code, 0);
  assert.equal((await run('login rich -u alice --no-wait')).code, 0);
  assert.equal((await run('logout rich --no-wait')).code, 0);
  const { vm: machine, ...rest } = asObject((await vm.raw())['spec']);
  const { vm: machineBefore, ...restBefore } = before;
  assert.deepEqual(rest, restBefore);
  assert.deepEqual(machine, { ...asObject(machineBefore), state: 'Running' });
});

copes(
  'A CRD with other rules lets through what this one refuses',
  'list and show tell what can be told of such a VM, and start starts it',
  async (t) => {
    const vm = await suite.operator.vm('odd');
    const rewrite = withoutDefaults((object) => {
      const spec = asObject(object['spec']);
      delete asObject(spec['vm'])['maximumCpus'];
      spec['permissions'] = [{}, { user: 'alice', role: 'staff', may: ['start', 'fly'] }];
      spec['image'] = 'a text';
    });
    const { url } = await suite.proxy(t, { rewrite });
    assert.match((await run(`list --server ${url}`)).stdout, /^odd +stopped/m);
    assert.match((await run(`show odd --server ${url}`)).stdout, /^CPUs: +2 of \?$/m);
    assert.equal((await run(`start odd --no-wait --server ${url}`)).code, 0);
    assert.equal((await vm.get()).spec.state, 'Running');
  },
);

copes(
  'Older versions know no pools, permissions, agent, serial or osinfo',
  'their VMs are listed, shown, started and stopped',
  async (t) => {
    const vm = await suite.operator.vm('old');
    const rewrite = withoutDefaults((object) => {
      const spec = asObject(object['spec']);
      for (const key of ['pools', 'permissions', 'guestShutdownStops']) delete spec[key];
      const status = asObject(object['status']);
      for (const key of ['assignment', 'displayPasswordSerial', 'osinfo', 'runnerVersion'])
        delete status[key];
      const conditions = Array.isArray(status['conditions']) ? status['conditions'].map(asObject) : [];
      status['conditions'] = conditions.filter(({ type }) => type === 'Running');
    });
    const { url } = await suite.proxy(t, { rewrite });
    assert.match((await run(`list --server ${url}`)).stdout, /^old +stopped/m);
    const starting = start(`start old --server ${url}`);
    await vm.until(({ spec }) => spec.state === 'Running');
    await vm.starts();
    assert.equal((await starting.ended).code, 0);
    assert.equal((await run(`show old --server ${url}`)).code, 0);
    const stopping = start(`stop old --server ${url}`);
    await vm.until(({ spec }) => spec.state === 'Stopped');
    await vm.stops();
    assert.equal((await stopping.ended).code, 0);
  },
);

copes(
  'Events are status updates with a condition’s reason, and connections of a console with their text in the reason; none has a note',
  'show tells each as it is, in order',
  async () => {
    const vm = await suite.operator.vm('eventful');
    const events = [
      ['StatusUpdate', 'RunnerStarted'],
      ['StatusUpdate', 'VmStarted'],
      ['StatusUpdate', 'VmBooted'],
      ['ConsoleConnectionUpdate', 'Connection from 127.0.0.1'],
      ['StatusUpdate', 'VmTerminating'],
      ['StatusUpdate', 'VmStopped'],
    ] as const;
    for (const [action, reason] of events) await vm.event(action, reason);
    const { stdout } = await run('show eventful');
    const told = /^Events: +((?:.*\n)(?: +\S+Z {2}.*\n)*)/m.exec(stdout)?.[1] ?? '';
    assert.deepEqual(
      told
        .trimEnd()
        .split('\n')
        .map((line) => line.trim().replace(/^\S+Z {2}/, '')),
      events.map(([, reason]) => reason),
    );
    const json = await shown('eventful', 'events');
    assert.ok(Array.isArray(json));
    assert.deepEqual(
      json.map((event) => [field(event, 'action'), field(event, 'reason'), field(event, 'note')]),
      events.map(([action, reason]) => [action, reason, '']),
    );
  },
);
