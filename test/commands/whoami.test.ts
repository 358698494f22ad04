import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { assertGolden } from './golden.ts';
import { commandSuite, field, namesOf } from './suite.ts';

const suite = commandSuite({
  users: { 'oidc:alice': ['oidc:staff', 'oidc:other'], bob: [] },
  vms: [
    { name: 'a1', spec: { permissions: [{ user: 'alice', may: ['start'] }] } },
    { name: 's1', spec: { permissions: [{ role: 'staff', may: ['start'] }] } },
    {
      name: 'p1',
      spec: { pools: ['desks'], permissions: [{ user: 'alice', may: ['*'] }] },
      status: { assignment: { pool: 'desks', user: 'alice' } },
    },
  ],
  pools: [{ name: 'desks', spec: { permissions: [{ role: 'staff', may: ['stop'] }] } }],
});
const { run } = suite;
const alice = { user: 'oidc:alice' };

async function configFile(name: string, text: string): Promise<string> {
  const file = path.join(suite.sandbox.folder, name);
  await writeFile(file, text);
  return file;
}

test('who the API server says I am', async () => {
  const table = await run('whoami', alice);
  assert.equal(table.code, 0);
  assert.match(table.stdout, /^User: +oidc:alice\n.*^VMs: +none names you\n$/ms);
  assertGolden('whoami.json', (await run('whoami --json', alice)).stdout);
  const admin = await run('whoami --json');
  assert.equal(field(admin.json(), 'administrator'), true);
  assert.equal((await run('whoami -o name', alice)).stdout, 'oidc:alice\n');
  assert.equal((await run('whoami -o wide', alice)).stdout, table.stdout);
});

test('--as and --as-group act as somebody else, for those who may', async () => {
  const bob = await run('whoami --as bob --as-group g1 --as-group g2 --json');
  assert.deepEqual(field(bob.json(), 'user'), 'bob');
  assert.deepEqual(field(bob.json(), 'groups'), ['g1', 'g2', 'system:authenticated']);
  assert.equal(field(bob.json(), 'administrator'), false);
  const refused = await run('whoami --as bob', alice);
  assert.equal(refused.code, 4);
  assert.match(refused.stderr, /cannot impersonate/);
});

test('--as-group without --as would change nothing, and is refused', async () => {
  const { code, stderr } = await run('whoami --as-group g1');
  assert.equal(code, 2);
  assert.match(stderr, /^error: --as-group needs --as/);
});

test('config.yaml maps names and groups to those of spec.permissions', async () => {
  const file = await configFile(
    'config.yaml',
    'userName: alice\nroles: { "oidc:staff": staff }\ncontexts:\n  elsewhere: { userName: other }\n',
  );
  const env = { VMOP_CONFIG: file };
  const me = await run('whoami --json', { ...alice, env });
  assert.deepEqual([field(me.json(), 'user'), field(me.json(), 'username')], ['alice', 'oidc:alice']);
  assert.deepEqual(field(me.json(), 'roles'), ['staff', 'oidc:other', 'system:authenticated']);
  assert.deepEqual(field(me.json(), 'groupRoles', 0), { group: 'oidc:staff', role: 'staff' });
  assert.deepEqual(field(me.json(), 'vms'), [
    { name: 'a1', namespace: 'default', may: ['start'], through: ['user alice'] },
    { name: 'p1', namespace: 'default', may: ['stop'], through: ['role staff'], pool: 'desks' },
    { name: 's1', namespace: 'default', may: ['start'], through: ['role staff'] },
  ]);
  assertGolden('whoami.txt', (await run('whoami', { ...alice, env })).stdout);
  assert.deepEqual(namesOf((await run('list --json', { ...alice, env })).json()), ['a1', 'p1', 's1']);
  assert.deepEqual((await run('list --json', alice)).json(), []);
  const flag = await run('whoami --user-name carol --json', { ...alice, env });
  assert.equal(field(flag.json(), 'user'), 'carol');
});

test('a section of the context goes over the top of the file', async () => {
  const file = await configFile(
    'contexts.yaml',
    'userName: x\ncontexts:\n  vmop-sandbox: { userName: alice }\n',
  );
  const me = await run('whoami --json', { ...alice, env: { VMOP_CONFIG: file } });
  assert.equal(field(me.json(), 'user'), 'alice');
});

test('a mistake in config.yaml is 2 and names file, line and key', async () => {
  for (const [text, message] of [
    ['userName: alice\nrolls: {}\n', /broken\.yaml:2: unknown key rolls; known are /],
    [
      'contexts:\n  vmop-sandbox:\n    roles: [a]\n',
      /broken\.yaml:3: contexts\.vmop-sandbox\.roles must be a map/,
    ],
    ['a: [\n', /broken\.yaml:\d: /],
    ['- x\n', /broken\.yaml:1: the file must be a map/],
  ] as const) {
    const file = await configFile('broken.yaml', text);
    const { code, stderr } = await run('whoami', { env: { VMOP_CONFIG: file } });
    assert.equal(code, 2);
    assert.match(stderr, message);
  }
});
