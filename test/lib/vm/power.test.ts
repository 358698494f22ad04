import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import type { Cluster, JsonObject, KubeObject, Resource } from '../../../src/lib/cluster/types.ts';
import { asObject, asString } from '../../../src/lib/cluster/parse.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import {
  describeLateStart,
  describeLateStop,
  killMachine,
  resetMachine,
  setPowerState,
  startedVerdict,
  stoppedVerdict,
} from '../../../src/lib/vm/power.ts';
import { VMS } from '../../../src/lib/vm/parse.ts';
import type { Vm } from '../../../src/lib/vm/types.ts';
import { CONFIG_MAPS, makeNamespaces, rejectionOf, startFaultyApi } from '../cluster/fixture.ts';
import {
  conditionsOf,
  CREATED,
  RUNNER_STARTED,
  RUNNING,
  STOPPED,
  TERMINATING,
  vmObject,
  vmOf,
  type Conditions,
  type VmParts,
} from './objects.ts';

type Expected = 'done' | 'conflict' | undefined;
const noRunner = { runnerVersion: undefined };

describe('waiting for a start', () => {
  const cases: [name: string, parts: VmParts, expected: Expected][] = [
    ['it runs', {}, 'done'],
    ['just asked for', { conditions: CREATED, status: noRunner }, undefined],
    ['seen 1: a restart keeps VmStopped', { conditions: STOPPED, status: noRunner }, undefined],
    ['seen 1: the runner has started', { conditions: RUNNER_STARTED }, undefined],
    ['seen 9: a failed start flashes VmTerminating', { conditions: TERMINATING }, undefined],
    ['stopped again by somebody', { vm: { state: 'Stopped' }, conditions: RUNNER_STARTED }, 'conflict'],
    ['seen 10: the guest powered off', { vm: { state: 'Stopped' }, conditions: STOPPED }, 'conflict'],
  ];
  for (const [name, parts, expected] of cases) {
    test(name, () => {
      const verdict = startedVerdict(vmOf(parts));
      assert.equal(verdict && ('done' in verdict ? 'done' : verdict.failed.code), expected);
    });
  }
});

describe('waiting for a stop', () => {
  const stop = (parts: VmParts): VmParts => ({ ...parts, vm: { state: 'Stopped' } });
  const cases: [name: string, parts: VmParts, expected: Expected][] = [
    ['it is stopped', stop({ conditions: STOPPED, status: noRunner }), 'done'],
    ['seen 9: Running stays True while it terminates', stop({ conditions: TERMINATING }), undefined],
    ['just asked for', stop({}), undefined],
    ['seen 9: killed by force', stop({ conditions: TERMINATING, status: noRunner }), 'done'],
    ['never started', stop({ conditions: CREATED, status: noRunner }), 'done'],
    ['started again by somebody', { conditions: TERMINATING }, 'conflict'],
    ['it runs again', {}, 'conflict'],
  ];
  for (const [name, parts, expected] of cases) {
    test(name, () => {
      const verdict = stoppedVerdict(vmOf(parts));
      assert.equal(verdict && ('done' in verdict ? 'done' : verdict.failed.code), expected);
    });
  }
});

describe('what is late', () => {
  test('seen 4: a start with one CPU is told why it never comes', () => {
    const { state, hint } = describeLateStart(vmOf({ vm: { currentCpus: 1 }, conditions: RUNNER_STARTED }));
    assert.equal(state, 'still not running (Running=False, RunnerStarted)');
    assert.match(hint ?? '', /currentCpus is 1/);
  });
  test('no runner has reported', () => {
    const late = describeLateStart(vmOf({ conditions: CREATED, status: noRunner }));
    assert.match(late.hint ?? '', /is VM-Operator running/);
    assert.equal(describeLateStart(vmOf({ conditions: {}, status: noRunner })).state, 'still not running');
  });
  test('the VM was never seen', () => {
    assert.equal(describeLateStart(undefined).state, 'nothing is known of it');
    assert.equal(describeLateStop(undefined).state, 'nothing is known of it');
  });
  test('a stop: how long the guest may take', () => {
    const { state, hint } = describeLateStop(
      vmOf({ vm: { state: 'Stopped', powerdownTimeout: 120 }, conditions: TERMINATING }),
    );
    assert.equal(state, 'still shutting down');
    assert.match(hint ?? '', /up to 120 s.*--force/);
  });
});

const PODS: Resource<KubeObject> = { ...CONFIG_MAPS, plural: 'pods', kind: 'Pod' };
const ref = { namespace: 'ns', name: 'desktop-1' };
const CONFIG = '"/Runner":\n  # kept\n  resetCounter: 0\n  vm: { maximumRam: 4294967296 }\n';

interface World {
  direct: Cluster;
  cluster: Cluster;
  proxy: Awaited<ReturnType<typeof startFaultyApi>>['proxy'];
  /** As the API holds it now. */
  vm(): Promise<Vm>;
  configText(): Promise<string>;
}

/** A VM with what the operator made for it. */
async function world(t: TestContext, conditions: Conditions = RUNNING, state = 'Running'): Promise<World> {
  const { direct, cluster, proxy } = await startFaultyApi(t);
  await makeNamespaces(direct, 'ns');
  const { spec, status } = vmObject({ vm: { state }, conditions });
  await direct.create(VMS, 'ns', { metadata: { name: 'desktop-1' }, spec });
  const body: JsonObject = { status: { ...asObject(status), conditions: conditionsOf(conditions) } };
  await direct.patch(VMS, ref, { type: 'merge', body }, { subresource: 'status' });
  await direct.create(CONFIG_MAPS, 'ns', {
    metadata: { name: 'desktop-1' },
    data: { 'config.yaml': CONFIG, other: 'x' },
  });
  const containers = [{ name: 'desktop-1', image: 'runner' }];
  await direct.create(PODS, 'ns', { metadata: { name: 'desktop-1' }, spec: { containers } });
  return {
    direct,
    cluster,
    proxy,
    vm: () => direct.get(VMS, ref),
    configText: async () =>
      asString(asObject((await direct.get(CONFIG_MAPS, ref))['data'])['config.yaml']) ?? '',
  };
}

describe('setPowerState', () => {
  test('writes the wish with the version that was read', async (t) => {
    const { cluster, proxy, vm } = await world(t);
    const { object, written } = await setPowerState(cluster, await vm(), 'Stopped');
    assert.deepEqual([object.spec.state, written], ['Stopped', true]);
    assert.deepEqual(
      proxy.requests.map(({ method }) => method),
      ['PATCH'],
    );
  });

  test('writes nothing when it is wanted already', async (t) => {
    const { cluster, proxy, vm } = await world(t);
    assert.equal((await setPowerState(cluster, await vm(), 'Running')).written, false);
    assert.equal(proxy.requests.length, 0);
  });

  test('decides anew when somebody changed the VM meanwhile', async (t) => {
    const { direct, cluster, vm } = await world(t);
    const old = await vm();
    await setPowerState(direct, old, 'Stopped');
    assert.equal((await setPowerState(cluster, old, 'Stopped')).written, false);
  });

  test('a dry run stores nothing', async (t) => {
    const { cluster, vm } = await world(t);
    const { object } = await setPowerState(cluster, await vm(), 'Stopped', { dryRun: true });
    assert.equal(object.spec.state, 'Stopped');
    assert.equal((await vm()).spec.state, 'Running');
  });
});

describe('resetMachine', () => {
  test('seen 8: reads, adds one, writes; the pod is touched so that it is seen at once', async (t) => {
    const { direct, cluster, vm, configText } = await world(t);
    await resetMachine(cluster, await vm());
    assert.equal(await configText(), CONFIG.replace('resetCounter: 0', 'resetCounter: 1'));
    const annotation = (await direct.get(PODS, ref)).metadata.annotations?.['vmrunner.jdrupes.org/cmVersion'];
    assert.match(annotation ?? '', /^vmop-\d+$/);
    await resetMachine(cluster, await vm());
    assert.equal(await configText(), CONFIG.replace('resetCounter: 0', 'resetCounter: 2'));
    const again = (await direct.get(PODS, ref)).metadata.annotations?.['vmrunner.jdrupes.org/cmVersion'];
    assert.notEqual(again, annotation);
    assert.equal(asObject((await direct.get(CONFIG_MAPS, ref))['data'])['other'], 'x');
  });

  test('a change of the manager in between is not lost', async (t) => {
    const { direct, cluster, proxy, vm, configText } = await world(t);
    proxy.fail({ method: 'PATCH', path: /configmaps/, status: 409 });
    const current = await vm();
    const change = CONFIG.replace('4294967296', '1').replace('resetCounter: 0', 'resetCounter: 5');
    await direct.patch(CONFIG_MAPS, ref, { type: 'merge', body: { data: { 'config.yaml': change } } });
    await resetMachine(cluster, current);
    const document: unknown = parse(await configText());
    assert.deepEqual(document, { '/Runner': { resetCounter: 6, vm: { maximumRam: 1 } } });
  });

  test('a dry run stores nothing', async (t) => {
    const { direct, cluster, vm, configText } = await world(t);
    await resetMachine(cluster, await vm(), { dryRun: true });
    assert.equal(await configText(), CONFIG);
    assert.equal((await direct.get(PODS, ref)).metadata.annotations, undefined);
  });

  const phases: [string, Conditions, string][] = [
    ['stopped', STOPPED, 'Stopped'],
    ['starting', RUNNER_STARTED, 'Running'],
    ['stopping', TERMINATING, 'Stopped'],
  ];
  for (const [name, conditions, state] of phases) {
    test(`of a VM that is ${name}: nothing is written`, async (t) => {
      const { cluster, proxy, vm } = await world(t, conditions, state);
      const error = await rejectionOf(resetMachine(cluster, await vm()));
      assert.ok(error instanceof VmopError && error.code === 'state');
      assert.match(error.message, new RegExp(`is ${name}`));
      assert.equal(proxy.requests.length, 0);
    });
  }

  test('a configuration that is none is left alone', async (t) => {
    const { direct, cluster, vm, configText } = await world(t);
    await direct.patch(CONFIG_MAPS, ref, { type: 'merge', body: { data: { 'config.yaml': null } } });
    const error = await rejectionOf(resetMachine(cluster, await vm()));
    assert.ok(error instanceof VmopError && error.code === 'failed');
    assert.equal(await configText(), '');
  });

  for (const resource of [CONFIG_MAPS, PODS]) {
    test(`without its ${resource.kind} there is no runner`, async (t) => {
      const { direct, cluster, vm } = await world(t);
      await direct.delete(resource, ref, { graceSeconds: 0 });
      const error = await rejectionOf(resetMachine(cluster, await vm()));
      assert.ok(error instanceof VmopError && error.code === 'state');
      assert.match(error.hint ?? '', /vmop restart ns\/desktop-1/);
    });
  }
});

describe('killMachine', () => {
  test('deletes the pod with no time to power down', async (t) => {
    const { direct, cluster, proxy, vm } = await world(t);
    await killMachine(cluster, await vm());
    assert.deepEqual(
      proxy.requests.map(({ method }) => method),
      ['GET', 'DELETE'],
    );
    await rejectionOf(direct.get(PODS, ref));
    await killMachine(cluster, await vm());
  });

  test('the pod of an earlier VM of this name is left alone, to be reset as well', async (t) => {
    const { direct, cluster, vm, configText } = await world(t);
    const owner = { apiVersion: 'vmoperator.jdrupes.org/v1', kind: 'VirtualMachine', name: 'desktop-1' };
    const body = { metadata: { ownerReferences: [{ ...owner, uid: 'of-the-earlier-one' }] } };
    const text = await configText();
    for (const resource of [PODS, CONFIG_MAPS]) await direct.patch(resource, ref, { type: 'merge', body });
    await killMachine(cluster, await vm());
    await direct.get(PODS, ref);
    const error = await rejectionOf(resetMachine(cluster, await vm()));
    assert.ok(error instanceof VmopError && error.code === 'state');
    assert.equal(await configText(), text);
  });

  test('a dry run kills nobody', async (t) => {
    const { direct, cluster, vm } = await world(t);
    await killMachine(cluster, await vm(), { dryRun: true });
    await direct.get(PODS, ref);
  });
});
