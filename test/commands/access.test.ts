import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { asArray, asObject } from '../../src/lib/cluster/parse.ts';
import { assertGolden } from './golden.ts';
import { commandSuite, field } from './suite.ts';

// The sandbox's own API knows neither RBAC nor admission policies: test/e2e/permissions.test.ts has what is applied.
const suite = commandSuite({
  vms: [
    {
      name: 'desktop-1',
      spec: {
        permissions: [
          { user: 'alice', may: ['start', 'accessConsole'] },
          { role: 'staff', may: ['*'] },
        ],
      },
    },
    {
      name: 'desktop-2',
      spec: { permissions: [{ user: 'bob', may: ['*'] }] },
      status: { assignment: { pool: 'gone', user: 'bob' } },
    },
  ],
  pools: [{ name: 'desks', spec: { permissions: [{ user: 'alice' }] } }],
});
const { run } = suite;

test('generate: YAML for git, the same each time', async () => {
  const { code, stdout } = await run('access generate');
  assert.equal(code, 0);
  assertGolden('access-generate.yaml', stdout);
  assert.equal((await run('access generate')).stdout, stdout);
  const documents = parseAllDocuments(stdout).map((document) => asObject(document.toJS()));
  assert.deepEqual(asArray(field((await run('access generate -o json')).json(), 'items')), documents);
});

test('generate: a List for kubectl, or names', async () => {
  const list = (await run('access generate --json --no-policies --users alice')).json();
  assert.deepEqual([field(list, 'apiVersion'), field(list, 'kind')], ['v1', 'List']);
  assert.deepEqual(
    asArray(field(list, 'items')).map((item) => field(item, 'kind')),
    ['Role', 'RoleBinding'],
  );
  const { stdout } = await run('access generate -o name --no-policies --roles staff');
  assert.match(stdout, /^Role\/vmop-role-staff-[0-9a-f]{8}\nRoleBinding\/vmop-role-staff-[0-9a-f]{8}\n$/);
});

test('generate: roles of config.yaml and prefixes become groups and users', async () => {
  const file = path.join(suite.sandbox.folder, 'roles.yaml');
  await writeFile(file, "roles: { 'oidc:b': staff, 'oidc:a': staff }\n");
  const subjects = async (...flags: string[]): Promise<unknown> => {
    const args = ['access', 'generate', '--no-policies', '--json', ...flags];
    const list = (await run(args, { env: { VMOP_CONFIG: file } })).json();
    return asArray(field(list, 'items'))
      .flatMap((item) => asArray(field(item, 'subjects')))
      .map((subject) => field(subject, 'name'));
  };
  assert.deepEqual(await subjects('--roles', 'staff'), ['oidc:a', 'oidc:b', 'staff']);
  assert.deepEqual(await subjects('--users', 'alice,bob', '--user-prefix', 'oidc:'), ['oidc:alice']);
});

test('generate: says what gives nobody anything', async () => {
  const { stderr } = await run('access generate --users zoe');
  assert.match(stderr, /desktop-2 is assigned by pool gone, which is gone: nobody may use it/);
  assert.match(stderr, /no spec\.permissions gives anything to user zoe/);
});

test('generate: says who reaches the network of the nodes', async () => {
  const reaches = /port-forwards let user alice, role staff reach every port of the nodes/;
  assert.match((await run('access generate')).stderr, reaches);
  assert.doesNotMatch((await run('access generate --no-tunnel')).stderr, /port-forwards/);
});

test('a verb that RBAC cannot have is a usage error', async () => {
  const { code, stderr } = await run(['access', 'generate', '--administrator-verb', 'a"b']);
  assert.equal(code, 2);
  assert.match(stderr, /not a verb of RBAC: "a\\"b"/);
});

test('apply and check: an API server without what they need is not found, and says what it lacks', async () => {
  for (const command of ['apply', 'check']) {
    const whole = await run(`access ${command}`);
    assert.equal(whole.code, 3);
    assert.match(whole.stderr, /knows no validatingadmissionpolicies: they came with Kubernetes 1\.30/);
    assert.match(whole.stderr, /--no-policies leaves/);
    const roles = await run(`access ${command} --no-policies`);
    assert.equal(roles.code, 3);
    assert.match(roles.stderr, /knows no roles/);
  }
});
