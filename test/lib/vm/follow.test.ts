import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { VmopError } from '../../../src/lib/errors.ts';
import { isStatus } from '../../../src/lib/cluster/index.ts';
import type { Cluster } from '../../../src/lib/cluster/types.ts';
import { followVm, followVms, type FollowOptions } from '../../../src/lib/vm/follow.ts';
import { VMS } from '../../../src/lib/vm/parse.ts';
import type { Vm } from '../../../src/lib/vm/types.ts';
import { makeNamespaces, openTestCluster, rejectionOf, startTestApi } from '../cluster/fixture.ts';

const SPEC = { vm: { maximumCpus: 2, currentCpus: 2 } };
const LONG_MS = 20_000;

/** More than Node's longest timer, so that nothing but the verdict ends the test. */
const FOREVER_MS = 2 ** 40;

async function clusterWith(t: TestContext, names: string[]): Promise<Cluster> {
  const cluster = await openTestCluster(t, await startTestApi(t));
  await makeNamespaces(cluster, 'ns', 'far');
  for (const name of names) await cluster.create(VMS, 'ns', { metadata: { name }, spec: SPEC });
  return cluster;
}

const ref = (name: string, namespace = 'ns') => ({ namespace, name });

const loggedIn = (cluster: Cluster, name: string, user: string, namespace = 'ns') =>
  cluster.patch(
    VMS,
    ref(name, namespace),
    { type: 'merge', body: { status: { loggedInUser: user } } },
    { subresource: 'status' },
  );

/** Done with the user as soon as there is one; an error for mallory. */
const options = (more: Partial<FollowOptions<string>> = {}): FollowOptions<string> => ({
  resource: VMS,
  decide: ({ status, name }: Vm) => {
    const user = status.loggedInUser;
    if (user === 'mallory') return { failed: new VmopError('guest', `${name}: refused`, { vm: name }) };
    return user === undefined ? undefined : { done: user };
  },
  describe: (vm) => ({ state: vm === undefined ? 'never seen' : 'nobody is logged in', hint: 'patience' }),
  timeoutMs: FOREVER_MS,
  signal: new AbortController().signal,
  ...more,
});

test('one VM: the verdict on what is there already, and on what comes', async (t) => {
  const cluster = await clusterWith(t, ['a']);
  const seen: (string | undefined)[] = [];
  const following = followVm(
    cluster,
    ref('a'),
    options({
      onChange: (vm) => {
        seen.push(vm.status.loggedInUser);
        if (vm.status.loggedInUser === undefined) void loggedIn(cluster, 'a', 'alice');
      },
    }),
  );
  assert.equal(await following, 'alice');
  assert.deepEqual(seen, [undefined, 'alice']);
  assert.equal(await followVm(cluster, ref('a'), options()), 'alice');
});

test('several VMs of several namespaces: each has its own result', async (t) => {
  const cluster = await clusterWith(t, ['a', 'b', 'c', 'other']);
  await cluster.create(VMS, 'far', { metadata: { name: 'a' }, spec: SPEC });
  const waiting = new Set(['ns/a', 'ns/b', 'ns/c', 'far/a']);
  const results = await followVms(
    cluster,
    [ref('a'), ref('b'), ref('c'), ref('a', 'far'), ref('gone')],
    options({
      onChange(vm) {
        assert.notEqual(vm.name, 'other');
        // All are watched when the last one has been seen.
        if (!waiting.delete(`${vm.namespace}/${vm.name}`) || waiting.size > 0) return;
        void loggedIn(cluster, 'a', 'alice');
        void loggedIn(cluster, 'b', 'mallory');
        void cluster.delete(VMS, ref('c'));
        void loggedIn(cluster, 'a', 'bob', 'far');
      },
    }),
  );
  const shown = [...results].map(([key, result]) => [
    key,
    'value' in result ? result.value : `${result.error.code}: ${result.error.message}`,
  ]);
  assert.deepEqual(Object.fromEntries(shown), {
    'ns/a': 'alice',
    'ns/b': 'guest: b: refused',
    'ns/c': 'notFound: VM c was deleted meanwhile',
    'ns/gone': 'notFound: VM gone was deleted meanwhile',
    'far/a': 'bob',
  });
});

test('no VMs: no request', async (t) => {
  const cluster = await openTestCluster(t, { url: 'https://127.0.0.1:1', caPem: '' });
  assert.equal((await followVms(cluster, [], options())).size, 0);
});

test('when the time is over, each that has no verdict is late, and says how it stands', async (t) => {
  const cluster = await clusterWith(t, ['a', 'b']);
  await loggedIn(cluster, 'a', 'alice');
  const results = await followVms(cluster, [ref('a'), ref('b')], options({ timeoutMs: 300 }));
  assert.deepEqual(results.get('ns/a'), { value: 'alice' });
  const late = results.get('ns/b');
  assert.ok(late && 'error' in late);
  assert.deepEqual(late.error.toJSON(), {
    code: 'timeout',
    exitCode: 6,
    message: 'b: nobody is logged in after 0.3 s',
    hint: 'patience',
    vm: 'b',
  });
});

test('lateness says itself whose fault it is', async (t) => {
  const cluster = await clusterWith(t, ['a']);
  const describe = () => ({ state: 'no agent', code: 'guest' as const });
  const error = await rejectionOf(followVm(cluster, ref('a'), options({ timeoutMs: 100, describe })));
  assert.ok(error instanceof VmopError);
  assert.equal(error.code, 'guest');
});

test('a time of 0 looks once', async (t) => {
  const cluster = await clusterWith(t, ['a']);
  const error = await rejectionOf(followVm(cluster, ref('a'), options({ timeoutMs: 0 })));
  assert.ok(error instanceof VmopError);
  assert.equal(error.code, 'timeout');
});

test('a server that says nothing is no reason to wait longer than the time', async (t) => {
  const { createServer } = await import('node:net');
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.after(() => void silent.close());
  const address = silent.address();
  assert.ok(typeof address === 'object' && address !== null);
  const cluster = await openTestCluster(t, { url: `https://127.0.0.1:${address.port}`, caPem: '' });
  const error = await rejectionOf(followVm(cluster, ref('a'), options({ timeoutMs: 200 })));
  assert.ok(error instanceof VmopError);
  assert.deepEqual([error.code, error.message], ['timeout', 'a: never seen after 0.2 s']);
});

test('rejects with the signal’s reason, at once', async (t) => {
  const cluster = await clusterWith(t, ['a']);
  const abort = new AbortController();
  const onChange = () => abort.abort('SIGINT');
  const reason = await rejectionOf(
    followVms(cluster, [ref('a'), ref('b', 'other')], options({ signal: abort.signal, onChange })),
  );
  assert.equal(reason, 'SIGINT');
  const again = await rejectionOf(followVm(cluster, ref('a'), options({ signal: abort.signal })));
  assert.equal(again, 'SIGINT');
});

test('a watch that is refused ends the others', async (t) => {
  const rules = [
    {
      subjects: { users: ['alice'] },
      verbs: ['get', 'list', 'watch'],
      apiGroups: ['*'],
      resources: ['*'],
      namespaces: ['ns'],
    },
  ];
  const api = await startTestApi(t, {
    rules,
    tokens: {
      root: { username: 'root', groups: ['system:masters'] },
      alice: { username: 'alice', groups: [] },
    },
  });
  const root = await openTestCluster(t, api, { token: 'root' });
  await makeNamespaces(root, 'ns', 'secret');
  await root.create(VMS, 'ns', { metadata: { name: 'a' }, spec: SPEC });
  const cluster = await openTestCluster(t, api, { token: 'alice' });
  let changes = 0;
  const error = await rejectionOf(
    followVms(
      cluster,
      [ref('a'), ref('b', 'secret')],
      options({ timeoutMs: LONG_MS, onChange: () => (changes += 1) }),
    ),
  );
  assert.ok(isStatus(error, 403));
  await loggedIn(root, 'a', 'bob');
  // Whoever still followed would have heard of the first change before this answer.
  await cluster.get(VMS, ref('a'));
  const before = changes;
  await loggedIn(root, 'a', 'carol');
  await cluster.get(VMS, ref('a'));
  assert.ok(changes <= 1 && changes === before, `${changes} changes`);
});
