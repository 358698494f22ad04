import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ApiError, modify } from '../../../src/lib/cluster/index.ts';
import { conflictPauseMs } from '../../../src/lib/cluster/modify.ts';
import { parseStatus } from '../../../src/lib/cluster/api-error.ts';
import { VmopError, type ErrorCode } from '../../../src/lib/errors.ts';
import type { KubeObject, Patch } from '../../../src/lib/cluster/types.ts';
import { CONFIG_MAPS, openTestCluster, rejectionOf, startFaultyApi, startTestApi } from './fixture.ts';
import { inTurn, kubeStatus, reply, startScriptedServer } from './scripted-server.ts';

const ref = { namespace: 'default', name: 'a' };

describe('an API server’s status is an exit code', () => {
  const cases: [status: number, code: ErrorCode, exitCode: number, hint: RegExp | undefined][] = [
    [400, 'failed', 1, undefined],
    [401, 'unreachable', 7, /log in again/],
    [403, 'forbidden', 4, /ask an administrator/],
    [404, 'notFound', 3, undefined],
    [409, 'conflict', 5, /try again/],
    [410, 'failed', 1, undefined],
    [418, 'failed', 1, undefined],
    [422, 'failed', 1, undefined],
  ];
  for (const [status, code, exitCode, hint] of cases) {
    test(String(status), async (t) => {
      const server = await startScriptedServer(
        t,
        inTurn(kubeStatus(status, 'the words of the server', 'Why')),
      );
      const cluster = await openTestCluster(t, server);
      const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
      assert.ok(error instanceof ApiError);
      assert.deepEqual([error.code, error.exitCode], [code, exitCode]);
      const where = `cluster "vmop-sandbox" (${server.url}) does not take the credentials of user "`;
      assert.ok(error.message.startsWith(status === 401 ? where : 'the words of the server'), error.message);
      assert.match(error.message, /the words of the server$/);
      assert.equal(error.status.reason, 'Why');
      if (hint) assert.match(error.hint ?? '', hint);
      else assert.equal(error.hint, undefined);
    });
  }
});

describe('a refusal’s body may be anything', () => {
  const cases: [name: string, body: string, message: string][] = [
    ['nothing', '', 'the API server answered with status 502'],
    ['HTML', '<html><body>Bad gateway</body></html>', 'the API server answered with status 502'],
    ['a line of text', '404 page not found\n', 'the API server answered with status 502: 404 page not found'],
    ['more text', `line one\n${'x'.repeat(5000)}`, 'the API server answered with status 502: line one'],
    ['a long line', 'x'.repeat(5000), 'the API server answered with status 502'],
    ['a number', '7', 'the API server answered with status 502: 7'],
    ['JSON of something else', '{"error":"invalid_grant"}', 'the API server answered with status 502'],
    [
      'a message that is no text',
      '{"message":7,"reason":[],"code":"x"}',
      'the API server answered with status 502',
    ],
    ['an empty message', '{"message":"","code":502}', 'the API server answered with status 502'],
  ];
  for (const [name, body, message] of cases) {
    test(name, () => assert.deepEqual(parseStatus(502, undefined, body), { code: 502, reason: '', message }));
  }

  test('bytes that are no UTF-8', async (t) => {
    const server = await startScriptedServer(t, ({ response }) => {
      response.writeHead(403).end(Buffer.from([0xff, 0xfe, 0x00]));
    });
    const error = await rejectionOf((await openTestCluster(t, server)).get(CONFIG_MAPS, ref));
    assert.ok(error instanceof ApiError && error.code === 'forbidden');
  });

  test('a redirection is not followed', async (t) => {
    const server = await startScriptedServer(t, (request) =>
      reply(request, { status: 302, headers: { location: 'https://login.example/' }, body: '' }),
    );
    const error = await rejectionOf((await openTestCluster(t, server)).get(CONFIG_MAPS, ref));
    assert.ok(error instanceof ApiError);
    assert.match(error.message, /status 302/);
    assert.equal(server.requests.length, 1);
  });
});

describe('modify', () => {
  const patchOf = (object: KubeObject, value: string): Patch => ({
    type: 'merge',
    body: { metadata: { resourceVersion: object.metadata.resourceVersion }, data: { value } },
  });

  test('after a conflict it reads and decides anew', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    const first = await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
    await direct.patch(CONFIG_MAPS, ref, { type: 'merge', body: { data: { other: '1' } } });
    const seen: (string | undefined)[] = [];
    const { object, written } = await modify(
      cluster,
      CONFIG_MAPS,
      ref,
      (current) => {
        seen.push(current.metadata.resourceVersion);
        return patchOf(current, 'mine');
      },
      { first },
    );
    assert.equal(written, true);
    assert.deepEqual(object['data'], { other: '1', value: 'mine' });
    assert.equal(new Set(seen).size, 2);
    assert.deepEqual(
      proxy.requests.map(({ method }) => method),
      ['PATCH', 'GET', 'PATCH'],
    );
  });

  test('ten times at most, after pauses that grow', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
    proxy.fail({ method: 'PATCH', status: 409, times: 10 });
    const pauses: number[] = [];
    const error = await rejectionOf(
      modify(cluster, CONFIG_MAPS, ref, (current) => patchOf(current, 'x'), {
        pause: (ms) => Promise.resolve(void pauses.push(ms)),
      }),
    );
    assert.ok(error instanceof VmopError && error.code === 'conflict');
    proxy.assertUsed();
    assert.equal(pauses.length, 9);
    const all = (random: number): number[] => pauses.map((_, index) => conflictPauseMs(index + 2, random));
    for (const [index, ms] of pauses.entries())
      assert.ok(ms >= (all(0)[index] ?? 0) && ms <= (all(1)[index] ?? 0), `${index}: ${ms}`);
    assert.deepEqual(all(1), [50, 100, 200, 400, 800, 800, 800, 800, 800]);
    assert.deepEqual(all(0), [25, 50, 100, 200, 400, 400, 400, 400, 400]);
  });

  test('nine conflicts are none', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
    proxy.fail({ method: 'PATCH', status: 409, times: 9 });
    const pause = (): Promise<void> => Promise.resolve();
    const { written } = await modify(cluster, CONFIG_MAPS, ref, (current) => patchOf(current, 'x'), {
      pause,
    });
    assert.equal(written, true);
  });

  test('of many at once none is lost', async (t) => {
    const cluster = await openTestCluster(t, await startTestApi(t));
    await cluster.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
    const keys = Array.from({ length: 8 }, (_, index) => `k${index}`);
    const added = keys.map((key) =>
      modify(cluster, CONFIG_MAPS, ref, ({ metadata }) => ({
        type: 'merge',
        body: { metadata: { resourceVersion: metadata.resourceVersion }, data: { [key]: 'x' } },
      })),
    );
    await Promise.all(added);
    assert.deepEqual(Object.keys(Object((await cluster.get(CONFIG_MAPS, ref))['data'])).toSorted(), keys);
  });

  test('a test of a JSON patch that fails is a conflict; another 422 is not', async (t) => {
    const cluster = await openTestCluster(t, await startTestApi(t));
    await cluster.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' }, data: { n: '1' } });
    let rounds = 0;
    const decide = (): Patch => {
      rounds += 1;
      const value = rounds === 1 ? 'stale' : '1';
      return {
        type: 'json',
        operations: [
          { op: 'test', path: '/data/n', value },
          { op: 'replace', path: '/data/n', value: '2' },
        ],
      };
    };
    const { object } = await modify(cluster, CONFIG_MAPS, ref, decide);
    assert.deepEqual([rounds, object['data']], [2, { n: '2' }]);
  });

  test('nothing to write: nothing is written', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    const first = await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
    assert.deepEqual(await modify(cluster, CONFIG_MAPS, ref, () => undefined, { first }), {
      object: first,
      written: false,
    });
    assert.equal(proxy.requests.length, 0);
  });

  test('what was done by somebody else meanwhile is not done again', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    const first = await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
    await direct.patch(CONFIG_MAPS, ref, { type: 'merge', body: { data: { value: 'mine' } } });
    const { written } = await modify(
      cluster,
      CONFIG_MAPS,
      ref,
      (current) => (current['data'] === undefined ? patchOf(current, 'mine') : undefined),
      { first },
    );
    assert.equal(written, false);
    assert.equal(proxy.requests.length, 2);
  });

  test('other errors are told at once', async (t) => {
    const { proxy, direct, cluster } = await startFaultyApi(t);
    await direct.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
    await direct.delete(CONFIG_MAPS, ref);
    const error = await rejectionOf(modify(cluster, CONFIG_MAPS, ref, () => undefined));
    assert.ok(error instanceof VmopError && error.code === 'notFound');
    assert.equal(proxy.requests.length, 1);
  });

  test('a dry run stores nothing', async (t) => {
    const cluster = await openTestCluster(t, await startTestApi(t));
    await cluster.create(CONFIG_MAPS, 'default', { metadata: { name: 'a' } });
    const { object, written } = await modify(cluster, CONFIG_MAPS, ref, (current) => patchOf(current, 'x'), {
      dryRun: true,
    });
    assert.deepEqual([written, object['data']], [true, { value: 'x' }]);
    assert.equal((await cluster.get(CONFIG_MAPS, ref))['data'], undefined);
  });
});

describe('the API server’s clock', () => {
  for (const minutes of [-5, 0, 5]) {
    test(`${minutes} minutes ahead of ours`, async (t) => {
      const skew = minutes * 60_000;
      const server = await startScriptedServer(t, (request) =>
        reply(request, { headers: { date: new Date(Date.now() + skew).toUTCString() } }),
      );
      const cluster = await openTestCluster(t, server);
      const before = Date.now() + skew;
      const now = (await cluster.now()).getTime();
      // The header's granularity, and what the exchange may take.
      assert.ok(Math.abs(now - before) < 5000, `${now - before} ms off`);
      assert.deepEqual(
        server.requests.map(({ path }) => path),
        ['/version'],
      );
      await cluster.now();
      assert.equal(server.requests.length, 1);
    });
  }

  test('is told by any answer, also by a refusal', async (t) => {
    const date = new Date(Date.now() + 300_000).toUTCString();
    const server = await startScriptedServer(t, (request) =>
      reply(request, { ...kubeStatus(403), headers: { date } }),
    );
    const cluster = await openTestCluster(t, server);
    assert.ok((await cluster.now()).getTime() - Date.now() > 200_000);
  });

  test('without a Date it is ours', async (t) => {
    const server = await startScriptedServer(t, (request) => {
      request.response.sendDate = false;
      reply(request, { headers: request.path === '/version' ? {} : { date: 'noon' } });
    });
    const cluster = await openTestCluster(t, server);
    assert.ok(Math.abs((await cluster.now()).getTime() - Date.now()) < 5000);
  });
});
