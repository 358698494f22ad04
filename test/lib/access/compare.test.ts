import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessDifferences } from '../../../src/lib/access/compare.ts';
import { accessObjects } from '../../../src/lib/access/manifests.ts';
import type { AccessObject } from '../../../src/lib/access/types.ts';
import { parseObject } from '../../../src/lib/cluster/parse.ts';
import type { KubeObject } from '../../../src/lib/cluster/types.ts';
import { inputOf, OPTIONS, vmOf } from './objects.ts';

const OBJECTS = accessObjects(inputOf([vmOf('a', [{ user: 'alice', may: ['*'] }])]), OPTIONS);

/** As the server gives it back. */
function stored(object: AccessObject, change: (copy: KubeObject) => void = () => {}): KubeObject {
  const copy = parseObject(structuredClone(object), { apiVersion: '', kind: '' });
  change(copy);
  return copy;
}

function objectOf(kind: AccessObject['kind']): AccessObject {
  const object = OBJECTS.find((one) => one.kind === kind);
  assert.ok(object);
  return object;
}

test('what the server adds of its own is no difference', () => {
  for (const object of OBJECTS) {
    const given = stored(object, (copy) => {
      copy.metadata.uid = 'x';
      copy.metadata.labels = { ...copy.metadata.labels, team: 'blue' };
      copy['status'] = { observedGeneration: 1 };
    });
    assert.deepEqual(accessDifferences(object, given), []);
  }
});

test('every difference is told by its path', () => {
  const role = objectOf('Role');
  const change = stored(role, (copy) => {
    copy['rules'] = [
      {
        apiGroups: ['vmoperator.jdrupes.org'],
        resources: ['vms'],
        resourceNames: ['a', 'b'],
        verbs: ['get'],
      },
    ];
    copy.metadata.annotations = {};
  });
  const [annotation, names, next] = accessDifferences(role, change);
  assert.equal(annotation, 'metadata.annotations.vmop/grantee is missing, should be "user alice"');
  assert.equal(names, 'rules[0].resourceNames is ["a","b"], should be ["a"]');
  assert.match(next ?? '', /^rules\[1\] is missing, should be \{"apiGroups"/);
});

test('what makes a policy weaker is a difference', () => {
  const policy = objectOf('ValidatingAdmissionPolicy');
  const excluding = { excludeResourceRules: [{ apiGroups: ['*'] }] };
  const specOf = (copy: KubeObject): Record<string, unknown> => Object(copy['spec']);
  for (const [weaken, path] of [
    [(copy) => void (specOf(copy)['failurePolicy'] = 'Ignore'), /^spec\.failurePolicy is "Ignore"/],
    [
      (copy) => void Object.assign(Object(specOf(copy)['matchConstraints']), excluding),
      /^spec\.matchConstraints\.excludeResourceRules is .*, should not be there/,
    ],
    [(copy) => void (specOf(copy)['validations'] = []), /^spec\.validations\[0\] is missing/],
  ] satisfies [(copy: KubeObject) => void, RegExp][]) {
    const [difference] = accessDifferences(policy, stored(policy, weaken));
    assert.match(difference ?? '', path);
  }
  const binding = objectOf('ValidatingAdmissionPolicyBinding');
  const audit = stored(binding, (copy) => void (specOf(copy)['validationActions'] = ['Audit']));
  assert.deepEqual(accessDifferences(binding, audit), [
    'spec.validationActions is ["Audit"], should be ["Deny"]',
  ]);
});
