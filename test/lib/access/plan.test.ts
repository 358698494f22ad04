import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accessObjects, type AccessOptions } from '../../../src/lib/access/manifests.ts';
import {
  batches,
  planAccess,
  reasonToLeave,
  type AccessPhase,
  type AccessScope,
  type AccessStep,
  type FoundObject,
} from '../../../src/lib/access/plan.ts';
import type { AccessObject } from '../../../src/lib/access/types.ts';
import { parseObject } from '../../../src/lib/cluster/parse.ts';
import type { KubeObject } from '../../../src/lib/cluster/types.ts';
import { inputOf, OPTIONS, vmOf } from './objects.ts';

type Kind = AccessObject['kind'];
type State = AccessStep['state'];

const KINDS: Kind[] = [
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
  'Role',
  'RoleBinding',
];

function objectsFor(user: string, options: Partial<AccessOptions> = {}): AccessObject[] {
  const vm = vmOf('a', [{ user, may: ['start'] }]);
  return accessObjects(inputOf([vm]), { ...OPTIONS, ...options });
}

const WANTED = objectsFor('alice');
/** Of somebody who is not named any more. */
const FORMER = objectsFor('bob').filter(({ kind }) => kind === 'Role' || kind === 'RoleBinding');

const WHOLE: AccessScope = { namespace: undefined, policies: true, grantees: undefined };

function foundAs(object: AccessObject, change: (copy: KubeObject) => void = () => {}): FoundObject {
  const copy = parseObject(structuredClone(object), { apiVersion: '', kind: '' });
  change(copy);
  return { kind: object.kind, object: copy };
}

const firstOf = (kind: Kind, objects = WANTED): AccessObject => {
  const object = objects.find((one) => one.kind === kind);
  assert.ok(object);
  return object;
};

/** It says something else. */
const altered = (copy: KubeObject): void => {
  if (copy['spec'] === undefined) copy['rules'] = copy['subjects'] = [];
  else Object.assign(Object(copy['spec']), { validationActions: ['Audit'], failurePolicy: 'Ignore' });
};
const unlabelled = (copy: KubeObject): void => void (copy.metadata.labels = {});
const unplaced = (copy: KubeObject): void => void delete copy.metadata.labels?.['vmop/namespace'];
const both = (copy: KubeObject): void => {
  altered(copy);
  unlabelled(copy);
};

describe('what is to be done to one object that is wanted', () => {
  type Expected = Record<'limits' | 'allows', State>;
  const cases: [what: string, change: ((copy: KubeObject) => void) | undefined, expected: Expected][] = [
    ['it is not there', undefined, { limits: 'missing', allows: 'missing' }],
    ['it is as it should be', () => {}, { limits: 'same', allows: 'same' }],
    ['it says something else', altered, { limits: 'different', allows: 'different' }],
    ['it has not vmop’s labels, and says the same', unlabelled, { limits: 'different', allows: 'different' }],
    // What limits can only limit more; what allows is somebody's who wants it so.
    ['it has not vmop’s labels, and says something else', both, { limits: 'different', allows: 'foreign' }],
  ];
  for (const [what, change, expected] of cases) {
    for (const kind of KINDS) {
      const state = kind.startsWith('Validating') ? expected.limits : expected.allows;
      test(`${kind}: ${what}: ${state}`, () => {
        const wanted = firstOf(kind);
        const [step, ...others] = planAccess([wanted], change ? [foundAs(wanted, change)] : [], WHOLE);
        assert.deepEqual(others, []);
        assert.equal(step?.state, state);
        assert.equal(step.wanted, wanted);
        assert.equal(step.differences.length > 0, state === 'different' || state === 'foreign');
        assert.equal(step.grantee, wanted.metadata.annotations?.['vmop/grantee']);
      });
    }
  }
});

describe('what is there and not wanted', () => {
  const role = firstOf('Role', FORMER);
  const policy = firstOf('ValidatingAdmissionPolicy');
  const binding = firstOf('ValidatingAdmissionPolicyBinding');
  const of = (...grantees: string[]): AccessScope => ({ ...WHOLE, grantees: new Set(grantees) });
  const within = (namespace: string): AccessScope => ({ ...WHOLE, namespace });
  const cases: [what: string, found: FoundObject, scope: AccessScope, pruned: boolean][] = [
    ['a Role of vmop’s', foundAs(role), WHOLE, true],
    ['a Role without its labels', foundAs(role, unlabelled), WHOLE, false],
    ['a Role of whom this is about', foundAs(role), of('user bob'), true],
    ['a Role of somebody else', foundAs(role), of('user alice', 'role bob'), false],
    ['a policy', foundAs(policy), WHOLE, true],
    ['a policy, in one namespace', foundAs(policy), within('desks'), true],
    ['a policy, for one user', foundAs(policy), of('user bob'), false],
    ['a binding of the namespace', foundAs(binding), within('desks'), true],
    ['a binding of another namespace', foundAs(binding), within('elsewhere'), false],
    ['a binding of another namespace, in all of them', foundAs(binding), WHOLE, true],
    ['a binding that has lost its namespace, in one', foundAs(binding, unplaced), within('desks'), false],
    ['a binding that has lost its namespace, in all of them', foundAs(binding, unplaced), WHOLE, true],
    ['a binding without vmop’s labels', foundAs(binding, unlabelled), WHOLE, false],
  ];
  for (const [what, found, scope, pruned] of cases) {
    test(`${what}: ${pruned ? 'goes' : 'stays'}`, () => {
      const steps = planAccess([], [found], scope);
      assert.deepEqual(
        steps.map(({ kind, name, state, wanted }) => [kind, name, state, wanted]),
        pruned ? [[found.kind, found.object.metadata.name, 'unwanted', undefined]] : [],
      );
    });
  }

  test('the same name in another namespace is another object', () => {
    const wanted = firstOf('Role');
    const found = foundAs(wanted, (copy) => void (copy.metadata.namespace = 'elsewhere'));
    assert.deepEqual(
      planAccess([wanted], [found], WHOLE).map(({ namespace, state }) => [namespace, state]),
      [
        ['desks', 'missing'],
        ['elsewhere', 'unwanted'],
      ],
    );
  });
});

describe('the order in which it is done', () => {
  const step = (kind: Kind, state: State): AccessStep => ({
    kind,
    namespace: '',
    name: `${kind} ${state}`,
    grantee: undefined,
    state,
    differences: [],
    wanted: undefined,
  });
  const orderOf = (steps: readonly AccessStep[]): [AccessPhase, string[][]][] =>
    batches(steps).map(({ phase, groups }) => [phase, groups.map((group) => group.map(({ name }) => name))]);
  const states: State[] = ['same', 'unwanted', 'missing', 'different', 'foreign'];
  const all = KINDS.flatMap((kind) => states.map((state) => step(kind, state)));
  const made = (kind: Kind): string[] =>
    ['missing', 'different', 'foreign'].map((state) => `${kind} ${state}`);

  test('what allows goes first and comes last, with its binding before it or after it', () => {
    const expected: [AccessPhase, string[][]][] = [
      ['withdraw', [['RoleBinding unwanted'], ['Role unwanted']]],
      ['limit', [made('ValidatingAdmissionPolicy'), made('ValidatingAdmissionPolicyBinding')]],
      ['grant', [made('Role'), made('RoleBinding')]],
      ['release', [['ValidatingAdmissionPolicyBinding unwanted'], ['ValidatingAdmissionPolicy unwanted']]],
    ];
    assert.deepEqual(orderOf(all), expected);
    assert.deepEqual(
      orderOf(all.toReversed()).map(([phase]) => phase),
      expected.map(([phase]) => phase),
    );
  });

  test('every step that changes something is in it once, and no other', () => {
    const planned = batches(all).flatMap(({ groups }) => groups.flat());
    assert.equal(new Set(planned).size, planned.length);
    assert.deepEqual(new Set(planned), new Set(all.filter(({ state }) => state !== 'same')));
  });

  test('what has nothing to do is left out', () => {
    assert.deepEqual(orderOf(KINDS.map((kind) => step(kind, 'same'))), []);
    assert.deepEqual(orderOf([step('RoleBinding', 'missing')]), [['grant', [['RoleBinding missing']]]]);
  });

  const PHASES: AccessPhase[] = ['withdraw', 'limit', 'grant', 'release'];
  const failures: [failed: AccessPhase[], left: AccessPhase[]][] = [
    [[], []],
    // Who has too much still has no less than before.
    [['withdraw'], ['release']],
    [['limit'], ['grant', 'release']],
    [['grant'], ['release']],
    [
      ['limit', 'grant'],
      ['grant', 'release'],
    ],
  ];
  for (const [failed, left] of failures) {
    test(`after failures in ${failed.join(', ') || 'none'}: ${left.join(', ') || 'nothing'} is left out`, () => {
      assert.deepEqual(
        PHASES.filter((phase) => reasonToLeave(phase, new Set(failed)) !== undefined),
        left,
      );
    });
  }
});
