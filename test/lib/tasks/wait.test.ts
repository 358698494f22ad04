import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseObject } from '../../../src/lib/cluster/parse.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { parseFor } from '../../../src/lib/tasks/wait.ts';
import { parseVm } from '../../../src/lib/vm/parse.ts';
import { RUNNING, vmObject } from '../vm/objects.ts';

const object = parseObject(
  vmObject({
    metadata: { annotations: { note: '{"k":1}', 'a.b/c': 'x=y', brace: 'b}' }, labels: {} },
    vm: { maximumCpus: 4 },
    conditions: { ...RUNNING, Booted: 'False/RunnerStarted' },
    status: { cpus: 2, empty: '', list: ['a', 'b'], flag: true },
  }),
  { apiVersion: '', kind: '' },
);
const vm = { ...parseVm(object), object };

describe('jsonpath conditions', () => {
  const cases: [text: string, holds: boolean][] = [
    ['jsonpath={.status.cpus}=2', true],
    ['jsonpath={.status.cpus}=3', false],
    ['jsonpath=.status.cpus=2', true],
    ['jsonpath={.spec.vm.state}=Running', true],
    ['jsonpath={.spec.vm.state}', true],
    ['jsonpath=.spec.vm.state', true],
    ['jsonpath={.status.loggedInUser}', false],
    ['jsonpath={.status.loggedInUser}=alice', false],
    ['jsonpath={.status.empty}', false],
    ['jsonpath={.status.empty}=', true],
    ['jsonpath={.status.flag}=true', true],
    ['jsonpath={.status.list}=["a","b"]', true],
    ['jsonpath={.status.list[*]}=a b', true],
    ['jsonpath={.status.conditions[?(@.type=="Running")].status}=True', true],
    ['jsonpath={.status.conditions[?(@.type=="Booted")].status}=True', false],
    ['jsonpath=.status.conditions[?(@.type=="Running")].status=True', true],
    ['jsonpath={.metadata.annotations.note}={"k":1}', true],
    ['jsonpath={.metadata.annotations.note}={"k":2}', false],
    ['jsonpath={.metadata.annotations.brace}=b}', true],
    ['jsonpath={.metadata.annotations.brace}=c}', false],
    [`jsonpath={.metadata.annotations['a.b/c']}=x=y`, true],
    [`jsonpath={.metadata.annotations['a.b/c']}=x`, false],
    ['jsonpath={.metadata.name}=desktop-1', true],
  ];
  for (const [text, holds] of cases) {
    test(text, () => assert.equal(parseFor(text).holds(vm), holds));
  }

  test('say what is not met', () => {
    assert.equal(parseFor('jsonpath={.status.cpus}=3').unmet, '.status.cpus is not 3');
    assert.equal(parseFor('jsonpath=.status.x').unmet, '.status.x has no value');
  });
});

test('the named conditions', () => {
  assert.equal(parseFor('running').holds(vm), true);
  assert.equal(parseFor('login=alice').holds(vm), false);
});

describe('anything else is a usage error that lists what there is', () => {
  for (const text of [
    '',
    'run',
    'login=',
    'login=root',
    'jsonpath=',
    'jsonpath={}',
    'jsonpath==x',
    'jsonpath',
    'toString',
  ]) {
    test(JSON.stringify(text), () => {
      assert.throws(
        () => parseFor(text),
        (error) => {
          assert.ok(error instanceof VmopError && error.code === 'usage');
          assert.match(error.hint ?? '', /running, stopped, .*login=USER, jsonpath=PATH=VALUE/);
          return true;
        },
      );
    });
  }
  for (const text of ['jsonpath={.a', 'jsonpath={.a[}=b', 'jsonpath={.a[?(@.b}=c', 'jsonpath=.a[=b']) {
    test(text, () => {
      assert.throws(
        () => parseFor(text),
        (error) => error instanceof VmopError && error.code === 'usage',
      );
    });
  }
});
