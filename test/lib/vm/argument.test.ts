import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseVmName } from '../../../src/lib/cli/targets.ts';
import { loginObstacle } from '../../../src/lib/vm/login.ts';
import { parseVm } from '../../../src/lib/vm/parse.ts';
import { describeLateStart } from '../../../src/lib/vm/power.ts';
import { argumentFrom, homeNamespace, kubectlArgument, vmArgument } from '../../../src/lib/vm/write.ts';
import { poolOfSpec } from './objects.ts';

describe('how a VM is named to the next command', () => {
  const cases: [ofContext: string, variable: string | undefined, namespace: string, argument: string][] = [
    ['default', undefined, 'default', 'd1'],
    ['default', undefined, 'desks', 'desks/d1'],
    ['desks', undefined, 'desks', 'd1'],
    ['desks', undefined, 'default', 'default/d1'],
    ['desks', 'desks', 'desks', 'd1'],
    // Whether the next command has the variable is not known: what is named holds for both.
    ['desks', 'other', 'desks', 'desks/d1'],
    ['desks', 'other', 'other', 'other/d1'],
    ['desks', '', 'desks', 'd1'],
  ];
  for (const [ofContext, variable, namespace, argument] of cases) {
    const set = variable === undefined ? '' : `, VMOP_NAMESPACE=${variable}`;
    test(`of ${namespace} in a context of ${ofContext}${set}: ${argument}`, () => {
      const home = homeNamespace(ofContext, variable);
      assert.equal(argumentFrom(home, { namespace, name: 'd1' }), argument);
      for (const next of [ofContext, variable || ofContext])
        assert.deepEqual(parseVmName(argument, next), { namespace, name: 'd1' });
    });
  }
});

test('hints name the namespace for vmop and kubectl alike, where it is not the usual one', () => {
  const object = {
    apiVersion: '',
    kind: '',
    metadata: { name: 'd1', namespace: 'desks' },
    status: { assignment: { pool: 'desktops', user: 'bob' } },
  };
  const pool = poolOfSpec({ loginOnAssignment: true });
  for (const [home, vmop, kubectl] of [
    ['desks', 'd1', 'd1'],
    ['default', 'desks/d1', 'd1 -n desks'],
  ] as const) {
    const vm = parseVm(object, home);
    assert.deepEqual([vmArgument(vm), kubectlArgument(vm)], [vmop, kubectl]);
    assert.equal(describeLateStart(vm).hint?.split('kubectl describe pod ')[1], kubectl);
    assert.ok(
      loginObstacle(vm, pool, { user: 'alice' })?.hint?.includes(`edit vm ${kubectl} --subresource=status`),
    );
  }
});
