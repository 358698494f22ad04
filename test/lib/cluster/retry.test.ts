import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { ApiError, isStatus, type Cluster } from '../../../src/lib/cluster/index.ts';
import { backoff, retryPause } from '../../../src/lib/cluster/retry.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { CONFIG_MAPS, makeNamespaces, openTestCluster, rejectionOf, startFaultyApi } from './fixture.ts';
import {
  inTurn,
  kubeStatus,
  reply,
  startScriptedServer,
  type Reply,
  type ScriptedServer,
} from './scripted-server.ts';

const ref = { namespace: 'default', name: 'a' };
const change = { type: 'merge' as const, body: { data: { k: 'v' } } };

async function scripted(
  t: TestContext,
  ...replies: Reply[]
): Promise<{ server: ScriptedServer; cluster: Cluster }> {
  const server = await startScriptedServer(t, inTurn(...replies));
  return { server, cluster: await openTestCluster(t, server) };
}

describe('how long to wait before a request is sent again', () => {
  type Case = [name: string, attempt: Parameters<typeof retryPause>[0], read: unknown, write: unknown];
  const cases: Case[] = [
    ['429', { status: 429 }, backoff(1), backoff(1)],
    ['429 with Retry-After', { status: 429, retryAfterSeconds: 3 }, 3000, 3000],
    ['429 with a very long Retry-After', { status: 429, retryAfterSeconds: 3600 }, 10_000, 10_000],
    ['503', { status: 503 }, backoff(1), undefined],
    ['503 with Retry-After: surely not carried out', { status: 503, retryAfterSeconds: 1 }, 1000, 1000],
    ['500', { status: 500 }, backoff(1), undefined],
    ['502 of a proxy', { status: 502 }, backoff(1), undefined],
    ['504 of a proxy', { status: 504, retryAfterSeconds: 1 }, 1000, undefined],
    ['400', { status: 400 }, undefined, undefined],
    ['401', { status: 401 }, undefined, undefined],
    ['403', { status: 403 }, undefined, undefined],
    ['404', { status: 404 }, undefined, undefined],
    ['409', { status: 409 }, undefined, undefined],
    ['410', { status: 410 }, undefined, undefined],
    ['422', { status: 422 }, undefined, undefined],
    ['reset', { systemCode: 'ECONNRESET', stale: false }, backoff(1), undefined],
    ['reset of a connection that was kept alive', { systemCode: 'ECONNRESET', stale: true }, 0, undefined],
    ['nothing listens', { systemCode: 'ECONNREFUSED', stale: false }, undefined, undefined],
    ['unknown name', { systemCode: 'ENOTFOUND', stale: false }, undefined, undefined],
    ['DNS hiccup', { systemCode: 'EAI_AGAIN', stale: false }, backoff(1), undefined],
    ['bad certificate', { systemCode: 'CERT_HAS_EXPIRED', stale: false }, undefined, undefined],
  ];
  for (const [name, attempt, read, write] of cases) {
    test(name, () => {
      assert.equal(retryPause(attempt, 1, false), read, 'read');
      assert.equal(retryPause(attempt, 1, true), write, 'write');
      assert.equal(retryPause(attempt, 5, false), undefined, 'five attempts at most');
    });
  }
  test('the pause grows and stays below 5 s', () => {
    assert.deepEqual([1, 2, 3, 10].map(backoff), [200, 400, 800, 5000]);
  });
});

describe('reads', () => {
  for (const status of [429, 503] as const) {
    test(`${status} twice, then an answer`, async (t) => {
      const { proxy, cluster } = await startFaultyApi(t);
      proxy.fail({ method: 'GET', status, times: 2, retryAfterSeconds: 0 });
      assert.deepEqual((await cluster.list(CONFIG_MAPS, { namespace: 'default' })).items, []);
      assert.equal(proxy.requests.length, 3);
      proxy.assertUsed();
    });
  }

  test('a connection that is torn off, before and after the server has answered', async (t) => {
    const { proxy, cluster } = await startFaultyApi(t);
    proxy.fail({ method: 'GET', reset: true });
    proxy.fail({ method: 'GET', resetAfter: true });
    assert.deepEqual((await cluster.list(CONFIG_MAPS, { namespace: 'default' })).items, []);
    assert.equal(proxy.requests.length, 3);
  });

  test('five times at most', async (t) => {
    const { server, cluster } = await scripted(t, {
      ...kubeStatus(503, 'busy'),
      headers: { 'retry-after': '0' },
    });
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    assert.ok(isStatus(error, 503));
    assert.equal(server.requests.length, 5);
  });

  test('reviews are reads', async (t) => {
    const { proxy, cluster } = await startFaultyApi(t);
    proxy.fail({ method: 'POST', status: 503, retryAfterSeconds: 0 });
    proxy.fail({ method: 'POST', reset: true });
    assert.equal((await cluster.self()).username, 'admin');
    assert.equal((await cluster.canI({ group: '', resource: 'pods', verb: 'get' })).allowed, true);
    proxy.assertUsed();
  });

  test('Retry-After as a date, or as nonsense, is none', async (t) => {
    const headers = { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' };
    const { server, cluster } = await scripted(
      t,
      { ...kubeStatus(429), headers },
      { body: { metadata: { name: 'a' } } },
    );
    assert.equal((await cluster.get(CONFIG_MAPS, ref)).metadata.name, 'a');
    assert.equal(server.requests.length, 2);
  });
});

describe('writes are repeated only where they surely were not carried out', () => {
  const writes: [string, (cluster: Cluster) => Promise<unknown>][] = [
    ['create', (cluster) => cluster.create(CONFIG_MAPS, 'default', { metadata: { name: 'b' } })],
    ['patch', (cluster) => cluster.patch(CONFIG_MAPS, ref, change)],
    ['replace', (cluster) => cluster.replace(CONFIG_MAPS, ref, { metadata: { name: 'a' } })],
    ['delete', (cluster) => cluster.delete(CONFIG_MAPS, ref)],
  ];
  for (const [name, write] of writes) {
    test(`${name}: refused with 429, and with 503 and Retry-After: again`, async (t) => {
      const { direct, proxy, cluster } = await startFaultyApi(t);
      await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
      proxy.fail({ status: 429, retryAfterSeconds: 0 });
      proxy.fail({ status: 503, retryAfterSeconds: 0 });
      await write(cluster);
      assert.equal(proxy.requests.length, 3);
    });

    test(`${name}: 503 without Retry-After, 500 or 504: not again`, async (t) => {
      for (const code of [500, 503, 504]) {
        const { server, cluster } = await scripted(t, kubeStatus(code));
        assert.ok(isStatus(await rejectionOf(write(cluster)), code));
        assert.equal(server.requests.length, 1);
      }
    });

    test(`${name}: torn off after it was carried out: not again`, async (t) => {
      const { direct, proxy, cluster } = await startFaultyApi(t);
      await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
      proxy.fail({ resetAfter: true });
      const error = await rejectionOf(write(cluster));
      assert.ok(error instanceof VmopError);
      assert.equal(error.code, 'unreachable');
      assert.match(error.message, /the connection was dropped/);
      assert.equal(proxy.requests.length, 1);
    });

    test(`${name}: the same on a connection that has served before`, async (t) => {
      const { direct, proxy, cluster } = await startFaultyApi(t);
      await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
      await cluster.get(CONFIG_MAPS, ref);
      proxy.fail({ resetAfter: true });
      await rejectionOf(write(cluster));
      assert.equal(proxy.requests.length, 2);
    });
  }

  test('what is said then: it may have been carried out', async (t) => {
    const { proxy, cluster } = await startFaultyApi(t);
    proxy.fail({ resetAfter: true });
    const error = await rejectionOf(cluster.create(CONFIG_MAPS, 'default', { metadata: { name: 'b' } }));
    assert.ok(error instanceof VmopError);
    assert.match(error.hint ?? '', /may have been made/);
  });
});

describe('a kept-alive connection that the server has closed meanwhile', () => {
  test('a write goes out on a new one', async (t) => {
    const server = await startScriptedServer(
      t,
      (request) => reply(request, { body: { metadata: { name: 'a' } } }),
      {
        tls: true,
      },
    );
    const cluster = await openTestCluster(t, server);
    await cluster.get(CONFIG_MAPS, ref);
    await server.closeIdle();
    await cluster.patch(CONFIG_MAPS, ref, change);
    assert.deepEqual(
      server.requests.map(({ method }) => method),
      ['GET', 'PATCH'],
    );
  });

  test('a read is sent again when it met the end', async (t) => {
    const server = await startScriptedServer(t, (request) => {
      if (request.connection === 0 && server.requests.length > 1) request.socket.destroy();
      else reply(request, { body: { metadata: { name: 'a' } } });
    });
    const cluster = await openTestCluster(t, server);
    await cluster.get(CONFIG_MAPS, ref);
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(
      server.requests.map(({ connection }) => connection),
      [0, 0, 1],
    );
  });

  test('a write that met the end is not: it may have been read', async (t) => {
    const server = await startScriptedServer(t, (request) => {
      if (request.method === 'PATCH') request.socket.destroy();
      else reply(request, { body: { metadata: { name: 'a' } } });
    });
    const cluster = await openTestCluster(t, server);
    await cluster.get(CONFIG_MAPS, ref);
    const error = await rejectionOf(cluster.patch(CONFIG_MAPS, ref, change));
    assert.ok(error instanceof VmopError && error.code === 'unreachable');
    assert.equal(server.requests.length, 2);
  });

  test('reads and writes one after the other share a connection', async (t) => {
    const server = await startScriptedServer(
      t,
      (request) => reply(request, { body: { metadata: { name: 'a' } } }),
      {
        tls: true,
      },
    );
    const cluster = await openTestCluster(t, server);
    await cluster.get(CONFIG_MAPS, ref);
    await cluster.patch(CONFIG_MAPS, ref, change);
    await cluster.get(CONFIG_MAPS, ref);
    assert.equal(server.connections, 1);
  });
});

test('an abort while waiting for the next attempt ends the call', async (t) => {
  const abort = new AbortController();
  const { server, cluster } = await scripted(t, { ...kubeStatus(429), headers: { 'retry-after': '10' } });
  const listing = cluster.list(CONFIG_MAPS, { namespace: 'default', signal: abort.signal });
  while (server.requests.length === 0) await new Promise(setImmediate);
  abort.abort('SIGINT');
  assert.equal(await rejectionOf(listing), 'SIGINT');
  assert.equal(server.requests.length, 1);
});

test('an error is an ApiError with the server’s words', async (t) => {
  const { direct } = await startFaultyApi(t);
  await makeNamespaces(direct, 'n');
  const error = await rejectionOf(direct.get(CONFIG_MAPS, { namespace: 'n', name: 'nothing' }));
  assert.ok(error instanceof ApiError);
  assert.deepEqual([error.code, error.status.reason], ['notFound', 'NotFound']);
  assert.match(error.message, /configmaps "nothing" not found/);
});
