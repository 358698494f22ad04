import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { isStatus, type Cluster } from '../../../src/lib/cluster/index.ts';
import type { JsonObject } from '../../../src/lib/cluster/types.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { inParallel } from '../../../src/lib/parallel.ts';
import type { PolicyRule } from '../../../src/lib/sandbox/api/index.ts';
import { followVms } from '../../../src/lib/vm/follow.ts';
import { loadInventory } from '../../../src/lib/vm/inventory.ts';
import { POOLS, VMS } from '../../../src/lib/vm/parse.ts';
import { GROUP } from '../../../src/lib/vm/types.ts';
import { watchVms, type VmWatchOptions } from '../../../src/lib/vm/watch.ts';
import { openTestCluster, rejectionOf, startFaultyApi } from '../cluster/fixture.ts';
import { kubeStatus, reply, startScriptedServer } from '../cluster/scripted-server.ts';

const SPEC = { vm: { maximumCpus: 1 } };
const ref = (name: string) => ({ namespace: 'default', name });
const nameOf = ({ name }: { name: string }): string => name;

/** What a Role with `resourceNames` gives alice in the namespace. */
function named(verbs: string[], resources: string[], ...resourceNames: string[]): PolicyRule {
  const subjects = { users: ['alice'] };
  return { subjects, verbs, apiGroups: [GROUP], resources, resourceNames, namespaces: ['default'] };
}

/** alice behind a proxy that counts, and the administrator. */
async function world(t: TestContext, rules: PolicyRule[]) {
  const tokens = {
    'admin-token': { username: 'admin', groups: ['system:masters'] },
    alice: { username: 'alice', groups: [] },
  };
  const { proxy, direct: admin } = await startFaultyApi(t, { rules, tokens });
  const alice = await openTestCluster(t, proxy, { token: 'alice' });
  const add = (name: string, more: JsonObject = {}) =>
    admin.create(VMS, 'default', { metadata: { name, ...more }, spec: SPEC });
  return { admin, alice, proxy, add };
}

test('ten thousand VMs, three of them mine: three reads', async (t) => {
  const mine = ['vm-17', 'vm-4711', 'vm-9999'];
  const { alice, proxy, add } = await world(t, [named(['get'], ['vms'], ...mine)]);
  await inParallel(
    Array.from({ length: 10_000 }, (_, index) => index),
    32,
    (index) => add(`vm-${index}`),
  );
  const { vms, incomplete } = await loadInventory(alice, 'default');
  assert.deepEqual([vms.map(nameOf), incomplete], [mine, undefined]);
  const path = `/apis/${GROUP}/v1/namespaces/default/vms`;
  assert.deepEqual(
    proxy.requests.map((request) => `${request.method} ${request.path.replace(/\?.*/, '')}`).toSorted(),
    [
      `GET ${path}`,
      ...mine.map((name) => `GET ${path}/${name}`),
      'POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
    ],
  );
});

test('the reads of several names are under way together', async (t) => {
  const names = ['a', 'b', 'c', 'd'];
  const resourceRules = [{ verbs: ['get'], apiGroups: [GROUP], resources: ['vms'], resourceNames: names }];
  const waiting: (() => void)[] = [];
  // Each is answered when all have come: reads one after the other would wait for ever.
  const server = await startScriptedServer(t, (request) => {
    const name = /vms\/([a-d])$/.exec(request.path)?.[1];
    if (request.method === 'POST') return reply(request, { body: { status: { resourceRules } } });
    if (name === undefined) return reply(request, kubeStatus(403, 'not for you'));
    waiting.push(() => reply(request, { body: { metadata: { name, namespace: 'default' }, spec: SPEC } }));
    if (waiting.length === names.length) for (const answer of waiting.toReversed()) answer();
  });
  const cluster = await openTestCluster(t, server, { timeoutMs: 5000 });
  assert.deepEqual((await loadInventory(cluster, 'default')).vms.map(nameOf), names);
});

test('what is gone is skipped, labels are looked at here, and pools are read by name', async (t) => {
  const { admin, alice, add } = await world(t, [
    named(['get'], ['vms'], 'a', 'b', 'gone'),
    named(['get'], ['vmpools'], 'desks'),
  ]);
  await add('a', { labels: { team: 'blue' } });
  await add('b');
  await add('foreign', { labels: { team: 'blue' } });
  await admin.create(POOLS, 'default', { metadata: { name: 'desks' }, spec: { permissions: [] } });
  assert.deepEqual((await loadInventory(alice, 'default')).vms.map(nameOf), ['a', 'b']);
  assert.deepEqual((await loadInventory(alice, 'default', 'team in (blue)')).vms.map(nameOf), ['a']);
  const assignedFrom = (name: string, pool: string) => {
    const body = { status: { assignment: { pool, user: 'alice' } } };
    return admin.patch(VMS, ref(name), { type: 'merge', body }, { subresource: 'status' });
  };
  await assignedFrom('a', 'desks');
  await assignedFrom('b', 'hidden');
  assert.deepEqual((await loadInventory(alice, 'default')).pools.map(nameOf), ['desks']);
});

describe('rules that name no VM, or not all', () => {
  const forbidden = 'vms is forbidden';
  const rule = { verbs: ['get'], apiGroups: [GROUP], resources: ['vms'] };
  const why = 'the API server does not know all that you may do in namespace "default" (a webhook)';
  const cases: [name: string, status: JsonObject, message: string, hint: RegExp][] = [
    ['none', { resourceRules: [] }, forbidden, /^ask an administrator/],
    [
      'none that it knows',
      { incomplete: true, evaluationError: 'a webhook' },
      forbidden,
      /\(a webhook\): name the VM/,
    ],
    ['any, by name', { resourceRules: [rule] }, forbidden, /^you may read each VM there, but not list them/],
  ];
  const server = (t: TestContext, status: JsonObject): Promise<Cluster> =>
    startScriptedServer(t, (request) =>
      reply(
        request,
        request.method === 'POST'
          ? { body: { status } }
          : request.path.includes('/vms/a')
            ? { body: { metadata: { name: 'a', namespace: 'default' }, spec: SPEC } }
            : kubeStatus(403, forbidden),
      ),
    ).then((scripted) => openTestCluster(t, scripted));
  for (const [name, status, message, hint] of cases) {
    test(name, async (t) => {
      const error = await rejectionOf(loadInventory(await server(t, status), 'default'));
      assert.ok(error instanceof VmopError);
      assert.deepEqual([error.code, error.message], ['forbidden', message]);
      assert.match(error.hint ?? '', hint);
    });
  }

  test('some, and perhaps more', async (t) => {
    const rules = [{ ...rule, resourceNames: ['a'] }];
    const cluster = await server(t, { resourceRules: rules, incomplete: true, evaluationError: 'a webhook' });
    const { vms, incomplete } = await loadInventory(cluster, 'default');
    assert.deepEqual(vms.map(nameOf), ['a']);
    assert.equal(incomplete, `${why}: there may be more VMs that are yours`);
  });

  test('all namespaces', async (t) => {
    const error = await rejectionOf(loadInventory(await server(t, {}), undefined));
    assert.ok(error instanceof VmopError);
    assert.deepEqual(
      [error.code, error.message],
      ['forbidden', 'you may not list the VMs of all namespaces'],
    );
  });
});

/** A watch that is read step by step: `synced a,b`, `modified a`. */
function watching(t: TestContext, cluster: Cluster, options: Partial<VmWatchOptions> = {}) {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const notices: string[] = [];
  const watch = watchVms(cluster, VMS, {
    namespace: 'default',
    signal: abort.signal,
    onNotice: (notice) => notices.push(notice),
    pollMs: 5,
    ...options,
  });
  const changes = watch[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { done, value } = await changes.next();
    if (done === true) return 'end';
    return value.type === 'synced'
      ? `synced ${value.items.map(nameOf).join()}`
      : `${value.type} ${value.item.name}`;
  };
  return { next, notices, abort };
}

describe('a watch without the permission to list', () => {
  test('has the VMs in order, whichever is answered first', async (t) => {
    const resourceRules = [
      { verbs: ['get'], apiGroups: [GROUP], resources: ['vms'], resourceNames: ['a', 'b'] },
    ];
    const answered = Promise.withResolvers<void>();
    const server = await startScriptedServer(t, (request) => {
      const name = /vms\/([ab])/.exec(request.path)?.[1];
      if (request.method === 'POST') return reply(request, { body: { status: { resourceRules } } });
      if (name === undefined) return reply(request, kubeStatus(403, 'not for you'));
      const answer = (): void =>
        reply(request, { body: { metadata: { name, namespace: 'default' }, spec: SPEC } });
      if (name === 'a') return void answered.promise.then(answer);
      answer();
      answered.resolve();
    });
    const { next } = watching(t, await openTestCluster(t, server), { pollMs: 60_000 });
    assert.equal(await next(), 'synced a,b');
  });

  for (const [how, verbs] of [
    ['a watch per name', ['get', 'watch']],
    ['slow reads, where only those are allowed', ['get']],
    ['a watch per name, and lists of one', ['get', 'list', 'watch']],
  ] as const) {
    test(how, async (t) => {
      const { admin, alice, add } = await world(t, [named([...verbs], ['vms'], 'a', 'b', 'later')]);
      await add('a');
      await add('b');
      await add('foreign');
      const { next, notices, abort } = watching(t, alice);
      assert.equal(await next(), 'synced a,b');
      await admin.patch(VMS, ref('b'), { type: 'merge', body: { metadata: { labels: { x: 'y' } } } });
      await admin.delete(VMS, ref('foreign'));
      assert.equal(await next(), 'modified b');
      await admin.delete(VMS, ref('a'));
      assert.equal(await next(), 'deleted a');
      await add('later');
      assert.equal(await next(), 'added later');
      abort.abort();
      assert.equal(await next(), 'end');
      assert.deepEqual(
        notices.toSorted(),
        how.startsWith('slow')
          ? ['a', 'b', 'later'].map((name) => `VM ${name} is not watched but read every 0.03 s`)
          : [],
      );
    });
  }

  test('a hundred watches at most: what is beyond is read slowly', async (t) => {
    const names = Array.from({ length: 103 }, (_, index) => `v${String(index).padStart(3, '0')}`);
    const { admin, alice, proxy, add } = await world(t, [named(['get', 'watch'], ['vms'], ...names)]);
    await inParallel(names, 16, (name) => add(name));
    const { next, abort } = watching(t, alice);
    assert.equal(await next(), `synced ${names.join()}`);
    const label = { type: 'merge', body: { metadata: { labels: { x: 'y' } } } } as const;
    await admin.patch(VMS, ref('v102'), label);
    assert.equal(await next(), 'modified v102');
    await admin.patch(VMS, ref('v001'), label);
    assert.equal(await next(), 'modified v001');
    abort.abort();
    assert.equal(await next(), 'end');
    const watched = proxy.requests.filter(({ path }) => /watch=true/.test(path));
    assert.ok(watched.every(({ path }) => !/metadata\.name%3Dv10/.test(path)));
  });

  test('VMs that are followed need no rules review', async (t) => {
    const { admin, alice, proxy, add } = await world(t, [named(['get', 'watch'], ['vms'], 'a', 'b')]);
    await add('a');
    await add('b');
    const seen = new Set<string>();
    const results = await followVms(alice, [ref('a'), ref('b')], {
      resource: VMS,
      decide: (vm) => (vm.labels['done'] === undefined ? undefined : { done: vm.name }),
      describe: () => ({ state: 'waiting' }),
      timeoutMs: 30_000,
      signal: t.signal,
      onChange(vm) {
        if (seen.has(vm.name)) return;
        seen.add(vm.name);
        const body = { metadata: { labels: { done: 'yes' } } };
        void admin.patch(VMS, ref(vm.name), { type: 'merge', body });
      },
    });
    assert.deepEqual(Object.fromEntries(results), {
      'default/a': { value: 'a' },
      'default/b': { value: 'b' },
    });
    assert.ok(proxy.requests.every(({ method }) => method === 'GET'));
  });

  test('one that may not be read refuses all', async (t) => {
    const { alice, add } = await world(t, [named(['get', 'watch'], ['vms'], 'a')]);
    await add('a');
    const { next } = watching(t, alice, { names: ['a', 'foreign'] });
    assert.ok(isStatus(await rejectionOf(next()), 403));
  });
});
