import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { isStatus, type Cluster } from '../../../src/lib/cluster/index.ts';
import type { Change, KubeObject, WatchOptions } from '../../../src/lib/cluster/types.ts';
import { startApi } from '../../../src/lib/sandbox/api/index.ts';
import {
  CONFIG_MAPS,
  openTestCluster,
  rejectionOf,
  startFaultyApi,
  startTestApi,
  temporaryFolder,
  TOKEN,
} from './fixture.ts';
import {
  kubeStatus,
  reply,
  startScriptedServer,
  type ScriptedRequest,
  type ScriptedServer,
} from './scripted-server.ts';

const NAMESPACE = 'default';

/** A watch that is read step by step, with what was said of its interruptions. */
class Watching {
  readonly interruptions: string[] = [];
  readonly #abort = new AbortController();
  readonly #changes: AsyncIterator<Change<KubeObject>>;

  constructor(t: TestContext, cluster: Cluster, options: Partial<WatchOptions> = {}) {
    const changes = cluster.watch(CONFIG_MAPS, {
      namespace: NAMESPACE,
      signal: this.#abort.signal,
      onInterruption: (reason) => this.interruptions.push(reason),
      ...options,
    });
    this.#changes = changes[Symbol.asyncIterator]();
    t.after(() => this.#abort.abort());
  }

  /** `synced a,b`, `added c`, `end`. */
  async next(): Promise<string> {
    const { done, value } = await this.#changes.next();
    if (done === true) return 'end';
    return value.type === 'synced'
      ? `synced ${value.items.map(({ metadata }) => metadata.name).join()}`
      : `${value.type} ${value.item.metadata.name}`;
  }

  async take(count: number): Promise<string[]> {
    const taken: string[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }

  abort(): void {
    this.#abort.abort('enough');
  }

  async return(): Promise<void> {
    await this.#changes.return?.();
  }
}

const make = (cluster: Cluster, ...names: string[]): Promise<unknown> =>
  Promise.all(names.map((name) => cluster.create(CONFIG_MAPS, NAMESPACE, { metadata: { name } })));
const change = (cluster: Cluster, name: string, value: string): Promise<unknown> =>
  cluster.patch(CONFIG_MAPS, { namespace: NAMESPACE, name }, { type: 'merge', body: { data: { value } } });
const remove = (cluster: Cluster, name: string): Promise<unknown> =>
  cluster.delete(CONFIG_MAPS, { namespace: NAMESPACE, name });

describe('against the API', () => {
  test('what is there, then what happens', async (t) => {
    const cluster = await openTestCluster(t, await startTestApi(t));
    await make(cluster, 'a');
    const watching = new Watching(t, cluster);
    assert.equal(await watching.next(), 'synced a');
    await make(cluster, 'b');
    await change(cluster, 'a', '1');
    await remove(cluster, 'b');
    assert.deepEqual(await watching.take(3), ['added b', 'modified a', 'deleted b']);
    watching.abort();
    assert.equal(await watching.next(), 'end');
    assert.deepEqual(watching.interruptions, []);
  });

  test('an object that leaves the selection is deleted for it', async (t) => {
    const cluster = await openTestCluster(t, await startTestApi(t));
    await cluster.create(CONFIG_MAPS, NAMESPACE, { metadata: { name: 'a', labels: { team: 'blue' } } });
    const watching = new Watching(t, cluster, { labelSelector: 'team=blue' });
    assert.equal(await watching.next(), 'synced a');
    const labels = { team: 'red' };
    await cluster.patch(
      CONFIG_MAPS,
      { namespace: NAMESPACE, name: 'a' },
      { type: 'merge', body: { metadata: { labels } } },
    );
    assert.equal(await watching.next(), 'deleted a');
  });

  test('streams that are torn off after some events: nothing is lost, nothing comes twice', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    const rounds = 6;
    for (let round = 0; round < rounds; round++) {
      proxy.fail({ path: /watch=true/, dropWatchAfterEvents: 1 + (round % 3) });
    }
    const watching = new Watching(t, cluster);
    assert.equal(await watching.next(), 'synced ');
    const names = Array.from({ length: 20 }, (_, index) => `c${index}`);
    for (const name of names) await make(direct, name);
    assert.deepEqual(
      await watching.take(20),
      names.map((name) => `added ${name}`),
    );
    proxy.assertUsed();
    assert.equal(watching.interruptions.length, rounds);
    assert.equal(proxy.requests.filter(({ path }) => !path.includes('watch=true')).length, 1);
  });

  test('torn off before the first event, again and again', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    proxy.fail({ path: /watch=true/, dropWatchAfterEvents: 0, times: 2 });
    const watching = new Watching(t, cluster);
    assert.equal(await watching.next(), 'synced ');
    const next = watching.next();
    await make(direct, 'a');
    assert.equal(await next, 'added a');
  });

  for (const status of [429, 503] as const) {
    test(`a resume that is answered with ${status}`, async (t) => {
      const { proxy, direct, cluster } = await startFaultyApi(t);
      proxy.fail({ path: /watch=true/, dropWatchAfterEvents: 1 });
      proxy.fail({ path: /watch=true/, status, retryAfterSeconds: 0, times: 7 });
      const watching = new Watching(t, cluster);
      assert.equal(await watching.next(), 'synced ');
      await make(direct, 'a');
      await make(direct, 'b');
      assert.deepEqual(await watching.take(2), ['added a', 'added b']);
    });
  }

  test('a 410 amid the watch: everything anew, also what was deleted meanwhile', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    await make(direct, 'a', 'b');
    proxy.fail({ path: /watch=true/, dropWatchAfterEvents: 1 });
    proxy.fail({ path: /watch=true/, status: 410 });
    const watching = new Watching(t, cluster);
    assert.equal(await watching.next(), 'synced a,b');
    const next = watching.next();
    await change(direct, 'a', '1');
    assert.equal(await next, 'modified a');
    await remove(direct, 'b');
    await make(direct, 'c');
    assert.equal(await watching.next(), 'synced a,c');
    assert.match(watching.interruptions.join('\n'), /listing again/);
  });

  test('a history that the server has forgotten: everything anew', async (t) => {
    const cluster = await openTestCluster(t, await startTestApi(t, { watchHistory: 5 }));
    await make(cluster, 'a', 'b');
    const watching = new Watching(t, cluster);
    assert.equal(await watching.next(), 'synced a,b');
    await remove(cluster, 'b');
    for (let index = 0; index < 20; index++) await change(cluster, 'a', String(index));
    assert.equal(await watching.next(), 'synced a');
    assert.match(watching.interruptions.join('\n'), /listing again/);
  });

  test('after a 410 the listing fails at first: it goes on', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    proxy.fail({ path: /watch=true/, status: 410 });
    const watching = new Watching(t, cluster);
    assert.equal(await watching.next(), 'synced ');
    // More resets than the attempts of one call.
    proxy.fail({ path: /limit=/, status: 503, retryAfterSeconds: 0, times: 6 });
    const next = watching.next();
    await make(direct, 'a');
    assert.equal(await next, 'synced a');
    proxy.assertUsed();
  });

  test('a restart of the server on the same port', async (t) => {
    const directory = await temporaryFolder(t);
    const tokens = { [TOKEN]: { username: 'admin', groups: ['system:masters'] } };
    const first = await startApi({ tokens, directory });
    const cluster = await openTestCluster(t, first);
    await make(cluster, 'a');
    const watching = new Watching(t, cluster);
    assert.equal(await watching.next(), 'synced a');
    await make(cluster, 'b');
    assert.equal(await watching.next(), 'added b');
    const next = watching.next();
    await first.close();
    const second = await startApi({ tokens, directory, port: first.port });
    t.after(() => second.close());
    await make(cluster, 'c');
    assert.equal(await next, 'added c');
    assert.ok(watching.interruptions.length > 0);
  });

  test('a token that is unknown is told at once', async (t) => {
    const cluster = await openTestCluster(t, await startTestApi(t), { token: 'unknown' });
    assert.ok(isStatus(await rejectionOf(new Watching(t, cluster).next()), 401));
  });

  test('whoever stops reading ends the stream', async (t) => {
    const server = await startScriptedServer(t, script([[]]));
    const watching = new Watching(t, await openTestCluster(t, server));
    assert.equal(await watching.next(), 'synced ');
    const pending = watching.next();
    while (server.requests.length < 2) await new Promise(setImmediate);
    const closed = new Promise((resolve) => server.requests[1]?.response.once('close', resolve));
    watching.abort();
    assert.equal(await pending, 'end');
    await closed;
    await watching.return();
  });
});

const object = (name: string, version: number) => ({
  kind: 'ConfigMap',
  metadata: { name, namespace: NAMESPACE, resourceVersion: String(version) },
});
const event = (type: string, name: string, version: number): string =>
  `${JSON.stringify({ type, object: object(name, version) })}\n`;

/** How a stream goes on: text is sent, `end` ends it, `drop` tears it off; without either it stays open. */
type Stream = string[];

/** An empty list of version 1, then the streams in turn; after the last one they stay open. */
function script(streams: (Stream | { status: number })[]): (request: ScriptedRequest) => void {
  let index = 0;
  return (request) => {
    if (!request.path.includes('watch=true')) {
      reply(request, { body: { metadata: { resourceVersion: '1' }, items: [] } });
      return;
    }
    const stream = streams[index++] ?? [];
    const { response } = request;
    if ('status' in stream) {
      reply(request, kubeStatus(stream.status));
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    for (const part of stream) {
      if (part === 'end') response.end();
      // What was written leaves before the connection goes.
      else if (part === 'drop') response.write('', () => response.destroy());
      else response.write(part);
    }
  };
}

const versionsOf = (server: ScriptedServer): (string | null)[] =>
  server.requests
    .map(({ path }) => new URL(path, 'http://x').searchParams)
    .filter((query) => query.has('watch'))
    .map((query) => query.get('resourceVersion'));

describe('against a scripted stream', () => {
  type Case = [
    name: string,
    streams: (Stream | { status: number })[],
    expected: string[],
    versions: string[],
  ];
  const a = event('ADDED', 'a', 2);
  const b = event('ADDED', 'b', 3);
  const c = event('ADDED', 'c', 4);
  const bookmark = `${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '90' } } })}\n`;
  const gone = `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })}\n`;
  const internal = `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 500, message: 'etcd' } })}\n`;
  const cases: Case[] = [
    ['closed silently after an event', [[a, 'end'], [b]], ['added a', 'added b'], ['1', '2']],
    ['closed silently at once', [['end'], [a]], ['added a'], ['1', '1']],
    ['dropped', [[a, 'drop'], [b]], ['added a', 'added b'], ['1', '2']],
    ['a torn line at the end', [[a, b.slice(0, 20), 'end'], [b]], ['added a', 'added b'], ['1', '2']],
    [
      'a whole line that lacks only its end',
      [[a, b.trimEnd(), 'end'], [b]],
      ['added a', 'added b'],
      ['1', '2'],
    ],
    ['a torn line, dropped', [[a, b.slice(0, 20), 'drop'], [b]], ['added a', 'added b'], ['1', '2']],
    [
      'a torn line amid the stream',
      [
        [a, `${b.slice(0, 20)}\n`, c],
        [b, c],
      ],
      ['added a', 'added b', 'added c'],
      ['1', '2'],
    ],
    ['an unknown type', [[a, `{"type":"SURPRISE","object":{}}\n`], [b]], ['added a', 'added b'], ['1', '2']],
    [
      'a type that every object has',
      [[a, `{"type":"constructor","object":{}}\n`], [b]],
      ['added a', 'added b'],
      ['1', '2'],
    ],
    ['empty lines', [[a, '\n\n', b]], ['added a', 'added b'], ['1']],
    [
      'two events in one piece, one event in three',
      [[a + b, c.slice(0, 9), c.slice(9, 30), c.slice(30)]],
      ['added a', 'added b', 'added c'],
      ['1'],
    ],
    ['a bookmark is where it resumes', [[a, bookmark, 'end'], [b]], ['added a', 'added b'], ['1', '90']],
    ['410 as an event', [[a, gone], [b]], ['added a', 'synced ', 'added b'], ['1', '1']],
    [
      '410 as an answer',
      [[a, 'end'], { status: 410 }, [b]],
      ['added a', 'synced ', 'added b'],
      ['1', '2', '1'],
    ],
    ['another error as an event', [[a, internal], [b]], ['added a', 'added b'], ['1', '2']],
    ['a 500 as an answer', [[a, 'end'], { status: 500 }, [b]], ['added a', 'added b'], ['1', '2', '2']],
    [
      'an object without a version',
      [[a, `{"type":"MODIFIED","object":{"metadata":{"name":"a"}}}\n`, 'end'], [b]],
      ['added a', 'modified a', 'added b'],
      ['1', '2'],
    ],
  ];
  for (const [name, streams, expected, versions] of cases) {
    test(name, async (t) => {
      const server = await startScriptedServer(t, script(streams));
      const watching = new Watching(t, await openTestCluster(t, server));
      assert.equal(await watching.next(), 'synced ');
      assert.deepEqual(await watching.take(expected.length), expected);
      assert.deepEqual(versionsOf(server), versions);
    });
  }

  test('a character that falls into two pieces', async (t) => {
    const text = Buffer.from(event('ADDED', 'ä😀', 2));
    const at = text.indexOf(0xf0) + 2;
    const server = await startScriptedServer(t, (request) => {
      if (!request.path.includes('watch=true')) return script([])(request);
      request.response.writeHead(200).flushHeaders();
      request.response.write(text.subarray(0, at), () => {
        setImmediate(() => request.response.write(text.subarray(at)));
      });
    });
    const watching = new Watching(t, await openTestCluster(t, server));
    assert.deepEqual(await watching.take(2), ['synced ', 'added ä😀']);
  });

  for (const status of [400, 401, 403, 404, 405]) {
    test(`${status} to a resume is final`, async (t) => {
      const server = await startScriptedServer(t, script([[a, 'end'], { status }, { status }]));
      const watching = new Watching(t, await openTestCluster(t, server));
      assert.deepEqual(await watching.take(2), ['synced ', 'added a']);
      assert.ok(isStatus(await rejectionOf(watching.next()), status));
    });
  }

  test('the first listing that fails is told', async (t) => {
    const server = await startScriptedServer(t, (request) => reply(request, kubeStatus(403, 'no')));
    const watching = new Watching(t, await openTestCluster(t, server));
    assert.ok(isStatus(await rejectionOf(watching.next()), 403));
    assert.equal(server.requests.length, 1);
  });

  test('an abort while it waits to resume ends it', async (t) => {
    const server = await startScriptedServer(t, script(Array.from({ length: 50 }, () => ['end'])));
    const watching = new Watching(t, await openTestCluster(t, server));
    assert.equal(await watching.next(), 'synced ');
    const pending = watching.next();
    while (server.requests.length < 4) await new Promise(setImmediate);
    watching.abort();
    assert.equal(await pending, 'end');
  });

  test('an abort between two events that are there already ends it', async (t) => {
    const server = await startScriptedServer(t, script([[a + b + c]]));
    const watching = new Watching(t, await openTestCluster(t, server));
    assert.deepEqual(await watching.take(2), ['synced ', 'added a']);
    watching.abort();
    assert.equal(await watching.next(), 'end');
  });

  test('watches take no connections from the other requests, however many there are', async (t) => {
    const streams = script(Array.from({ length: 100 }, () => [a]));
    const server = await startScriptedServer(t, streams, { tls: true });
    const cluster = await openTestCluster(t, server, { timeoutMs: 5000 });
    const watches = Array.from({ length: 80 }, () => new Watching(t, cluster));
    const seen = await Promise.all(watches.map((watching) => watching.take(2)));
    assert.equal(seen.length, 80);
    await cluster.list(CONFIG_MAPS, { namespace: NAMESPACE });
    const first = server.connections;
    for (const watching of watches) {
      const end = watching.next();
      watching.abort();
      assert.equal(await end, 'end');
    }
    await Promise.all(Array.from({ length: 100 }, () => cluster.list(CONFIG_MAPS, { namespace: NAMESPACE })));
    assert.ok(server.connections - first <= 64, `${server.connections - first} at once`);
  });
});
