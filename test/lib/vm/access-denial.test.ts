import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAccessDenial } from '../../../src/lib/vm/access-denial.ts';

const WRAPPED = (text: string): string =>
  `vms.vmoperator.jdrupes.org "desktop-1" is forbidden: ValidatingAdmissionPolicy 'vmop-vms' with binding 'vmop-vms' denied request: ${text}`;

test('what a policy refuses is found in the API server’s sentence', () => {
  const cases: [string, ReturnType<typeof parseAccessDenial>][] = [
    [
      WRAPPED('vmop: needs permission start on VM desktop-1 to start it'),
      { permission: 'start', vm: 'desktop-1', what: 'to start it' },
    ],
    [
      WRAPPED('vmop: needs permission administrate on VM desk.op-1 to change spec.permissions'),
      { permission: 'administrate', vm: 'desk.op-1', what: 'to change spec.permissions' },
    ],
    [WRAPPED('vmop: needs permission fly on VM desktop-1 to fly'), undefined],
    [
      'vms.vmoperator.jdrupes.org "desktop-1" is forbidden: User "bob" cannot patch resource "vms"',
      undefined,
    ],
    ['', undefined],
  ];
  for (const [message, denial] of cases) assert.deepEqual(parseAccessDenial(message), denial);
});
