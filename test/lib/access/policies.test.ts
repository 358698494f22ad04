import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessObjects, type AccessOptions } from '../../../src/lib/access/manifests.ts';
import type { AdmissionPolicy, AdmissionPolicyBinding } from '../../../src/lib/access/types.ts';
import type { Vm } from '../../../src/lib/vm/types.ts';
import { inputOf, OPTIONS, vmOf } from './objects.ts';

function policies(options: Partial<AccessOptions> = {}, vms: Vm[] = []): AdmissionPolicy[] {
  const objects = accessObjects(inputOf(vms), { ...OPTIONS, ...options });
  return objects.filter((object) => object.kind === 'ValidatingAdmissionPolicy');
}

function bindings(
  vms: Vm[],
  secrets: { namespace: string; name: string; vm: string }[],
): AdmissionPolicyBinding[] {
  const objects = accessObjects(inputOf(vms, [], secrets), OPTIONS);
  return objects.filter((object) => object.kind === 'ValidatingAdmissionPolicyBinding');
}

test('the policies do not depend on the VMs, and refuse when they cannot be evaluated', () => {
  const some = policies({}, [vmOf('a', [{ user: 'alice', may: ['*'] }])]);
  assert.deepEqual(some, policies());
  assert.deepEqual(
    some.map(({ metadata, spec }) => [metadata.name, spec.failurePolicy]),
    [
      ['vmop-vms', 'Fail'],
      ['vmop-runner-objects', 'Fail'],
      ['vmop-runner-permissions', 'Fail'],
    ],
  );
});

test('the options stand in every policy', () => {
  const options = {
    userPrefix: 'oidc:',
    exemptUsers: ['ops"1'],
    exemptGroups: ['admins'],
    administratorVerb: 'administrate',
    groupRoles: { 'oidc:a': 'staff', 'oidc:b': 'staff' },
  };
  for (const { spec } of policies(options)) {
    const conditions = Object.fromEntries(
      spec.matchConditions.map(({ name, expression }) => [name, expression]),
    );
    assert.match(conditions['not-exempt-user'] ?? '', /in \["ops\\"1"\]\)$/);
    assert.match(conditions['not-exempt-group'] ?? '', /in \["system:nodes", "admins"\]\)$/);
    assert.match(conditions['not-administrator'] ?? '', /check\("administrate"\)/);
    const variables = Object.fromEntries(spec.variables.map(({ name, expression }) => [name, expression]));
    if (variables['grants'] === undefined) continue;
    assert.match(variables['grants'], /"oidc:" \+ grant\.user == request\.userInfo\.username/);
    assert.match(variables['roles'] ?? '', /\{"oidc:a":"staff","oidc:b":"staff"\}\[\?group\]/);
  }
});

test('nobody is limited outside of the namespaces that were looked at', () => {
  const elsewhere = { ...vmOf('b', []), namespace: 'other' };
  const whole = bindings([vmOf('a', []), elsewhere], []);
  assert.deepEqual(
    whole.map(({ metadata, spec }) => [metadata.labels['vmop/namespace'], spec.policyName]),
    [
      ['desks', 'vmop-vms'],
      ['desks', 'vmop-runner-objects'],
      ['other', 'vmop-vms'],
      ['other', 'vmop-runner-objects'],
    ],
  );
  assert.deepEqual(whole[1]?.spec.matchResources?.objectSelector.matchLabels, {
    'app.kubernetes.io/name': 'vm-runner',
  });
  for (const { metadata, spec } of whole) {
    // Empty, it would not be stored.
    assert.ok(!Object.hasOwn(spec.matchResources ?? {}, 'resourceRules'));
    assert.deepEqual(spec.matchResources?.namespaceSelector.matchLabels, {
      'kubernetes.io/metadata.name': metadata.labels['vmop/namespace'],
    });
  }
});

test('what Roles name is bound by its names, labelled or not', () => {
  const vms = [vmOf('b', [{ user: 'alice', may: ['*'] }]), vmOf('a', [{ user: 'bob', may: ['start'] }])];
  const [byName, ...more] = bindings(vms, []).filter(({ metadata }) =>
    metadata.name.startsWith('vmop-runner-names'),
  );
  assert.deepEqual(more, []);
  assert.equal(byName?.spec.policyName, 'vmop-runner-objects');
  assert.deepEqual(
    byName.spec.matchResources?.resourceRules?.map(({ resources, resourceNames }) => [
      resources,
      resourceNames,
    ]),
    [
      [
        ['configmaps', 'pods'],
        ['a', 'b'],
      ],
      [['secrets'], ['a-display-secret', 'b-display-secret']],
    ],
  );
  const many = Array.from({ length: 2500 }, (_, index) => vmOf(`vm-${index}`, [{ user: 'u', may: ['*'] }]));
  const parts = bindings(many, []).filter(({ metadata }) => metadata.name.startsWith('vmop-runner-names'));
  assert.equal(parts.length, 3);
});

test('each VM that a Role names has a binding with its own Secrets, and a name of its own', () => {
  const may = ['accessConsole'];
  const vms = [
    vmOf('b', [
      { user: 'alice', may },
      { role: 'staff', may },
    ]),
    vmOf('a', [{ user: 'bob', may: ['start'] }]),
    vmOf('nobodys', []),
  ];
  const secrets = [{ namespace: 'desks', name: 'secret-of-b', vm: 'b' }];
  const own = bindings(vms, secrets).filter(({ spec }) => spec.paramRef !== undefined);
  assert.deepEqual(
    own.map(({ metadata, spec }) => [
      metadata.labels['vmop/namespace'],
      spec.paramRef?.name,
      spec.policyName,
    ]),
    [
      ['desks', 'a', 'vmop-runner-permissions'],
      ['desks', 'b', 'vmop-runner-permissions'],
    ],
  );
  assert.deepEqual(
    own.map(({ spec }) =>
      spec.matchResources?.resourceRules?.map(({ resources, resourceNames }) => [resources, resourceNames]),
    ),
    [
      [
        [['configmaps', 'pods'], ['a']],
        [['secrets'], ['a-display-secret']],
      ],
      [
        [['configmaps', 'pods'], ['b']],
        [['secrets'], ['secret-of-b']],
      ],
    ],
  );
  for (const { metadata } of own) assert.match(metadata.name, /^vmop-vm-desks-[ab]-[0-9a-f]{8}$/);
});

test('what limits is the same for whomever something is granted', () => {
  const vms = [vmOf('a', [{ user: 'alice', may: ['*'] }]), vmOf('b', [{ role: 'staff', may: ['*'] }])];
  const limiting = (options: Partial<AccessOptions>): unknown[] =>
    accessObjects(inputOf(vms), { ...OPTIONS, ...options }).filter(({ kind }) =>
      kind.startsWith('Validating'),
    );
  const whole = limiting({});
  for (const narrow of [{ users: ['alice'] }, { roles: ['staff'] }, { users: [] }])
    assert.deepEqual(limiting(narrow), whole);
});
