import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { getEventListeners } from 'node:events';
import type { Cluster, ClusterOptions } from '../../../src/lib/cluster/index.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { CONFIG_MAPS, openTestCluster, rejectionOf } from './fixture.ts';
import { reply, startScriptedServer, type ScriptedRequest, type ScriptedServer } from './scripted-server.ts';

const ref = { namespace: 'default', name: 'a' };
const calls: [string, (cluster: Cluster) => Promise<unknown>][] = [
  ['get', (cluster) => cluster.get(CONFIG_MAPS, ref)],
  ['list', (cluster) => cluster.list(CONFIG_MAPS, { namespace: 'default' })],
  ['create', (cluster) => cluster.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } })],
  ['replace', (cluster) => cluster.replace(CONFIG_MAPS, ref, {})],
  ['patch', (cluster) => cluster.patch(CONFIG_MAPS, ref, { type: 'merge', body: {} })],
  ['delete', (cluster) => cluster.delete(CONFIG_MAPS, ref)],
  ['canI', (cluster) => cluster.canI({ group: '', resource: 'pods', verb: 'get' })],
  ['self', (cluster) => cluster.self()],
  ['now', (cluster) => cluster.now()],
  ['log', (cluster) => cluster.log(ref)],
  [
    'watch',
    async (cluster) => {
      const { signal } = new AbortController();
      for await (const change of cluster.watch(CONFIG_MAPS, { namespace: 'default', signal })) return change;
      return 'ended';
    },
  ],
];

async function scripted(
  t: TestContext,
  script: (request: ScriptedRequest) => void,
  options: Partial<ClusterOptions>,
): Promise<{ server: ScriptedServer; cluster: Cluster }> {
  const server = await startScriptedServer(t, script);
  return { server, cluster: await openTestCluster(t, server, options) };
}

const silence = (): void => {};
const hang = ({ response }: ScriptedRequest): void => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
  response.write('{"metadata":');
};

async function arrived(server: ScriptedServer): Promise<void> {
  while (server.requests.length === 0) await new Promise(setImmediate);
}

describe('a server that accepts and says nothing', () => {
  for (const [name, call] of calls) {
    test(name, async (t) => {
      const { server, cluster } = await scripted(t, silence, { timeoutMs: 100 });
      const error = await rejectionOf(call(cluster));
      assert.ok(error instanceof VmopError);
      assert.equal(error.code, 'unreachable');
      assert.match(error.message, /did not answer within 0\.1 s/);
      // Not repeated; on a busy machine it has not even arrived.
      assert.ok(server.requests.length <= 1);
    });
  }
});

describe('headers come, but the body hangs', () => {
  for (const [name, call] of calls) {
    test(name, async (t) => {
      const { server, cluster } = await scripted(t, hang, { timeoutMs: 100 });
      const error = await rejectionOf(call(cluster));
      assert.ok(error instanceof VmopError);
      assert.deepEqual(
        [error.code, error.message],
        ['unreachable', `cluster "vmop-sandbox" (${server.url}) did not answer within 0.1 s`],
      );
      assert.equal(server.requests.length, 1);
    });
  }
});

test('a time of 0 is no limit', async (t) => {
  const { cluster } = await scripted(t, (request) => setTimeout(() => reply(request), 20), { timeoutMs: 0 });
  await cluster.get(CONFIG_MAPS, ref);
});

test('a refused watch whose body hangs', async (t) => {
  const { server, cluster } = await scripted(
    t,
    (request) => {
      if (!request.path.includes('watch=true')) {
        reply(request, { body: { metadata: { resourceVersion: '1' }, items: [] } });
        return;
      }
      request.response.writeHead(403, { 'content-length': '1000' });
      request.response.write('{');
    },
    { timeoutMs: 100 },
  );
  const abort = new AbortController();
  const interruptions: string[] = [];
  const onInterruption = (reason: string): void => {
    interruptions.push(reason);
    abort.abort();
  };
  const watch = cluster.watch(CONFIG_MAPS, { namespace: 'default', signal: abort.signal, onInterruption });
  for await (const change of watch) assert.equal(change.type, 'synced');
  assert.match(interruptions.join(), /did not answer within 0\.1 s/);
  assert.equal(server.requests.length, 2);
});

describe('the signal that a cluster was opened with ends every call', () => {
  for (const [name, call] of calls) {
    for (const [what, script] of [
      ['silence', silence],
      ['half a body', hang],
    ] as const) {
      test(`${name}: ${what}`, async (t) => {
        const abort = new AbortController();
        const { server, cluster } = await scripted(t, script, { signal: abort.signal });
        const calling = call(cluster);
        await arrived(server);
        abort.abort('SIGINT');
        if (name === 'watch') assert.equal(await calling, 'ended');
        else assert.equal(await rejectionOf(calling), 'SIGINT');
        assert.deepEqual(getEventListeners(abort.signal, 'abort'), []);
      });
    }
    test(`${name}: aborted before`, async (t) => {
      const { server, cluster } = await scripted(t, silence, { signal: AbortSignal.abort('SIGTERM') });
      if (name === 'watch') assert.equal(await call(cluster), 'ended');
      else assert.equal(await rejectionOf(call(cluster)), 'SIGTERM');
      assert.equal(server.requests.length, 0);
    });
  }
});

describe('a call’s own signal ends it', () => {
  const own: [string, (cluster: Cluster, signal: AbortSignal) => Promise<unknown>][] = [
    ['list', (cluster, signal) => cluster.list(CONFIG_MAPS, { namespace: 'default', signal })],
    ['create', (cluster, signal) => cluster.create(CONFIG_MAPS, 'default', {}, { signal })],
    ['replace', (cluster, signal) => cluster.replace(CONFIG_MAPS, ref, {}, { signal })],
    [
      'patch',
      (cluster, signal) => cluster.patch(CONFIG_MAPS, ref, { type: 'json', operations: [] }, { signal }),
    ],
    ['delete', (cluster, signal) => cluster.delete(CONFIG_MAPS, ref, { signal })],
    ['log', (cluster, signal) => cluster.log(ref, { signal })],
  ];
  for (const [name, call] of own) {
    test(name, async (t) => {
      const abort = new AbortController();
      const { server, cluster } = await scripted(t, silence, {});
      const calling = call(cluster, abort.signal);
      await arrived(server);
      abort.abort('enough');
      assert.equal(await rejectionOf(calling), 'enough');
      assert.deepEqual(getEventListeners(abort.signal, 'abort'), []);
    });
  }
});

describe('close', () => {
  for (const [name, call] of calls) {
    test(`ends ${name}, and nothing is asked afterwards`, async (t) => {
      const { server, cluster } = await scripted(t, silence, {});
      const calling = call(cluster);
      await arrived(server);
      cluster.close();
      if (name === 'watch') assert.equal(await calling, 'ended');
      else assert.match(String(await rejectionOf(calling)), /was closed/);
      cluster.close();
      if (name !== 'watch') assert.match(String(await rejectionOf(call(cluster))), /was closed/);
      assert.equal(server.requests.length, 1);
    });
  }

  test('before the first call makes no connection', async (t) => {
    const { server, cluster } = await scripted(t, (request) => reply(request), {});
    cluster.close();
    assert.equal(server.connections, 0);
  });
});
