import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GROUP } from '../../src/lib/vm/types.ts';
import { assertGolden } from './golden.ts';
import { commandSuite, field } from './suite.ts';

const READ = ['get', 'list', 'watch'];
const everybody = { groups: ['system:authenticated'] };

const suite = commandSuite({
  users: { alice: [], bob: [] },
  rules: [
    { subjects: everybody, verbs: READ, apiGroups: [GROUP], resources: ['vms', 'vmpools'] },
    {
      subjects: { users: ['alice'] },
      verbs: ['patch'],
      apiGroups: [GROUP],
      resources: ['vms'],
      resourceNames: ['a1', 'b1'],
    },
    { subjects: { users: ['alice'] }, verbs: ['impersonate'], apiGroups: [''], resources: ['users'] },
  ],
  vms: [
    { name: 'a1', spec: { permissions: [{ user: 'alice', may: ['start', 'reset'] }] } },
    { name: 'b1', spec: { permissions: [{ user: 'bob', may: ['start'] }] } },
  ],
});
const { run } = suite;

test('yes and no, with exit codes 0 and 4', async () => {
  const alice = { user: 'alice' };
  const cases: [line: string, code: number, stdout: string, stderr: RegExp][] = [
    [
      'can-i start a1',
      0,
      'yes\n',
      /^spec\.permissions: alice holds start\nAPI server: its rules allow all that it takes\n$/,
    ],
    [
      'can-i stop a1',
      4,
      'no\n',
      /^spec\.permissions: alice does not hold stop; .*gives it to nobody.*\nAPI server: its rules allow .*\nThey differ: its admission policies/,
    ],
    [
      'can-i reset a1',
      4,
      'no\n',
      /^spec\.permissions: alice holds reset\nAPI server: its rules do not allow: get configmaps "a1", patch configmaps "a1", patch pods "a1"\nThey differ: .*vmop access apply/,
    ],
    ['can-i start b1', 4, 'no\n', /alice does not hold start; .* gives it to bob/],
    [
      'can-i start b1 --as bob',
      4,
      'no\n',
      /bob holds start\nAPI server: its rules do not allow: patch vms "b1"/,
    ],
    ['can-i start a1 -q', 0, 'yes\n', /^$/],
  ];
  for (const [line, code, stdout, stderr] of cases) {
    const result = await run(line, alice);
    assert.deepEqual([line, result.code, result.stdout], [line, code, stdout]);
    assert.match(result.stderr, stderr);
  }
  const admin = await run('can-i permissions a1');
  assert.deepEqual([admin.code, admin.stdout], [0, 'yes\n']);
});

test('as JSON, one object, with the same exit code', async () => {
  const no = await run('can-i reset a1 --json', { user: 'alice' });
  assert.equal(no.code, 4);
  assertGolden('can-i.json', no.stdout);
  assert.equal(field((await run('can-i start a1 --json', { user: 'alice' })).json(), 'allowed'), true);
});

test('--list: of one VM, and of all that one may use', async () => {
  const one = await run('can-i --list a1', { user: 'alice' });
  assert.deepEqual([one.code, one.stderr], [0, '']);
  assertGolden('can-i-list.txt', one.stdout);
  const all = await run('can-i --list', { user: 'alice' });
  assert.equal(all.stdout, one.stdout, 'rules and reviews say the same');
  assert.match((await run('can-i --list')).stdout, /^b1 +permissions +yes/m);
});

test('what cannot be answered', async () => {
  for (const [line, code] of [
    ['can-i', 2],
    ['can-i fly a1', 2],
    ['can-i start', 2],
    ['can-i --list start a1', 2],
    ['can-i start nope', 3],
  ] as const) {
    assert.equal((await run(line)).code, code, line);
  }
});
