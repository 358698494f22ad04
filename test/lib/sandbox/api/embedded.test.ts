import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startApi, type RunningApi } from '../../../../src/lib/sandbox/api/index.ts';
import { pick, TestClient, versionOf, type Reply } from './client.ts';
import { GROUP, refused, succeeded, vm } from './fixture.ts';

const VMS = `/apis/${GROUP}/v1/namespaces/default/vms`;
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

/** What only the embedded API has or can be set to. */
describe('embedded API with options', () => {
  let api: RunningApi;
  let admin: TestClient;
  let alice: TestClient;
  let clock = new Date('2026-03-04T05:06:07.890Z');

  before(async () => {
    api = await startApi({
      tokens: {
        admin: { username: 'admin', groups: ['system:masters'] },
        alice: { username: 'alice', groups: ['staff'] },
      },
      rules: [
        {
          subjects: { users: ['alice'] },
          verbs: ['get', 'list', 'watch', 'patch'],
          apiGroups: [GROUP],
          resources: ['vms'],
          resourceNames: ['hers'],
          namespaces: ['default'],
        },
        {
          subjects: { users: ['alice'] },
          verbs: ['impersonate'],
          apiGroups: [''],
          resources: ['users'],
          resourceNames: ['bob'],
        },
        {
          subjects: { users: ['bob'] },
          verbs: ['list'],
          apiGroups: [GROUP],
          resources: ['*'],
        },
      ],
      now: () => clock,
      watchHistory: 5,
      bookmarkIntervalMs: 20,
      maxBodyBytes: 2 * 1024 * 1024,
      podLog: async (namespace, name, options) => `${namespace}/${name} ${JSON.stringify(options)}\n`,
    });
    admin = new TestClient({ ...api, token: 'admin' });
    alice = new TestClient({ ...api, token: 'alice' });
    succeeded(await admin.post(VMS, vm('hers')), 201);
    succeeded(await admin.post(VMS, vm('theirs')), 201);
  });
  after(async () => {
    admin.close();
    alice.close();
    await api.close();
  });

  const churn = async (count: number, data: Record<string, string> = {}): Promise<Reply[]> => {
    const replies: Reply[] = [];
    for (let step = 0; step < count; step++) {
      replies.push(
        await admin.merge(`${CONFIG_MAPS}/churn`, { data: { ...data, step: `${clock.getTime()} ${step}` } }),
      );
    }
    for (const reply of replies) succeeded(reply);
    return replies;
  };

  test('does as its rules say', async () => {
    succeeded(await alice.get(`${VMS}/hers`));
    refused(await alice.get(`${VMS}/theirs`), 403, 'Forbidden');
    refused(await alice.get(VMS), 403, 'Forbidden');
    const list = succeeded(await alice.get(`${VMS}?fieldSelector=metadata.name%3Dhers`));
    assert.equal(pick(list, 'items.0.metadata.name'), 'hers');
    refused(
      await alice.get(`${VMS}?fieldSelector=metadata.name%3Dhers,metadata.name%3Dtheirs`),
      403,
      'Forbidden',
    );
    refused(await alice.merge(`${VMS}/hers/status`, {}), 403, 'Forbidden');
    const as = (user: string): { headers: Record<string, string> } => ({
      headers: { 'Impersonate-User': user },
    });
    succeeded(await alice.get(VMS, as('bob')));
    const status = refused(await alice.get(VMS, as('carol')), 403, 'Forbidden');
    assert.equal(
      status['message'],
      'users "carol" is forbidden: User "alice" cannot impersonate resource "users" in API group "" at the cluster scope',
    );
    const spec = { namespace: 'default' };
    const review = await alice.post('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', { spec });
    assert.deepEqual(pick(succeeded(review, 201), 'status.resourceRules.2'), {
      verbs: ['get', 'list', 'watch', 'patch'],
      apiGroups: [GROUP],
      resources: ['vms'],
      resourceNames: ['hers'],
    });
  });

  test('wants a token for all but its health and version', async () => {
    const stranger = new TestClient({ ...api, token: '' });
    const headers = { Authorization: undefined };
    try {
      const reply = await stranger.get(VMS, { headers });
      refused(reply, 401, 'Unauthorized');
      assert.equal(reply.headers['www-authenticate'], 'Bearer');
      succeeded(await stranger.get('/version', { headers }));
      assert.equal((await stranger.get('/readyz', { headers })).text, 'ok');
      refused(await stranger.get('/api', { headers }), 401, 'Unauthorized');
    } finally {
      stranger.close();
    }
  });

  test('prints what is worth knowing about a VM', async () => {
    const headers = { Accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
    const made = succeeded(await admin.post(VMS, vm('printed')), 201);
    assert.equal(pick(made, 'metadata.creationTimestamp'), '2026-03-04T05:06:07Z');
    const conditions = [
      {
        type: 'Running',
        status: 'True',
        reason: 'VmStarted',
        message: '',
        lastTransitionTime: '2026-03-04T05:06:07Z',
      },
    ];
    const assignment = { pool: 'desktops', user: 'bob' };
    const status = { conditions, assignment, consoleUser: 'alice', loggedInUser: 'bob', cpus: 2, ram: '1G' };
    succeeded(await admin.merge(`${VMS}/printed/status`, { status }));
    clock = new Date(clock.getTime() + 95_000);
    const table = succeeded(await admin.get(`${VMS}/printed`, { headers }));
    const cells = ['printed', 'Stopped', 'True', 'alice', 'bob', 'desktops', 'bob', '2', '1G', null, '95s'];
    assert.deepEqual(pick(table, 'rows.0.cells'), cells);
  });

  test('forgets changes after a while, and says so', async () => {
    succeeded(await admin.post(CONFIG_MAPS, { metadata: { name: 'churn' } }), 201);
    for (const name of ['churn-2', 'churn-3'])
      succeeded(await admin.post(CONFIG_MAPS, { metadata: { name } }), 201);
    const page = succeeded(await admin.get(`${CONFIG_MAPS}?limit=1`));
    const from = versionOf(page);
    await churn(5);
    const known = await admin.watch(`${CONFIG_MAPS}?resourceVersion=${from}`);
    for (let count = 0; count < 5; count++) assert.equal((await known.next()).type, 'MODIFIED');
    known.close();
    await churn(1);
    const [gone] = await (await admin.watch(`${CONFIG_MAPS}?resourceVersion=${from}`)).rest();
    assert.deepEqual([gone?.type, gone?.object['code'], gone?.object['reason']], ['ERROR', 410, 'Expired']);
    const token = encodeURIComponent(String(pick(page, 'metadata.continue')));
    refused(await admin.get(`${CONFIG_MAPS}?limit=1&continue=${token}`), 410, 'Expired');
    // A version from before the API's data were thrown away.
    const [ahead] = await (await admin.watch(`${CONFIG_MAPS}?resourceVersion=999999`)).rest();
    assert.deepEqual([ahead?.type, ahead?.object['code']], ['ERROR', 410]);
  });

  test('keeps idle watches up to date with bookmarks', async () => {
    const from = versionOf(succeeded(await admin.get(VMS)));
    const watch = await admin.watch(`${VMS}?allowWatchBookmarks=true&resourceVersion=${from}`);
    // Changes elsewhere, more than are remembered.
    const latest = (await churn(6)).at(-1);
    let bookmark = await watch.next();
    while (Number(versionOf(bookmark.object)) < Number(versionOf(latest?.json ?? {}))) {
      assert.equal(bookmark.type, 'BOOKMARK');
      bookmark = await watch.next();
    }
    watch.close();
    assert.deepEqual(Object.keys(bookmark.object).sort(), ['apiVersion', 'kind', 'metadata']);
  });

  test('gives up a watch whose client does not read', async () => {
    const from = versionOf(succeeded(await admin.get(CONFIG_MAPS)));
    const watch = await admin.watch(`${CONFIG_MAPS}?resourceVersion=${from}`);
    // More than the buffers on the way hold.
    await churn(40, { large: 'x'.repeat(1024 * 1024) });
    await assert.rejects(watch.rest());
  });

  test('answers for the logs of pods that there are', async () => {
    const pods = '/api/v1/namespaces/default/pods';
    succeeded(
      await admin.post(pods, { metadata: { name: 'p' }, spec: { containers: [{ name: 'c' }] } }),
      201,
    );
    const reply = await admin.get(`${pods}/p/log?container=c&tailLines=5&sinceSeconds=7&follow=true`);
    const options = { container: 'c', tailLines: 5, sinceSeconds: 7, follow: true, timestamps: false };
    assert.deepEqual([reply.status, reply.text], [200, `default/p ${JSON.stringify(options)}\n`]);
    refused(await admin.get(`${pods}/p/log?tailLines=x`), 400, 'BadRequest');
  });

  test('refuses bodies beyond the limit, whether their length is told or not', async () => {
    const large = JSON.stringify({ metadata: { name: 'large' }, data: { a: 'x'.repeat(3 * 1024 * 1024) } });
    refused(await admin.call('POST', CONFIG_MAPS, { rawBody: large }), 413, 'RequestEntityTooLarge');
    const headers = { 'Transfer-Encoding': 'chunked', 'Content-Length': undefined };
    refused(await admin.call('POST', CONFIG_MAPS, { rawBody: large, headers }), 413, 'RequestEntityTooLarge');
    const forbidden = await alice.call('POST', CONFIG_MAPS, { rawBody: large });
    refused(forbidden, 403, 'Forbidden');
    assert.equal(forbidden.headers.connection, 'keep-alive');
    succeeded(await alice.get(`${VMS}/hers`));
  });

  test('empties a namespace that is deleted', async () => {
    succeeded(await admin.post('/api/v1/namespaces', { metadata: { name: 'short' } }), 201);
    const pods = '/api/v1/namespaces/short/pods';
    succeeded(await admin.post(pods, { metadata: { name: 'p' }, spec: { containers: [] } }), 201);
    const watch = await admin.watch('/api/v1/pods?fieldSelector=metadata.namespace%3Dshort');
    assert.equal((await watch.next()).type, 'ADDED');
    succeeded(await admin.delete('/api/v1/namespaces/short'));
    assert.equal((await watch.next()).type, 'DELETED');
    watch.close();
    refused(await admin.get(`${pods}/p`), 404, 'NotFound');
    refused(await admin.get('/api/v1/namespaces/short'), 404, 'NotFound');
  });

  test('ends watches when it closes', async () => {
    const other = await startApi({ tokens: { admin: { username: 'admin', groups: ['system:masters'] } } });
    const client = new TestClient({ ...other, token: 'admin' });
    const watch = await client.watch('/api/v1/namespaces');
    await watch.next();
    await other.close();
    await assert.rejects(watch.rest());
    client.close();
  });

  test('says when its port is taken', async () => {
    await assert.rejects(startApi({ tokens: {}, port: api.port }), /cannot listen on 127\.0\.0\.1:\d+/);
  });
});
