import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import { startApi, type RunningApi } from '../../../../src/lib/sandbox/api/index.ts';
import { startFaultProxy, type FaultProxy } from '../../../helpers/fault-proxy.ts';
import { TestClient, versionOf } from './client.ts';
import { refused, succeeded } from './fixture.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

describe('fault proxy', () => {
  let api: RunningApi;
  let proxy: FaultProxy;
  let client: TestClient;

  before(async () => {
    api = await startApi({ tokens: { token: { username: 'admin', groups: ['system:masters'] } } });
  });
  after(() => api.close());
  beforeEach(async () => {
    proxy = await startFaultProxy(api);
    client = new TestClient({ url: proxy.url, caPem: proxy.caPem, token: 'token' });
  });
  afterEach(async () => {
    client.close();
    await proxy.close();
  });

  test('passes requests on and keeps a list of them', async () => {
    succeeded(await client.post(CONFIG_MAPS, { metadata: { name: 'passed' } }), 201);
    succeeded(await client.get(`${CONFIG_MAPS}?limit=1`));
    assert.deepEqual(proxy.requests, [
      { method: 'POST', path: CONFIG_MAPS },
      { method: 'GET', path: `${CONFIG_MAPS}?limit=1` },
    ]);
    proxy.assertUsed();
  });

  test('answers instead of the API, as often as told', async () => {
    proxy.fail({ method: 'GET', path: /configmaps/, status: 503, times: 2, retryAfterSeconds: 7 });
    proxy.fail({ method: 'POST', status: 409 });
    const reply = await client.get(CONFIG_MAPS);
    refused(reply, 503, 'ServiceUnavailable');
    assert.equal(reply.headers['retry-after'], '7');
    refused(await client.post(CONFIG_MAPS, { metadata: { name: 'refused' } }), 409, 'Conflict');
    assert.throws(() => proxy.assertUsed(), /1 left/);
    refused(await client.get(CONFIG_MAPS), 503, 'ServiceUnavailable');
    succeeded(await client.get(CONFIG_MAPS));
    proxy.assertUsed();
  });

  test('tears connections off before and after the API has answered', async () => {
    proxy.fail({ reset: true });
    await assert.rejects(client.post(CONFIG_MAPS, { metadata: { name: 'before' } }));
    proxy.fail({ resetAfter: true });
    await assert.rejects(client.post(CONFIG_MAPS, { metadata: { name: 'after' } }));
    refused(await client.get(`${CONFIG_MAPS}/before`), 404, 'NotFound');
    succeeded(await client.get(`${CONFIG_MAPS}/after`));
  });

  test('tears a watch off after some events', async () => {
    const from = versionOf(succeeded(await client.get(CONFIG_MAPS)));
    proxy.fail({ path: /watch=1/, dropWatchAfterEvents: 2 });
    const watch = await client.watch(`${CONFIG_MAPS}?resourceVersion=${from}`);
    const seen: string[] = [];
    const read = async (): Promise<void> => {
      for (;;) seen.push((await watch.next()).name);
    };
    const torn = assert.rejects(read());
    for (const name of ['one', 'two', 'three']) {
      succeeded(await client.post(CONFIG_MAPS, { metadata: { name } }), 201);
    }
    await torn;
    assert.deepEqual(seen, ['one', 'two']);
    proxy.assertUsed();
  });

  test('leaves requests unanswered, until everything is torn off', async () => {
    proxy.fail({ hang: true });
    const unanswered = assert.rejects(client.get(CONFIG_MAPS));
    const watch = await client.watch(CONFIG_MAPS);
    proxy.disconnect();
    await unanswered;
    await assert.rejects(watch.rest());
    succeeded(await client.get(CONFIG_MAPS));
  });
});
