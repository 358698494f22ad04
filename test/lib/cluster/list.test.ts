import assert from 'node:assert/strict';
import diagnosticsChannel from 'node:diagnostics_channel';
import { describe, test } from 'node:test';
import { isStatus } from '../../../src/lib/cluster/index.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { CONFIG_MAPS, openTestCluster, rejectionOf, startFaultyApi, startTestApi } from './fixture.ts';
import { reply, startScriptedServer, kubeStatus, type ScriptedRequest } from './scripted-server.ts';

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const item = (index: number) => ({ metadata: { name: `n${index}`, resourceVersion: '5' } });
const queryOf = ({ path }: ScriptedRequest): URLSearchParams => new URL(path, 'http://x').searchParams;
const namesOf = (items: { metadata: { name: string } }[]): string[] =>
  items.map(({ metadata }) => metadata.name);

test('all of more than two pages, each object once', async (t) => {
  const { api, proxy, cluster } = await startFaultyApi(t);
  const direct = await openTestCluster(t, api);
  const names = range(1203).map((index) => `c${String(index).padStart(4, '0')}`);
  const rest = names.values();
  const make = async (): Promise<void> => {
    for (const name of rest) await direct.create(CONFIG_MAPS, 'default', { metadata: { name } });
  };
  await Promise.all(range(8).map(make));
  const listing = await cluster.list(CONFIG_MAPS, { namespace: 'default' });
  assert.deepEqual(namesOf(listing.items), names);
  assert.match(listing.resourceVersion, /^\d+$/);
  assert.deepEqual(
    proxy.requests.map(({ path }) => /limit=\d+/.exec(path)?.[0]),
    ['limit=500', 'limit=500', 'limit=500'],
  );
});

describe('pages', () => {
  /** Three pages; `metadata` last, in some answers. */
  const page = (request: ScriptedRequest, write: (token: string, items: string) => string): void => {
    const at = Number(queryOf(request).get('continue') ?? '0');
    reply(request, { body: write(at < 2 ? String(at + 1) : '', JSON.stringify([item(at)])) });
  };
  const forms: [string, (token: string, items: string) => string][] = [
    [
      'as kube-apiserver writes them',
      (token, items) =>
        `{"kind":"List","metadata":{"resourceVersion":"5","continue":"${token}"},"items":${items}}`,
    ],
    [
      'without the key on the last page',
      (token, items) =>
        `{"kind":"List","metadata":{"resourceVersion":"5"${token === '' ? '' : `,"continue":"${token}"`}},"items":${items}}`,
    ],
    [
      'with blanks',
      (token, items) =>
        `{ "metadata" : { "continue" : "${token}" , "resourceVersion" : "5" } , "items" : ${items} }`,
    ],
    [
      'with the metadata at the end',
      (token, items) => `{"items":${items},"metadata":{"continue":"${token}","resourceVersion":"5"}}`,
    ],
    [
      'with an escaped token',
      (token, items) =>
        `{"metadata":{"resourceVersion":"5","continue":"${token === '' ? '' : `\\u003${token}`}"},"items":${items}}`,
    ],
    [
      'with a long head',
      (token, items) =>
        `{"metadata":{"x":"${'y'.repeat(5000)}","resourceVersion":"5","continue":"${token}"},"items":${items}}`,
    ],
  ];
  for (const [name, write] of forms) {
    test(name, async (t) => {
      const server = await startScriptedServer(t, (request) => page(request, write));
      const cluster = await openTestCluster(t, server);
      const { items, resourceVersion } = await cluster.list(CONFIG_MAPS, { namespace: 'default' });
      assert.deepEqual(namesOf(items), ['n0', 'n1', 'n2']);
      assert.equal(resourceVersion, '5');
    });
  }

  test('the next one is asked for before this one is parsed', async (t) => {
    const server = await startScriptedServer(t, (request) => {
      const more = queryOf(request).has('continue') ? '' : 'more';
      reply(request, {
        body: { metadata: { resourceVersion: '5', continue: more }, items: [item(more ? 0 : 1)] },
      });
    });
    const cluster = await openTestCluster(t, server);
    const order: string[] = [];
    const asked = (): void => void order.push('asked');
    diagnosticsChannel.subscribe('http.client.request.start', asked);
    t.after(() => void diagnosticsChannel.unsubscribe('http.client.request.start', asked));
    const parse: typeof CONFIG_MAPS.parse = (object) => {
      order.push(`parsed ${object.metadata.name}`);
      return object;
    };
    await cluster.list({ ...CONFIG_MAPS, parse }, { namespace: 'default' });
    assert.deepEqual(order, ['asked', 'asked', 'parsed n0', 'parsed n1']);
  });

  test('one that is refused fails the list', async (t) => {
    const server = await startScriptedServer(t, (request) =>
      reply(
        request,
        queryOf(request).has('continue')
          ? kubeStatus(403, 'no more')
          : { body: { metadata: { continue: 'x' }, items: [] } },
      ),
    );
    const cluster = await openTestCluster(t, server);
    assert.ok(isStatus(await rejectionOf(cluster.list(CONFIG_MAPS, { namespace: 'default' })), 403));
  });

  test('a 410 amid them: all anew, in one piece', async (t) => {
    const server = await startScriptedServer(t, (request) => {
      const query = queryOf(request);
      if (query.has('continue')) reply(request, kubeStatus(410, 'too old', 'Expired'));
      else if (query.has('limit'))
        reply(request, { body: { metadata: { resourceVersion: '5', continue: 'x' }, items: [item(0)] } });
      else reply(request, { body: { metadata: { resourceVersion: '9' }, items: [item(0), item(1)] } });
    });
    const cluster = await openTestCluster(t, server);
    const { items, resourceVersion } = await cluster.list(CONFIG_MAPS, {
      namespace: 'default',
      labelSelector: 'a=b',
    });
    assert.deepEqual([namesOf(items), resourceVersion], [['n0', 'n1'], '9']);
    assert.deepEqual(
      server.requests.map((request) => queryOf(request).get('labelSelector')),
      ['a=b', 'a=b', 'a=b'],
    );
  });

  test('a server that answers nothing but 410 is not asked for ever', async (t) => {
    const server = await startScriptedServer(t, (request) => reply(request, kubeStatus(410)));
    const cluster = await openTestCluster(t, server);
    assert.ok(isStatus(await rejectionOf(cluster.list(CONFIG_MAPS, { namespace: 'default' })), 410));
    assert.equal(server.requests.length, 2);
  });
});

test('selectors reach the server as they are', async (t) => {
  const server = await startScriptedServer(t, (request) => reply(request, { body: { items: [] } }));
  const cluster = await openTestCluster(t, server);
  const labelSelector = 'a in (b,c),!d,e!=f';
  await cluster.list(CONFIG_MAPS, {
    namespace: undefined,
    labelSelector,
    fieldSelector: 'metadata.name=ä&x',
  });
  const [request] = server.requests;
  assert.ok(request);
  assert.equal(request.path.split('?')[0], '/api/v1/configmaps');
  assert.equal(queryOf(request).get('labelSelector'), labelSelector);
  assert.equal(queryOf(request).get('fieldSelector'), 'metadata.name=ä&x');
});

describe('items that are no objects are rows all the same', () => {
  const cases: [string, unknown, string[]][] = [
    ['null', [null], ['']],
    ['numbers and lists', [7, []], ['', '']],
    ['items null', null, []],
    ['items a map', {}, []],
  ];
  for (const [name, items, names] of cases) {
    test(name, async (t) => {
      const server = await startScriptedServer(t, (request) =>
        reply(request, { body: { metadata: {}, items } }),
      );
      const cluster = await openTestCluster(t, server);
      assert.deepEqual(namesOf((await cluster.list(CONFIG_MAPS, { namespace: 'x' })).items), names);
    });
  }
});

describe('an answer of 200 that is none of an API server', () => {
  for (const body of ['<html>log in</html>', '', '[]', '"ok"', '{"metadata":']) {
    test(JSON.stringify(body), async (t) => {
      const server = await startScriptedServer(t, (request) => reply(request, { body }));
      const cluster = await openTestCluster(t, server);
      const ref = { namespace: 'default', name: 'a' };
      for (const call of [
        () => cluster.list(CONFIG_MAPS, { namespace: 'default' }),
        () => cluster.get(CONFIG_MAPS, ref),
        () => cluster.self(),
        () => cluster.canI({ group: '', resource: 'pods', verb: 'get' }),
      ]) {
        const error = await rejectionOf(call());
        assert.ok(error instanceof VmopError);
        assert.equal(error.code, 'unreachable');
        assert.match(error.message, /does not answer as an API server does/);
      }
    });
  }
});

test('what is no name of Kubernetes’ is none in a path', async (t) => {
  const cluster = await openTestCluster(t, await startTestApi(t));
  for (const name of ['..', '.', '', 'a/b', 'a%2fb', '../../../version']) {
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, { namespace: 'default', name }));
    assert.ok(error instanceof VmopError, name);
    assert.equal(error.code, 'usage', name);
    const elsewhere = await rejectionOf(cluster.get(CONFIG_MAPS, { namespace: name, name: 'a' }));
    assert.ok(elsewhere instanceof VmopError, name);
    assert.equal(elsewhere.code, 'usage', name);
  }
});

test('a name that would climb out of its path is never sent', async (t) => {
  const server = await startScriptedServer(t, (request) => reply(request));
  const cluster = await openTestCluster(t, server);
  for (const name of ['..', '.', '', '../x']) {
    await rejectionOf(cluster.delete(CONFIG_MAPS, { namespace: 'default', name }));
    await rejectionOf(cluster.delete(CONFIG_MAPS, { namespace: name, name: 'a' }));
    await rejectionOf(cluster.list(CONFIG_MAPS, { namespace: name }));
  }
  assert.deepEqual(
    server.requests.map(({ path }) => path),
    [],
  );
});
