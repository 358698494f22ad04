import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApiProxy } from './api-proxy.ts';
import { assertGolden } from './golden.ts';
import { addVmElsewhere, assertNothingLeft, commandSuite, field, namesOf } from './suite.ts';

const suite = commandSuite(
  {
    users: { alice: ['staff'], bob: [], carol: [], 'oidc:dave': ['oidc:team'] },
    pools: [{ name: 'desks', spec: { permissions: [{ role: 'staff', may: ['accessConsole'] }] } }],
    vms: [
      {
        name: 'a1',
        labels: { team: 'blue' },
        spec: { permissions: [{ user: 'alice', may: ['start', 'accessConsole'] }] },
      },
      { name: 'b1', labels: { team: 'red' }, spec: { permissions: [{ user: 'bob', may: ['*'] }] } },
      { name: 'broken', spec: { vm: { maximumRam: 'lots', currentRam: '\u001b[31mred' } } },
      {
        name: 'p1',
        spec: { pools: ['desks'], permissions: [{ user: 'bob', may: ['*'] }] },
        status: { assignment: { pool: 'desks', user: 'alice' } },
      },
      {
        name: 's1',
        labels: { team: 'blue' },
        spec: { permissions: [{ role: 'staff', may: ['takeConsole'] }] },
      },
    ],
  },
  (sandbox) =>
    addVmElsewhere(sandbox, 'other', 'o1', {
      permissions: [{ user: 'bob', may: ['stop'] }],
      vm: { maximumCpus: 1 },
    }),
);
const { run, start } = suite;

test('a user sees the VMs on which a permission is held, by name, by role, and through the pool while assigned', async () => {
  assert.deepEqual(namesOf((await run('list --json', { user: 'alice' })).json()), ['a1', 'p1', 's1']);
  const bob = await run('list --json', { user: 'bob' });
  assert.deepEqual(namesOf(bob.json()), ['b1'], 'p1 is governed by its pool, which gives bob nothing');
});

test('an administrator sees all, and with --mine only what names them', async () => {
  assert.deepEqual(namesOf((await run('list --json')).json()), ['a1', 'b1', 'broken', 'p1', 's1']);
  assert.deepEqual((await run('list --mine --json')).json(), []);
  const asAlice = await run('list --mine --json --user-name alice');
  assert.deepEqual(namesOf(asAlice.json()), ['a1']);
});

test('--all-vms shows also what one may not use, and that one may not', async () => {
  const { code, stdout } = await run('list --all-vms', { user: 'bob' });
  assert.equal(code, 0);
  assertGolden('list-all-vms-bob.txt', stdout);
});

test('the table, of which scripts cut columns', async () => {
  const now = new Date();
  const { code, stdout, stderr } = await run('list', { now });
  assert.equal(code, 0);
  assert.equal(stderr, '');
  assertGolden('list.txt', stdout);
  assert.equal((await run('ls', { now })).stdout, stdout);
});

test('all formats', async () => {
  assertGolden('list.json', (await run('list -o json', { user: 'alice' })).stdout);
  assertGolden('list.yaml', (await run('list -o yaml', { user: 'alice' })).stdout);
  assertGolden('list-wide.txt', (await run('list -A -o wide')).stdout);
  assert.equal((await run('list -o name', { user: 'alice' })).stdout, 'a1\np1\ns1\n');
  assert.equal((await run(['list', '-o', 'jsonpath={[*].name}'], { user: 'alice' })).stdout, 'a1 p1 s1');
  assert.equal(
    (await run('list -o custom-columns=WHO:.name,MAY:.may[*] -l team', { user: 'alice' })).stdout,
    'WHO   MAY\na1    start,accessConsole\ns1    accessConsole,takeConsole\n',
  );
});

test('-A looks in all namespaces, -n in another one, -l at labels', async () => {
  assert.deepEqual(namesOf((await run('list -A --json', { user: 'bob' })).json()), ['b1', 'o1']);
  assert.deepEqual(namesOf((await run('list -n other --json', { user: 'bob' })).json()), ['o1']);
  assert.deepEqual(namesOf((await run('list -l team=blue --json')).json()), ['a1', 's1']);
  assert.deepEqual(namesOf((await run(['list', '-l', 'team in (red),!x', '--json'])).json()), ['b1']);
});

test('an object that cannot be understood is a row that says so', async () => {
  const { stdout } = await run(['list', '-o', 'custom-columns=NAME:.name,P:.problems[*]']);
  assert.match(stdout, /^broken +spec\.vm\.maximumRam is not a quantity,spec\.vm\.currentRam is not/m);
  assert.match((await run('list')).stdout, /^broken +stopped \(!\) /m);
});

test('an object without any spec is a row, too', async () => {
  const proxy = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfig,
    rewrite: (path, text) =>
      path.includes('/vms') ? text.replace(/"items":\[.*\]/s, '"items":[{"metadata":{"name":"x"}},7]') : text,
  });
  try {
    const { code, stdout } = await run(['list', '--server', proxy.url, '-o', 'wide']);
    assert.equal(code, 0);
    assert.match(stdout, /^x +stopped \(!\) .* spec is missing$/m);
  } finally {
    await proxy.close();
  }
});

test('an empty list says on stderr why, and is an empty list in JSON', async () => {
  const cases: [string, string, string][] = [
    [
      'list',
      'carol',
      '5 VMs are in namespace "default", but none gives the user "carol" or the roles system:authenticated ' +
        'a permission; vmop list --all-vms shows them.\n',
    ],
    ['list -n void', 'admin', 'There is no VM in namespace "void"; vmop list -A looks in all namespaces.\n'],
    ['list -A -l team=green', 'admin', 'There is no VM with the labels team=green in any namespace.\n'],
  ];
  for (const [line, user, reason] of cases) {
    const { code, stdout, stderr } = await run(line, { user });
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '', stderr: reason });
    const json = await run(`${line} --json`, { user });
    assert.equal(json.stdout, '[]\n');
    const quiet = await run(`${line} -q`, { user });
    assert.equal(quiet.stderr, '');
  }
});

test('a label selector that is none is a usage error', async () => {
  for (const line of [['list'], ['list', '-w'], ['stop']]) {
    const { code, stderr, stdout } = await run([...line, '-l', 'a=b=c']);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /^error: not a label selector: "a=b=c": "=" stands where a comma should\n/);
  }
});

test('who may not list the VMs is told so: 4', async () => {
  const proxy = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfig,
    meet: (_method, path) =>
      path.includes('/vms') ? { status: 403, body: { message: 'vms is forbidden' } } : undefined,
  });
  try {
    const named = 'you may read each VM there, but not list them: name the VM';
    const cases: [line: string, message: string, hint: string][] = [
      ...['list', 'list -w', 'start --all', 'show'].map((line): [string, string, string] => [
        line,
        'vms is forbidden',
        named,
      ]),
      ['secret show a1', 'vms is forbidden', 'ask an administrator of the namespace for this permission'],
      [
        'list -A',
        'you may not list the VMs of all namespaces',
        '-n NAMESPACE looks in one, where single VMs may be yours',
      ],
    ];
    for (const [line, message, hint] of cases) {
      const { code, stdout, stderr } = await run(`${line} --server ${proxy.url}`);
      assert.deepEqual([line, code, stdout, stderr], [line, 4, '', `error: ${message}\n  ${hint}\n`]);
    }
  } finally {
    await proxy.close();
  }
});

test('-w in a pipe prints a line per change that shows, and ends with 130 when interrupted', async () => {
  const process = start('list -w -l team', { user: 'alice' });
  await process.shows('s1 ');
  await suite.sandbox.patchSpec('a1', { vm: { state: 'Running' } });
  await process.shows('running');
  await suite.sandbox.patchSpec('a1', { permissions: [] });
  await process.shows('gone');
  process.runtime.interrupt('SIGINT');
  const { code, stdout, stderr } = await process.ended;
  assert.equal(code, 130);
  assert.equal(stderr, '');
  const lines = stdout.split('\n').map((line) => line.split(/ +/).slice(0, 2).join(' '));
  assert.deepEqual(lines, [
    'NAME STATE',
    'a1 stopped',
    's1 stopped',
    'a1 starting',
    'a1 running',
    'a1 gone',
    '',
  ]);
  assertNothingLeft(process);
  await suite.sandbox.patchSpec('a1', { permissions: [{ user: 'alice', may: ['start', 'accessConsole'] }] });
});

test('-w on nothing says why, and goes on', async () => {
  const process = start('list -w', { user: 'carol' });
  await process.shows('5 VMs are in namespace "default", but none gives the user "carol"');
  await suite.sandbox.patchSpec('a1', { permissions: [{ user: 'carol', may: ['start'] }] });
  await process.shows('a1 ');
  process.runtime.interrupt('SIGINT');
  await process.ended;
  await suite.sandbox.patchSpec('a1', { permissions: [{ user: 'alice', may: ['start', 'accessConsole'] }] });
});

test('-w follows assignments from pools', async () => {
  const process = start('list -w -o name', { user: 'alice' });
  await process.shows('s1');
  await suite.sandbox.patchStatus('b1', { assignment: { pool: 'desks', user: 'alice' } });
  await process.shows('b1');
  process.runtime.interrupt('SIGINT');
  assert.equal((await process.ended).stdout, 'a1\np1\ns1\nb1\n');
  await suite.sandbox.patchStatus('b1', { assignment: null });
});

test('-w -o json prints a line of JSON per change', async () => {
  const process = start('list -w -o json -l team=red');
  await process.shows('"b1"');
  await suite.sandbox.patchSpec('b1', { vm: { currentCpus: 3 } });
  await process.shows('"cpus":3');
  process.runtime.interrupt('SIGTERM');
  const { code, stdout } = await process.ended;
  assert.equal(code, 143);
  const rows = stdout
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
  assert.deepEqual(
    rows.map((row) => field(row, 'cpus')),
    [2, 3],
  );
});

test('-w on a terminal redraws the table in place', async () => {
  const process = start('list -w -l team', { user: 'bob', terminal: true });
  await process.shows('b1 ');
  await suite.sandbox.patchSpec('b1', { vm: { state: 'Running' } });
  await process.shows('running');
  const rows = process.runtime.screen.textWithScrollback.split('\n');
  assert.deepEqual(
    rows.map((row) => row.split(/ +/)[0]),
    ['NAME', 'b1'],
  );
  process.runtime.interrupt('SIGINT');
  const { code } = await process.ended;
  assert.equal(code, 130);
  assert.match(process.runtime.screen.text, /^NAME .*\nb1 +running/);
  assertNothingLeft(process);
});
