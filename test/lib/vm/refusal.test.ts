import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ApiError } from '../../../src/lib/cluster/api-error.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import {
  briefMessage,
  explainPoolRefusal,
  explainRefusal,
  parseRbacRefusal,
  type RbacRefusal,
} from '../../../src/lib/vm/refusal.ts';
import { poolOfSpec, vmOf } from './objects.ts';

const GROUP = 'vmoperator.jdrupes.org';

describe('RBAC’s words', () => {
  const cases: [message: string, refusal: RbacRefusal | undefined][] = [
    [
      `vms.${GROUP} "a" is forbidden: User "alice" cannot patch resource "vms" in API group "${GROUP}" in the namespace "ns"`,
      { user: 'alice', verb: 'patch', resource: 'vms', name: 'a', namespace: 'ns' },
    ],
    [
      `vms.${GROUP} "a" is forbidden: User "oidc:a \\"b\\"" cannot patch resource "vms/status" in API group "${GROUP}" in the namespace "ns": more words`,
      { user: 'oidc:a \\"b\\"', verb: 'patch', resource: 'vms/status', name: 'a', namespace: 'ns' },
    ],
    [
      'secrets is forbidden: User "system:serviceaccount:ci:runner" cannot list resource "secrets" in API group "" in the namespace "ns"',
      { user: 'system:serviceaccount:ci:runner', verb: 'list', resource: 'secrets', namespace: 'ns' },
    ],
    [
      'namespaces is forbidden: User "alice" cannot create resource "namespaces" in API group "" at the cluster scope',
      { user: 'alice', verb: 'create', resource: 'namespaces' },
    ],
    ['forbidden: User "alice" cannot get path "/metrics"', undefined],
    ['pods "a" is forbidden: exceeded quota', undefined],
  ];
  for (const [message, refusal] of cases) {
    test(message, () => assert.deepEqual(parseRbacRefusal(message), refusal));
  }
});

describe('a refusal as a person is told it', () => {
  const vm = vmOf({ spec: { permissions: [{ user: 'bob', may: ['start'] }] } });
  const assigned = vmOf({ status: { assignment: { pool: 'desktops', user: 'alice' } } });
  const pool = poolOfSpec({ permissions: [{ role: 'staff', may: ['start'] }] });
  const denied = (text: string): string =>
    `vms.${GROUP} "desktop-1" is forbidden: ValidatingAdmissionPolicy 'vmop-vms' with binding 'vmop-vms' denied request: ${text}`;
  const start = denied('vmop: needs permission start on VM desktop-1 to start it');
  const rbac = `vms.${GROUP} "desktop-1" is forbidden: User "alice" cannot patch resource "vms" in API group "${GROUP}" in the namespace "ns"`;
  const secrets =
    'secrets is forbidden: User "alice" cannot list resource "secrets" in API group "" in the namespace "ns"';
  const failed = (words: string): string =>
    `expression 'object.a.all(one, one == "x's")\n  && true' resulted in error: ${words}`;
  const explain = (
    message: string,
    code = 403,
    action = { vm, pool: undefined as typeof pool | undefined },
    username = 'alice',
  ) =>
    explainRefusal(new ApiError({ code, reason: '', message }), {
      ...action,
      user: 'alice',
      username,
      permissions: ['start'],
    });

  const cases: [name: string, error: unknown, message: string, hint: RegExp][] = [
    [
      'by a policy',
      explain(start),
      'alice does not hold the permission start on desktop-1',
      /gives it to bob; an administrator of namespace ns/,
    ],
    [
      'by a policy that answers 422',
      explain(start, 422),
      'alice does not hold the permission start on desktop-1',
      /gives it to bob/,
    ],
    [
      'where the pool governs',
      explain(start, 403, { vm: assigned, pool }),
      'alice does not hold the permission start on desktop-1',
      /of pool desktops gives it to role staff/,
    ],
    [
      'where the pool is hidden',
      explain(start, 403, { vm: assigned, pool: undefined }),
      'alice does not hold the permission start on desktop-1',
      /^pool desktops governs desktop-1 now, and cannot be read or is gone/,
    ],
    [
      'of what only administrators may',
      explain(denied('vmop: needs permission administrate on VM desktop-1 to change spec.permissions')),
      'alice may not do that to desktop-1: only administrators of namespace ns are allowed to change spec.permissions',
      /ask an administrator/,
    ],
    [
      'by a policy, to whom the API server knows by another name',
      explain(start, 403, { vm, pool: undefined }, 'oidc:alice'),
      'oidc:alice does not hold the permission start on desktop-1',
      /can change that; vmop was told that you are alice \(--user-name, or userName of config\.yaml\), and the API server knows you as oidc:alice$/,
    ],
    [
      'by a policy that costs too much',
      explain(denied(failed('operation cancelled: actual cost limit exceeded')), 422),
      'desktop-1: the API server cannot evaluate the policy vmop-vms: operation cancelled: actual cost limit exceeded',
      /^perhaps too many .*: kubectl patch vms\.vmoperator\.jdrupes\.org desktop-1 -n ns --type=merge -p '\{"metadata":\{"managedFields":\[\{\}\]\}\}'$/,
    ],
    [
      'by a policy that is wrong',
      explain(denied(failed('no such overload'))),
      'desktop-1: the API server cannot evaluate the policy vmop-vms: no such overload',
      /^vmop access check/,
    ],
    [
      'by RBAC',
      explain(rbac),
      'the API server does not let alice patch vms "desktop-1"',
      /^no Role allows what start on desktop-1 takes; an administrator of namespace ns/,
    ],
    [
      'by RBAC, about something else',
      explain(secrets),
      'desktop-1: the API server does not let alice list secrets',
      /an administrator of namespace ns/,
    ],
  ];
  for (const [name, error, message, hint] of cases) {
    test(name, () => {
      assert.ok(error instanceof VmopError);
      assert.deepEqual([error.code, error.message, error.vm], ['forbidden', message, 'desktop-1']);
      assert.match(error.hint ?? '', hint);
    });
  }

  test('anything else stays what it is', () => {
    const conflict = new ApiError({ code: 409, reason: '', message: rbac });
    const action = { vm, pool: undefined, user: 'alice', username: 'alice', permissions: [] };
    for (const other of [conflict, 'SIGINT']) {
      assert.equal(explainRefusal(other, action), other);
      assert.equal(explainPoolRefusal(other, vm), other);
    }
  });

  test('of a pool', () => {
    const message = `vmpools.${GROUP} "desks" is forbidden: User "ops" cannot patch resource "vmpools" in API group "${GROUP}" in the namespace "ns"`;
    const error = explainPoolRefusal(new ApiError({ code: 403, reason: '', message }), {
      namespace: 'ns',
      name: 'desks',
    });
    assert.ok(error instanceof VmopError);
    assert.deepEqual(
      [error.code, error.message, error.hint, error.vm],
      [
        'forbidden',
        'the API server does not let ops patch vmpools "desks"',
        'an administrator of namespace ns can allow it in a Role',
        undefined,
      ],
    );
  });

  const brief: [message: string, words: string][] = [
    [start, 'the API server asks for the permission start on desktop-1 to start it'],
    [
      denied('vmop: needs permission administrate on VM desktop-1 to change spec.permissions'),
      'the API server asks for an administrator to change spec.permissions',
    ],
    [rbac, 'the API server does not let alice patch vms "desktop-1"'],
    ['pods "a" is forbidden: exceeded quota', 'pods "a" is forbidden: exceeded quota'],
  ];
  for (const [message, words] of brief) {
    test(`in short: ${words}`, () =>
      assert.equal(briefMessage(new ApiError({ code: 403, reason: '', message })), words));
  }
});
