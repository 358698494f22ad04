import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { startApiProxy } from './api-proxy.ts';
import { assertGolden } from './golden.ts';
import { assertNothingLeft, commandSuite, field } from './suite.ts';

const suite = commandSuite({
  users: { alice: [] },
  vms: [
    { name: 'a1', spec: { permissions: [{ user: 'alice', may: ['*'] }] } },
    { name: 'never', spec: { vm: { currentCpus: 1 } } },
  ],
});
const { run, start } = suite;

/** Every command with the arguments that it needs. */
const COMMANDS = [
  'list',
  'login a1 -u alice',
  'logout a1',
  'reset a1',
  'restart a1',
  'secret expire a1',
  'secret rotate a1',
  'secret set a1',
  'secret show a1',
  'show a1',
  'start a1',
  'stop a1',
  'wait a1 --for running',
  'whoami',
];

const silent = () => startApiProxy({ meet: () => 'silence' });

test('what is not known is 2 and says where to look', async () => {
  for (const [line, message] of [
    ['nope', 'there is no command "nope"\n  vmop --help lists the commands'],
    ['secret nope', 'there is no command "secret nope"\n  vmop --help lists the commands'],
    ['list extra', 'there is no command "list extra"\n  vmop --help lists the commands'],
    ['list --nope', 'Nonexistent flag: --nope\n  add --help to see what it takes'],
    ['show a1 b1', 'Unexpected argument: b1\n  add --help to see what it takes'],
    ['list -n', 'Flag --namespace expects a value\n  add --help to see what it takes'],
  ] as const) {
    const { code, stdout, stderr } = await run(line);
    assert.deepEqual([line, code, stdout, stderr], [line, 2, '', `error: ${message}\n`]);
  }
});

test('with --json an error is an object on stdout, however JSON is asked for', async () => {
  const { code, stdout, stderr } = await run('start nope --json');
  assert.deepEqual([code, stderr], [3, '']);
  assertGolden('error.json', stdout);
  for (const line of [
    'start nope -o json',
    'start nope -ojson',
    'start nope --output=json',
    'start --output json nope',
  ]) {
    assert.equal((await run(line)).stdout, stdout);
  }
  for (const line of ['nope --json', 'list --json --nope', 'list --json -o name', 'start --json']) {
    const usage = await run(line);
    assert.deepEqual([usage.code, usage.stderr], [2, '']);
    assert.deepEqual(
      [field(usage.json(), 'error', 'code'), field(usage.json(), 'error', 'exitCode')],
      ['usage', 2],
    );
  }
  assert.equal((await run('start nope -o yaml')).stdout, '');
});

test('a format that is none, and a duration that is none, are 2 before anything is asked', async () => {
  const proxy = await startApiProxy();
  try {
    for (const command of COMMANDS) {
      for (const wrong of [
        '-o garbage',
        '-o jsonpath={',
        '-o custom-columns=',
        '--request-timeout soon',
        '--as-group g',
      ]) {
        const { code, stdout, stderr } = await run(`${command} ${wrong} --server ${proxy.url}`, {
          input: 'x\n',
        });
        assert.deepEqual([command, wrong, code, stdout], [command, wrong, 2, '']);
        assert.match(stderr, /^error: /);
      }
    }
    assert.deepEqual(proxy.requests, []);
  } finally {
    await proxy.close();
  }
});

test('a cluster that is not there is 7 and says why', async () => {
  const { sandbox } = suite;
  const none = await run('list', { env: { KUBECONFIG: undefined } });
  assert.equal(none.code, 7);
  assert.equal(
    none.stderr,
    'error: no cluster is configured: there is no kubeconfig\n' +
      '  set KUBECONFIG or pass --kubeconfig FILE; to try vmop without a cluster: vmop sandbox start\n',
  );
  const missing = await run('list --kubeconfig /does/not/exist');
  assert.deepEqual(
    [missing.code, missing.stderr.split('\n')[0]?.startsWith('error: the kubeconfig /does/not/exist cannot')],
    [7, true],
  );
  const nobody = await run('list --server http://127.0.0.1:1 --json');
  assert.equal(nobody.code, 7);
  assert.equal(field(nobody.json(), 'error', 'code'), 'unreachable');
  const broken = path.join(sandbox.folder, 'broken.kubeconfig');
  await writeFile(broken, '{');
  assert.equal((await run('list', { env: { KUBECONFIG: broken } })).code, 7);
  const stranger = path.join(sandbox.folder, 'stranger.kubeconfig');
  await writeFile(
    stranger,
    (await readFile(sandbox.kubeconfig, 'utf8')).replace(/token: .*/, 'token: wrong'),
  );
  const refused = await run('list', { env: { KUBECONFIG: stranger } });
  assert.equal(refused.code, 7);
  assert.match(refused.stderr, /Unauthorized\n {2}log in again/);
  assert.doesNotMatch(refused.stderr, /wrong/);
});

test('an unknown context is 2 and names those that there are', async () => {
  const { code, stderr } = await run('list --context elsewhere');
  assert.equal(code, 2);
  assert.match(stderr, /^error: there is no context "elsewhere" in .*\n {2}it has: vmop-sandbox\n$/);
  assert.equal((await run('list --context vmop-sandbox')).code, 0);
});

test('without any kubeconfig a running sandbox is used, and said to be', async () => {
  const folder = path.join(suite.sandbox.folder, 'running-sandbox');
  await mkdir(folder);
  await writeFile(path.join(folder, 'daemon.json'), '{}');
  await writeFile(path.join(folder, 'kubeconfig'), await readFile(suite.sandbox.kubeconfig));
  const env = { KUBECONFIG: undefined, VMOP_SANDBOX_DIR: folder };
  const { code, stdout, stderr } = await run('list -o name', { env });
  assert.deepEqual(
    [code, stdout, stderr],
    [0, 'a1\nnever\n', 'note: no kubeconfig: using the sandbox on this machine\n'],
  );
  assert.equal((await run('list -o name -q', { env })).stderr, '');
});

test('a server that never answers is 7 after --request-timeout', async () => {
  const proxy = await silent();
  try {
    for (const command of COMMANDS) {
      const { code, stderr } = await run(`${command} --request-timeout 50ms --server ${proxy.url}`, {
        input: 'x\n',
      });
      assert.deepEqual([command, code], [command, 7]);
      assert.match(stderr, /did not answer within 0\.1 s\n {2}is it up and reachable from here\?/);
    }
  } finally {
    await proxy.close();
  }
});

test('a --request-timeout of 0 is none', async () => {
  assert.equal((await run('list --request-timeout 0')).code, 0);
});

test('--as without a name is no way to act as oneself', async () => {
  const { code, stderr } = await run(['list', '--as', '']);
  assert.deepEqual([code, stderr], [2, 'error: --as needs the name of a user\n']);
});

test('a signal ends a command that waits for a server that never answers', async () => {
  const proxy = await silent();
  try {
    for (const command of [...COMMANDS, 'list -w']) {
      for (const [reason, exitCode] of [
        ['SIGINT', 130],
        ['SIGTERM', 143],
      ] as const) {
        const asked = proxy.requests.length;
        const process = start(`${command} --server ${proxy.url}`, { input: 'x\n' });
        await proxy.asked(asked + 1);
        process.runtime.interrupt(reason);
        const { code } = await process.ended;
        assert.deepEqual([command, code], [command, exitCode]);
        assertNothingLeft(process);
      }
    }
    await proxy.asked(0);
    await proxy.quiet();
  } finally {
    await proxy.close();
  }
});

test('quiet keeps warnings and errors, verbose changes nothing on stdout', async () => {
  const quiet = await run('start a1 nope -q');
  assert.equal(quiet.stdout, 'a1 is running\n');
  assert.equal(quiet.stderr, 'error: there is no VM "nope" in namespace "default"\n');
  await run('wait a1 --for agent');
  const login = await run('login a1 -u alice -q');
  assert.match(login.stderr, /^warning: .*\n$/);
  const now = new Date();
  assert.equal((await run('list -v', { now })).stdout, (await run('list', { now })).stdout);
  await run('stop a1');
});

test('colours only on a terminal that wants them', async () => {
  for (const [options, args, coloured] of [
    [{ terminal: true }, '', true],
    [{ terminal: true }, ' --no-color', false],
    [{ terminal: true, env: { NO_COLOR: '1' } }, '', false],
    [{ terminal: true, env: { TERM: 'dumb' } }, '', false],
    [{ terminal: false }, '', false],
    [{ terminal: false, env: { FORCE_COLOR: '1' } }, '', true],
  ] as const) {
    const { stdout } = await run(`list${args}`, options);
    assert.equal(stdout.includes('\u001b['), coloured, JSON.stringify([options, args]));
  }
  assert.ok(!(await run('list --json', { terminal: true })).stdout.includes('\u001b'));
});

test('when the reader of stdout goes, it ends quietly', async () => {
  for (const command of [
    'list',
    'list -w',
    'list --json',
    'list -w -o json',
    'show a1',
    'start a1 never --no-wait',
    'whoami',
  ]) {
    const gone = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    });
    const process = start(command, { stdout: gone });
    const { code, stderr } = await process.ended;
    assert.deepEqual([command, code], [command, 0]);
    assert.doesNotMatch(stderr, /EPIPE|error/);
  }
  await run('stop a1 never');
});

test('VMOP_DEBUG shows where an error came from, and nothing else does', async () => {
  assert.doesNotMatch((await run('start nope')).stderr, /\n {4}at /);
  assert.match(
    (await run('start nope', { env: { VMOP_DEBUG: '1' } })).stderr,
    /^error: .*\n {2}.*\nVmopError: .*\n {4}at /,
  );
  const json = await run('start nope --json', { env: { VMOP_DEBUG: '1' } });
  assert.equal(field(json.json(), 'error', 'code'), 'notFound');
});

test('what the API server says of me is remembered for minutes, and for nobody else', async () => {
  const proxy = await startApiProxy({ kubeconfig: suite.sandbox.kubeconfigFor('alice') });
  const reviews = (): number => proxy.requests.filter((request) => request.includes('selfsubject')).length;
  try {
    await run(`list --server ${proxy.url}`);
    assert.equal(reviews(), 2);
    await run(`list --server ${proxy.url}`);
    await run(`start a1 a1 --no-wait --server ${proxy.url}`);
    assert.equal(reviews(), 2);
    await run(`list --server ${proxy.url}`, { now: new Date(Date.now() + 6 * 60_000) });
    assert.equal(reviews(), 4);
    await run(`list --server ${proxy.url}`, { now: new Date(Date.now() - 60_000) });
    assert.equal(reviews(), 6, 'a time to come is not believed');
    await run(`start a1 never --no-wait --dry-run --server ${proxy.url}`, { user: 'alice' });
    assert.equal(reviews(), 8, 'asked once for several VMs');
    const folder = path.join(suite.sandbox.folder, '.cache/vmop/standing');
    for (const name of await readdir(folder)) {
      assert.match(name, /^[0-9a-f]{32}\.json$/);
      assert.equal((await stat(path.join(folder, name))).mode & 0o777, 0o600);
    }
  } finally {
    await proxy.close();
  }
});
