import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessObjects, type AccessOptions } from '../../../src/lib/access/manifests.ts';
import type { PolicyRule, Role, RoleBinding } from '../../../src/lib/access/types.ts';
import { GROUP } from '../../../src/lib/vm/types.ts';
import { inputOf, OPTIONS, poolNamed, vmOf } from './objects.ts';

const NO_POLICIES: AccessOptions = { ...OPTIONS, policies: false };

function rolesOf(input: Parameters<typeof accessObjects>[0], options: Partial<AccessOptions> = {}): Role[] {
  return accessObjects(input, { ...NO_POLICIES, ...options }).filter((object) => object.kind === 'Role');
}

function bindingOf(grant: object, options: Partial<AccessOptions>): RoleBinding | undefined {
  return accessObjects(inputOf([vmOf('a', [grant])]), { ...NO_POLICIES, ...options }).find(
    (object) => object.kind === 'RoleBinding',
  );
}

test('a grant is a Role and its RoleBinding, whole', () => {
  const labels = { 'app.kubernetes.io/managed-by': 'vmop', 'app.kubernetes.io/component': 'access' };
  const metadata = {
    name: 'vmop-user-alice-2bd806c9',
    namespace: 'desks',
    labels,
    annotations: { 'vmop/grantee': 'user alice' },
  };
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const apiGroup = 'rbac.authorization.k8s.io';
  const vms = (verbs: string[], resources = ['vms']): PolicyRule => ({
    apiGroups: [GROUP],
    resources,
    resourceNames: ['a'],
    verbs,
  });
  assert.deepEqual(accessObjects(inputOf([vmOf('a', [{ user: 'alice', may: ['start'] }])]), NO_POLICIES), [
    {
      apiVersion,
      kind: 'Role',
      metadata,
      rules: [
        vms(['get']),
        vms(['list', 'watch']),
        vms(['patch']),
        { apiGroups: [''], resources: ['pods'], resourceNames: ['a'], verbs: ['get'] },
        { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['get', 'list', 'watch'] },
      ],
    },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup, kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'User', name: 'alice', apiGroup }],
    },
  ]);
});

test('what RBAC lets through for each permission', () => {
  const verbsFor = (may: string, options: Partial<AccessOptions> = {}): string[] => {
    const [role] = rolesOf(inputOf([vmOf('a', [{ user: 'u', may: [may] }])]), options);
    return (role?.rules ?? []).slice(2).map(({ resources, verbs }) => `${resources.join()}:${verbs.join()}`);
  };
  const events = 'events:get,list,watch';
  const console = [
    'vms:patch',
    'vms/status:get,patch',
    'secrets:get,patch',
    'pods:get',
    'pods/log:get',
    'pods/portforward:create,get',
  ];
  assert.deepEqual(verbsFor('start'), ['vms:patch', 'pods:get', events]);
  assert.deepEqual(verbsFor('stop'), ['vms:patch', 'pods:get', 'pods:delete', events]);
  assert.deepEqual(verbsFor('reset'), ['pods:get', 'configmaps:get,patch', 'pods:patch', events]);
  assert.deepEqual(verbsFor('accessConsole'), [...console, events]);
  assert.deepEqual(verbsFor('takeConsole'), [...console, events]);
  assert.deepEqual(verbsFor('accessConsole', { tunnel: false, events: false }), console.slice(0, -1));
});

test('a pool is readable, and its permissions are verbs that policies ask for', () => {
  const [role] = rolesOf(inputOf([], [poolNamed('desks', [{ user: 'u', may: ['*'] }])]));
  assert.deepEqual(role?.rules, [
    {
      apiGroups: [GROUP],
      resources: ['vmpools'],
      resourceNames: ['desks'],
      verbs: ['get', 'start', 'stop', 'reset', 'accessConsole', 'takeConsole'],
    },
  ]);
});

test('users and roles become what the API server calls them', () => {
  const subjects = (grant: object, options: Partial<AccessOptions>): string[] | undefined =>
    bindingOf(grant, options)?.subjects.map(({ kind, name }) => `${kind} ${name}`);
  const groupRoles = { 'oidc:b': 'staff', 'oidc:a': 'staff', staff: 'others', 'oidc:c': 'x' };
  const may = ['start'];
  assert.deepEqual(subjects({ user: 'alice', may }, { userPrefix: 'oidc:' }), ['User oidc:alice']);
  assert.deepEqual(subjects({ role: 'staff', may }, { groupRoles }), ['Group oidc:a', 'Group oidc:b']);
  assert.deepEqual(subjects({ role: 'x', may }, { groupRoles }), ['Group oidc:c', 'Group x']);
  assert.deepEqual(subjects({ role: 'x', may }, {}), ['Group x']);
});

test('names are DNS labels, short, and never the same for two', () => {
  const names = [
    'alice',
    'Alice',
    'alice@example.org',
    'alice-example-org',
    'ä',
    'x'.repeat(300),
    '-',
  ].flatMap((user) =>
    rolesOf(inputOf([vmOf('a', [{ user, may: ['start'] }])])).map(({ metadata }) => metadata.name),
  );
  assert.equal(new Set(names).size, 7);
  for (const name of names) assert.match(name, /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])$/);
});

test('very many VMs are shared out among several Roles', () => {
  const vms = Array.from({ length: 2500 }, (_, index) => vmOf(`vm-${index}`, [{ role: 'all', may: ['*'] }]));
  const roles = rolesOf(inputOf(vms, [poolNamed('p', [{ role: 'all' }])]));
  assert.deepEqual(
    roles.map(({ metadata }) => metadata.name.replace(/-[0-9a-f]{8}/, '')),
    ['vmop-role-all', 'vmop-role-all-2', 'vmop-role-all-3'],
  );
  const named = roles.flatMap(({ rules }) => rules[0]?.resourceNames ?? []);
  assert.equal(new Set(named).size, 2500);
  for (const role of roles) assert.ok(JSON.stringify(role).length < 1_000_000);
});
