import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  choosePolicyOptions,
  OPTIONS_ANNOTATION,
  policyOptionsOf,
  policyOptionsText,
  type GivenPolicyOptions,
  type PolicyOptions,
} from '../../../src/lib/access/policies/options.ts';
import type { KubeObject } from '../../../src/lib/cluster/types.ts';

const NOTHING: GivenPolicyOptions = {
  userPrefix: undefined,
  groupRoles: undefined,
  exemptUsers: undefined,
  exemptGroups: undefined,
  administratorVerb: undefined,
};

const STORED: PolicyOptions = {
  userPrefix: 'oidc:',
  groupRoles: { a: 'x', b: 'y' },
  exemptUsers: ['one', 'two'],
  exemptGroups: [],
  administratorVerb: 'administrate',
};

function policyWith(annotation: string | undefined): KubeObject {
  const annotations: Record<string, string> =
    annotation === undefined ? {} : { [OPTIONS_ANNOTATION]: annotation };
  return { apiVersion: '', kind: '', metadata: { name: 'p', annotations } };
}

test('options come back from the policy as they were put there', () => {
  assert.deepEqual(policyOptionsOf(policyWith(policyOptionsText(STORED))), STORED);
  assert.equal(policyOptionsOf(policyWith(undefined)), undefined);
  assert.equal(policyOptionsOf(policyWith('{')), undefined);
  assert.deepEqual(policyOptionsOf(policyWith('{"exemptUsers":"x","userPrefix":1}')), {
    userPrefix: '',
    groupRoles: {},
    exemptUsers: [],
    exemptGroups: [],
    administratorVerb: 'patch',
  });
});

test('what nobody says stays, and what is the same in another order is the same', () => {
  assert.deepEqual(choosePolicyOptions(NOTHING, STORED, false), STORED);
  const same = { ...NOTHING, exemptUsers: ['two', 'one', 'one'], groupRoles: { b: 'y', a: 'x' } };
  assert.equal(policyOptionsText(choosePolicyOptions(same, STORED, false)), policyOptionsText(STORED));
  assert.equal(choosePolicyOptions(NOTHING, undefined, false).administratorVerb, 'patch');
  assert.equal(
    choosePolicyOptions({ ...NOTHING, userPrefix: 'x:' }, undefined, false).userPrefix,
    'x:',
    'where there are none yet, nothing is replaced',
  );
});

test('what differs is refused by name, unless it is to be replaced', () => {
  const given = { ...NOTHING, userPrefix: '', exemptUsers: ['one'], groupRoles: { a: 'x' } };
  assert.throws(() => choosePolicyOptions(given, STORED, false), {
    code: 'conflict',
    message:
      'the admission policies were made with other options: --user-prefix: "oidc:", not ""; ' +
      'roles of config.yaml: {"a":"x","b":"y"}, not {"a":"x"}; --exempt-user: ["one","two"], not ["one"]',
    hint: /--replace-options/,
  });
  assert.deepEqual(choosePolicyOptions(given, STORED, true), {
    ...STORED,
    userPrefix: '',
    exemptUsers: ['one'],
    groupRoles: { a: 'x' },
  });
});
