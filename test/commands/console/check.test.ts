import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PolicyRule } from '../../../src/lib/sandbox/api/index.ts';
import { GROUP } from '../../../src/lib/vm/types.ts';
import { field, namesOf } from '../suite.ts';
import { consoleStage } from './stage.ts';

const READ = ['get', 'list', 'watch'];
const rule = (user: string, apiGroup: string, resources: string[], verbs = READ): PolicyRule => ({
  subjects: { users: [user] },
  verbs,
  apiGroups: [apiGroup],
  resources,
});
const stage = consoleStage({
  rules: [
    rule('alice', GROUP, ['vms', 'vmpools']),
    rule('alice', '', ['pods/portforward'], ['get', 'create']),
  ],
});
const ELSEWHERE = 'hosts:\n  127.0.0.1: 127.0.0.77\n';

describe('vmop console --check', { concurrency: true }, () => {
  test('one VM: its way, and nothing is changed', async (t) => {
    const vm = await stage.vm(t, { name: 'fine' });
    const { resourceVersion } = await vm.secret();
    const table = await stage.run(['--check', vm.name]);
    assert.equal(table.code, 0, table.stderr);
    assert.match(table.stdout, /^NAME +CONSOLE +WAY +AT +TOOK/);
    assert.match(table.stdout, /^vm-fine +reached +direct +127\.0\.0\.1:\d+ +\d+ ms/m);
    const { stdout } = await stage.run(['--check', vm.name, '-o', 'wide']);
    assert.match(stdout, /tcp \d+ ms, greeting \d+ ms/);
    const json = (await stage.run(['--check', vm.name, '--json'])).json();
    assert.deepEqual(
      [field(json, 'reachable'), field(json, 'via'), field(json, 'port')],
      [true, 'direct', vm.server.port],
    );
    assert.equal((await vm.secret()).resourceVersion, resourceVersion);
  });

  test('one that is not reached ends with its own error’s code', async (t) => {
    const vm = await stage.vm(t, { name: 'shut' });
    await vm.server.close();
    const shut = await stage.run(['--check', vm.name]);
    assert.equal(shut.code, 9, shut.stderr);
    assert.match(shut.stdout, /^vm-shut +not reached/m);
    const json = await stage.run(['--check', vm.name, '--json']);
    assert.equal(json.code, 9);
    assert.deepEqual(
      [
        field(json.json(), 'reachable'),
        field(json.json(), 'error', 'code'),
        field(json.json(), 'steps', 0, 'name'),
      ],
      [false, 'console', 'tcp'],
    );
    await stage.sandbox.patchSpec(vm.name, { vm: { state: 'Stopped' } });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.runnerVersion === undefined);
    assert.equal((await stage.run(['--check', vm.name])).code, 8);
    assert.equal((await stage.run(['--check', 'nowhere'])).code, 3);
  });

  test('several, one of which is not reached, end with 1', async (t) => {
    const fine = await stage.vm(t, { name: 'several-fine', labels: { of: 'several' } });
    const shut = await stage.vm(t, { name: 'several-shut', labels: { of: 'several' } });
    await shut.server.close();
    const ended = await stage.run(['--check', '-l', 'of=several', '--json']);
    assert.equal(ended.code, 1, ended.stderr);
    assert.deepEqual(namesOf(ended.json()), [fine.name, shut.name]);
    const reached = await stage.run(['--check', fine.name, fine.name]);
    assert.equal(reached.code, 0, reached.stderr);
    assert.equal((await stage.run(['--check', fine.name, shut.name])).code, 1);
    assert.equal((await stage.run(['--check', fine.name, 'nowhere'])).code, 1);
  });

  test('through the API server, when the direct way fails, and why that was not taken', async (t) => {
    const vm = await stage.vm(t, { name: 'behind' });
    const env = { VMOP_CONFIG: await stage.config(ELSEWHERE) };
    const json = (await stage.run(['--check', vm.name, '--json'], { env })).json();
    assert.deepEqual([field(json, 'reachable'), field(json, 'via')], [true, 'tunnel']);
    assert.match(String(field(json, 'error', 'message')), /nothing accepts connections at 127\.0\.0\.77/);
    assert.equal((await stage.run(['--check', vm.name, '--tunnel', 'never'], { env })).code, 9);
  });

  test('where pods may not be read, the API server may still know the way', async (t) => {
    const spec = { permissions: [{ user: 'alice', may: ['accessConsole'] }] };
    const vm = await stage.vm(t, { name: 'podless', spec });
    const json = (await stage.run(['--check', vm.name, '--json'], { user: 'alice' })).json();
    assert.deepEqual([field(json, 'reachable'), field(json, 'via')], [true, 'tunnel']);
  });
});
