import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { askStanding, rememberedStanding, subjectOf, type Standing } from '../../../src/lib/cli/identity.ts';
import type { Cluster } from '../../../src/lib/cluster/types.ts';
import type { PolicyRule } from '../../../src/lib/sandbox/api/index.ts';
import { startFaultProxy, type FaultProxy } from '../../helpers/fault-proxy.ts';
import { openTestCluster, rejectionOf, startTestApi, temporaryFolder } from '../cluster/fixture.ts';

const RULES: PolicyRule[] = [
  {
    subjects: { users: ['alice'] },
    verbs: ['patch'],
    apiGroups: ['vmoperator.jdrupes.org'],
    resources: ['vms'],
    namespaces: ['desks'],
  },
];
const START = new Date('2026-07-01T10:00:00Z');

interface World {
  proxy: FaultProxy;
  cluster: Cluster;
  /** Where it is remembered. */
  folder: string;
  ask(options?: {
    credentials?: string;
    namespace?: string | undefined;
    afterMs?: number;
  }): Promise<Standing>;
}

async function world(t: TestContext): Promise<World> {
  const api = await startTestApi(t, {
    tokens: { alice: { username: 'alice', groups: ['staff'] } },
    rules: RULES,
  });
  const proxy = await startFaultProxy(api);
  t.after(() => proxy.close());
  const cluster = await openTestCluster(t, proxy, { token: 'alice' });
  const home = await temporaryFolder(t);
  return {
    proxy,
    cluster,
    folder: path.join(home, 'vmop', 'standing'),
    ask(options = {}) {
      const { credentials, namespace, afterMs } = {
        credentials: 'c',
        namespace: 'desks',
        afterMs: 0,
        ...options,
      };
      const now = (): Date => new Date(START.getTime() + afterMs);
      return rememberedStanding(
        { env: { XDG_CACHE_HOME: home }, platform: 'linux', now },
        cluster,
        credentials,
        namespace,
      );
    },
  };
}

const alice: Standing = { username: 'alice', groups: ['staff', 'system:authenticated'], administrator: true };

test('who I am is what the API server says, asked with both reviews at once', async (t) => {
  const { cluster, proxy } = await world(t);
  assert.deepEqual(await askStanding(cluster, 'desks'), alice);
  assert.equal((await askStanding(cluster, 'other')).administrator, false);
  assert.equal((await askStanding(cluster, undefined)).administrator, false);
  assert.equal(proxy.requests.length, 6);
});

describe('it is remembered', () => {
  test('for five minutes', async (t) => {
    const { ask, proxy } = await world(t);
    assert.deepEqual(await ask(), alice);
    assert.deepEqual(await ask({ afterMs: 5 * 60_000 }), alice);
    assert.equal(proxy.requests.length, 2);
    await ask({ afterMs: 5 * 60_000 + 1 });
    assert.equal(proxy.requests.length, 4);
  });

  test('not when the clock was set back', async (t) => {
    const { ask, proxy } = await world(t);
    await ask();
    await ask({ afterMs: -1 });
    assert.equal(proxy.requests.length, 4);
  });

  test('for one namespace, and for all of them', async (t) => {
    const { ask } = await world(t);
    assert.equal((await ask({ namespace: 'desks' })).administrator, true);
    assert.equal((await ask({ namespace: 'other' })).administrator, false);
    assert.equal((await ask({ namespace: undefined })).administrator, false);
  });

  test('for whoever these credentials make me', async (t) => {
    const { ask, proxy } = await world(t);
    await ask({ credentials: 'a' });
    await ask({ credentials: 'b' });
    assert.equal(proxy.requests.length, 4);
    await ask({ credentials: 'a' });
    assert.equal(proxy.requests.length, 4);
  });

  test('in a private file that holds no credentials', async (t) => {
    const { ask, folder } = await world(t);
    await ask({ credentials: 'the-secret' });
    const names = await readdir(folder);
    assert.equal(names.length, 1, names.join());
    const file = path.join(folder, names[0] ?? '');
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    assert.ok(!`${names.join()}${await readFile(file, 'utf8')}`.includes('the-secret'));
  });

  test('also when several ask at once', async (t) => {
    const { ask, folder } = await world(t);
    const all = await Promise.all(Array.from({ length: 10 }, () => ask()));
    for (const standing of all) assert.deepEqual(standing, alice);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => !name.endsWith('.json')),
      [],
    );
  });

  for (const text of [
    '',
    'nonsense',
    '[]',
    '{}',
    '{"at":"now"}',
    '{"at":9e99,"username":"root","administrator":true}',
    '{"at":0,"username":"root"}',
    '{"username":7,"at":1}',
  ]) {
    test(`not as ${JSON.stringify(text)}`, async (t) => {
      const { ask, folder, proxy } = await world(t);
      await ask();
      const [name = ''] = await readdir(folder);
      await writeFile(path.join(folder, name), text);
      assert.deepEqual(await ask(), alice);
      assert.equal(proxy.requests.length, 4);
    });
  }

  test('what is remembered is an administrator only when it says so', async (t) => {
    const { ask, folder } = await world(t);
    await ask();
    const [name = ''] = await readdir(folder);
    const stored = { at: START.getTime(), username: 'alice', groups: ['a', 7, null], administrator: 'yes' };
    await writeFile(path.join(folder, name), JSON.stringify(stored));
    assert.deepEqual(await ask(), { username: 'alice', groups: ['a'], administrator: false });
  });

  test('not where nothing can be written, which is no error', async (t) => {
    const { ask, folder, proxy } = await world(t);
    await mkdir(path.dirname(folder), { recursive: true });
    await writeFile(folder, 'a file in the way');
    assert.deepEqual(await ask(), alice);
    assert.deepEqual(await ask(), alice);
    assert.equal(proxy.requests.length, 4);
  });

  test('not an error', async (t) => {
    const { ask, proxy } = await world(t);
    proxy.fail({ path: /selfsubjectreviews/, status: 409 });
    await rejectionOf(ask());
    assert.deepEqual(await ask(), alice);
  });
});

describe('the name and the roles in spec.permissions', () => {
  const standing = {
    username: 'oidc:alice',
    groups: ['oidc:admins', 'constructor', 'x'],
    administrator: true,
  };
  test('are the API server’s', () => {
    assert.deepEqual(subjectOf(standing, {}, undefined), {
      name: 'oidc:alice',
      roles: ['oidc:admins', 'constructor', 'x'],
      administrator: true,
    });
  });
  test('or what the settings and the flag make of them', () => {
    const settings = { userName: 'alice', roles: { 'oidc:admins': 'staff', y: 'z' } };
    assert.deepEqual(subjectOf(standing, settings, undefined), {
      name: 'alice',
      roles: ['staff', 'constructor', 'x'],
      administrator: true,
    });
    assert.equal(subjectOf(standing, settings, 'bob').name, 'bob');
  });
});
