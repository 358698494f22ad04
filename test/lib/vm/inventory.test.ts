import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { isStatus } from '../../../src/lib/cluster/index.ts';
import type { Cluster } from '../../../src/lib/cluster/types.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { governingPool, loadInventory } from '../../../src/lib/vm/inventory.ts';
import { vmOf } from './objects.ts';
import { openTestCluster, rejectionOf } from '../cluster/fixture.ts';
import {
  kubeStatus,
  reply,
  startScriptedServer,
  type Reply,
  type ScriptedServer,
} from '../cluster/scripted-server.ts';

const listOf = (...items: object[]): Reply => ({ body: { metadata: { resourceVersion: '1' }, items } });
const vm = (name: string, status: object = {}): object => ({
  metadata: { name, namespace: 'ns' },
  spec: { vm: {} },
  status,
});
const assigned = { assignment: { pool: 'desktops', user: 'bob' } };
const pool = { metadata: { name: 'desktops', namespace: 'ns' }, spec: { permissions: [] } };

async function world(
  t: TestContext,
  replies: { vms: Reply; pools?: Reply },
): Promise<{ server: ScriptedServer; cluster: Cluster }> {
  const server = await startScriptedServer(t, (request) =>
    reply(request, request.path.includes('/vmpools') ? replies.pools : replies.vms),
  );
  return { server, cluster: await openTestCluster(t, server) };
}

describe('VMs and pools', () => {
  test('without an assigned VM nobody asks for pools', async (t) => {
    const { server, cluster } = await world(t, { vms: listOf(vm('a'), vm('b', { assignment: {} })) });
    const { vms, pools } = await loadInventory(cluster, 'ns', 'team=blue');
    assert.deepEqual([vms.map(({ name }) => name), pools], [['a', 'b'], []]);
    assert.equal(server.requests.length, 1);
    assert.match(server.requests[0]?.path ?? '', /labelSelector=team%3Dblue/);
  });

  test('with one the pools are there, all of them', async (t) => {
    const { server, cluster } = await world(t, { vms: listOf(vm('a', assigned)), pools: listOf(pool) });
    const { pools } = await loadInventory(cluster, undefined, 'team=blue');
    assert.deepEqual(
      pools.map(({ name }) => name),
      ['desktops'],
    );
    assert.doesNotMatch(server.requests[1]?.path ?? '', /labelSelector|namespaces/);
  });

  test('pools that may not be read are none', async (t) => {
    const { cluster } = await world(t, { vms: listOf(vm('a', assigned)), pools: kubeStatus(403) });
    assert.deepEqual((await loadInventory(cluster, 'ns')).pools, []);
  });

  test('another error is one', async (t) => {
    const { cluster } = await world(t, { vms: listOf(vm('a', assigned)), pools: kubeStatus(400) });
    assert.ok(isStatus(await rejectionOf(loadInventory(cluster, 'ns')), 400));
    const forbidden = await world(t, { vms: kubeStatus(403) });
    assert.ok(isStatus(await rejectionOf(loadInventory(forbidden.cluster, 'ns')), 403));
  });

  test('a cluster without VM-Operator', async (t) => {
    const { cluster } = await world(t, { vms: { status: 404, body: '404 page not found\n' } });
    const error = await rejectionOf(loadInventory(cluster, 'ns'));
    assert.ok(error instanceof VmopError);
    assert.deepEqual(
      [error.code, error.message],
      ['notFound', 'cluster "vmop-sandbox" knows no virtual machines of VM-Operator'],
    );
    assert.match(error.hint ?? '', /not installed/);
  });
});

describe('the pool that governs a VM', () => {
  const cases: [name: string, answer: Reply, found: boolean][] = [
    ['is there', { body: pool }, true],
    ['is gone', kubeStatus(404), false],
    ['may not be read', kubeStatus(403), false],
  ];
  for (const [name, answer, found] of cases) {
    test(name, async (t) => {
      const { cluster } = await world(t, { vms: listOf(), pools: answer });
      const governing = await governingPool(cluster, vmOf({ status: assigned }));
      assert.equal(governing?.name, found ? 'desktops' : undefined);
    });
  }

  test('is none without an assignment: nobody asks', async (t) => {
    const { server, cluster } = await world(t, { vms: listOf() });
    assert.equal(await governingPool(cluster, vmOf({ status: { assignment: {} } })), undefined);
    assert.equal(server.requests.length, 0);
  });

  test('another error is one', async (t) => {
    const { cluster } = await world(t, { vms: listOf(), pools: kubeStatus(400) });
    assert.ok(isStatus(await rejectionOf(governingPool(cluster, vmOf({ status: assigned }))), 400));
  });
});
