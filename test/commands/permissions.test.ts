import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asObject } from '../../src/lib/cluster/parse.ts';
import { POOLS, VMS, withObject } from '../../src/lib/vm/parse.ts';
import { startApiProxy } from './api-proxy.ts';
import { assertGolden } from './golden.ts';
import { commandSuite, field } from './suite.ts';

const suite = commandSuite({
  pools: [{ name: 'desks', spec: { permissions: [{ role: 'staff', may: ['start'] }] } }],
  vms: [
    {
      name: 'a1',
      labels: { team: 'blue' },
      spec: {
        permissions: [
          { user: 'alice', may: ['start'] },
          { role: 'staff', may: ['*'] },
        ],
      },
    },
    { name: 'a2', labels: { team: 'blue' } },
    {
      name: 'p1',
      spec: { pools: ['desks'], permissions: [{ user: 'bob', may: ['takeConsole'] }] },
      status: { assignment: { pool: 'desks', user: 'alice' } },
    },
  ],
});
const { run } = suite;

async function stored(name: string, resource: 'vm' | 'pool' = 'vm'): Promise<unknown> {
  const ref = { namespace: 'default', name };
  const { object } =
    resource === 'vm'
      ? await suite.sandbox.admin.get(withObject(VMS), ref)
      : await suite.sandbox.admin.get(withObject(POOLS), ref);
  return asObject(object['spec'])['permissions'];
}

test('list: the entries of a VM, and those of the pool that governs it', async () => {
  const all = await run('permissions list');
  assert.equal(all.code, 0);
  assertGolden('permissions-list.txt', all.stdout);
  assertGolden('permissions-list.json', (await run('permissions list p1 --json')).stdout);
  const none = await run('permissions list a2');
  assert.deepEqual(
    [none.code, none.stdout, none.stderr],
    [0, '', 'There is no entry in spec.permissions: only administrators may do anything.\n'],
  );
  assert.equal((await run('permissions list a1 -l team=blue')).code, 2);
  assert.equal((await run('permissions list nope')).code, 3);
});

test('grant and revoke, one VM', async () => {
  const granted = await run('permissions grant a2 --user carol --may start,console --json');
  assert.equal(granted.code, 0);
  assertGolden('permissions-grant.json', granted.stdout);
  assert.deepEqual(await stored('a2'), [{ user: 'carol', may: ['start', 'accessConsole'] }]);
  const again = await run('permissions grant a2 -u carol --may start');
  assert.equal(again.stdout, 'a2: nothing to grant, user carol may do start, accessConsole\n');
  const dry = await run('permissions revoke a2 -u carol --may start --dry-run');
  assert.equal(dry.stdout, 'a2: user carol would be given accessConsole (dry run, nothing changed)\n');
  const one = await run('permissions revoke a2 -u carol --may start');
  assert.equal(one.stdout, 'a2: user carol may now do accessConsole\n');
  const rest = await run('permissions revoke a2 -u carol');
  assert.equal(rest.stdout, 'a2: user carol may now do nothing\n');
  assert.deepEqual(await stored('a2'), []);
});

test('several VMs, and a name that is none', async () => {
  const { code, stdout, stderr } = await run('permissions grant a1 a2 nope --role ops --may reset');
  assert.equal(code, 1);
  assert.equal(stdout, 'a1: role ops may now do reset\na2: role ops may now do reset\n');
  assert.match(stderr, /^error: there is no VM "nope"/m);
  const revoked = await run('permissions revoke -l team=blue --role ops --json');
  assert.equal(field(revoked.json(), 1, 'changed'), true);
  assert.deepEqual(await stored('a1'), [
    { user: 'alice', may: ['start'] },
    { role: 'staff', may: ['*'] },
  ]);
});

test('a VM that its pool governs: said, and --pool is for the pool', async () => {
  const own = await run('permissions grant p1 -u bob --may start --json');
  assert.equal(own.code, 0);
  assert.equal(field(own.json(), 'governedBy'), 'desks');
  assert.match(
    own.stderr,
    /^warning: p1 is assigned from pool desks, whose permissions govern it now; .*--pool desks/m,
  );
  assert.deepEqual(await stored('p1'), [{ user: 'bob', may: ['takeConsole', 'start'] }]);
  const pool = await run('permissions grant --pool desks --role staff --may console');
  assert.equal(pool.stdout, 'pool desks: role staff may now do start, accessConsole\n');
  assert.deepEqual(await stored('desks', 'pool'), [{ role: 'staff', may: ['start', 'accessConsole'] }]);
  for (const line of [
    '--pool desks p1 -u x --may start',
    '--pool desks --all -u x --may start',
    '--pool desks -u x --may take',
  ]) {
    assert.equal((await run(`permissions grant ${line}`)).code, 2, line);
  }
  assert.equal((await run('permissions grant --pool nope -u x --may start')).code, 3);
});

test('somebody else changes the permissions at the same time: both changes are there', async () => {
  let others = 1;
  const proxy = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfig,
    async meet(method) {
      if (method !== 'PATCH' || others-- <= 0) return undefined;
      await suite.sandbox.patchSpec('a2', { permissions: [{ user: 'other', may: ['stop'] }] });
      return undefined;
    },
  });
  try {
    const { code } = await run(`permissions grant a2 -u carol --may start --server ${proxy.url}`);
    assert.equal(code, 0);
    assert.deepEqual(await stored('a2'), [
      { user: 'other', may: ['stop'] },
      { user: 'carol', may: ['start'] },
    ]);
    await suite.sandbox.patchSpec('a2', { permissions: [] });
  } finally {
    await proxy.close();
  }
});

test('who is no administrator changes no permissions: 4', async () => {
  for (const line of [
    'grant a1 -u alice --may stop',
    'revoke a1 -u alice',
    'grant --pool desks -u alice --may stop',
  ]) {
    const { code, stderr } = await run(`permissions ${line}`, { user: 'alice' });
    assert.equal(code, 4);
    assert.match(
      stderr,
      /^error: alice may not do that to \w+: only administrators of namespace default are allowed to change spec\.permissions\n/,
    );
  }
});

test('what cannot be meant is a usage error', async () => {
  for (const line of [
    'grant a1 --may start',
    'grant a1 -u a --role b --may start',
    'grant a1 -u alice',
    'grant a1 -u alice --may fly',
    'revoke a1',
    'grant -u alice --may start',
  ]) {
    assert.equal((await run(`permissions ${line}`)).code, 2, line);
  }
  assert.equal((await run(['permissions', 'grant', 'a1', '--user', ' x', '--may', 'start'])).code, 2);
});
