import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainAccessError } from '../../../src/lib/access/explain.ts';
import type { AccessObject } from '../../../src/lib/access/types.ts';
import { ApiError } from '../../../src/lib/cluster/api-error.ts';
import { VmopError } from '../../../src/lib/errors.ts';

const context = { name: 'c', cluster: 'kind', server: 'https://kind:6443', user: 'u', namespace: 'desks' };
const refused = 'roles is forbidden';

const CASES: [kind: AccessObject['kind'], code: number, error: string, message: string, hint: RegExp][] = [
  ['Role', 403, 'forbidden', refused, /^whoever applies Roles must be an administrator of the namespace$/],
  ['RoleBinding', 403, 'forbidden', refused, /administrator of the namespace/],
  ['ValidatingAdmissionPolicy', 403, 'forbidden', refused, /^--no-policies leaves the admission policies to/],
  ['Role', 404, 'notFound', 'cluster "kind" knows no roles', /administrator of the namespace/],
  [
    'ValidatingAdmissionPolicyBinding',
    404,
    'notFound',
    'cluster "kind" knows no validatingadmissionpolicybindings: they came with Kubernetes 1.30',
    /^--no-policies leaves/,
  ],
];
for (const [kind, code, expected, message, hint] of CASES) {
  test(`${code} for a ${kind}: ${message}`, () => {
    const error = explainAccessError({ context }, kind, new ApiError({ code, reason: '', message: refused }));
    assert.ok(error instanceof VmopError);
    assert.deepEqual([error.code, error.message], [expected, message]);
    assert.match(error.hint ?? '', hint);
  });
}

test('anything else stays what it is', () => {
  const conflict = new ApiError({ code: 409, reason: '', message: refused });
  for (const other of [conflict, 'SIGINT'])
    assert.equal(explainAccessError({ context }, 'Role', other), other);
});
