import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DISPLAY_SECRETS } from '../../src/lib/console/secret/display-secret.ts';
import { startApiProxy } from './api-proxy.ts';
import { assertGolden } from './golden.ts';
import { MY_OWN, createSecret, epoch, ref, secretOf, store, suite } from './secret-suite.ts';
import { assertNothingLeft, field } from './suite.ts';

const { run, start } = suite;

test('show tells about the Secret, and the password only with --reveal', async () => {
  await store('a1', { password: MY_OWN, expiry: 'never' });
  const shown = await run('secret show a1');
  assert.deepEqual([shown.code, shown.stdout], [0, 'a1: a1-display-secret, valid without end\n']);
  assertGolden('secret-show.json', (await run('secret show a1 --json')).stdout);
  const revealed = await run('secret show a1 --reveal');
  assert.equal(revealed.stdout, `a1: a1-display-secret, valid without end, password ${MY_OWN}\n`);
  const raw = await run(['secret', 'show', 'a1', '--reveal', '-o', 'jsonpath={.password}']);
  assert.equal(raw.stdout, MY_OWN);
  for (const [expiry, text] of [
    ['now', 'expired'],
    ['+90', 'valid for 1m30s from each start of the VM'],
    ['1000000000', 'expired at 2001-09-09T01:46:40Z'],
    ['4000000000', 'valid until 2096-10-02T07:06:40Z'],
  ] as const) {
    await store('a1', { expiry });
    assert.equal((await run('secret show a1')).stdout, `a1: a1-display-secret, ${text}\n`);
  }
});

test('what is in a Secret cannot command the terminal', async () => {
  await store('a1', { password: 'a\u001b]0;x' });
  const shown = start('secret show a1 --reveal', { terminal: true });
  assert.equal((await shown.ended).code, 0);
  assert.match(shown.runtime.screen.text, /password a\\x1b\]0;x/);
});

test('show says where there is none, and where none is asked for', async () => {
  assert.equal((await run('secret show never')).stdout, 'never: no display Secret\n');
  const open = await run('secret show open --json');
  assert.deepEqual(open.json(), {
    name: 'open',
    namespace: 'default',
    protected: false,
    changed: false,
    dryRun: false,
  });
  const unknown = await run('secret show nope');
  assert.equal(unknown.code, 3);
});

test('rotate sets a new password that the runner confirms', async () => {
  const before = await secretOf('a1');
  const earliest = Math.floor(epoch());
  const rotated = await run('secret rotate a1 --validity 90s');
  assert.equal(rotated.code, 0);
  assert.match(
    rotated.stdout,
    /^a1: a1-display-secret changed, valid until \S+Z, handed to QEMU by the runner, .*\n$/,
  );
  assert.match(rotated.stderr, /warning: a change of the display password makes the agent of a1 log out/);
  const after = await secretOf('a1');
  assert.notEqual(after.password, before.password);
  assert.equal(Buffer.from(after.password ?? '', 'base64').length, 16);
  assert.equal(suite.sandbox.driver.machine('a1')?.display.password, after.password);
  const expiry = Number(after.expiry) - 90;
  assert.ok(expiry >= earliest - 2 && expiry <= epoch() + 2);

  const json = await run('secret rotate a1 --json --reveal');
  assert.equal(field(json.json(), 'password'), (await secretOf('a1')).password);
  assertGolden('secret-rotate.json', (await run('secret rotate a1 --json')).stdout);
});

test('--keep uses a password that lasts longer than a new one would', async () => {
  await store('a1', { password: MY_OWN, expiry: String(Math.floor(epoch()) + 3600) });
  const kept = await run('secret rotate a1 --keep --validity 5m');
  assert.match(kept.stdout, /^a1: a1-display-secret, valid until \S+\n$/);
  assert.doesNotMatch(kept.stderr, /warning/, 'nothing is written, so nobody is disturbed');
  assert.equal((await secretOf('a1')).password, MY_OWN);
  const json = await run('secret rotate a1 --keep --json');
  assert.deepEqual([field(json.json(), 'changed'), field(json.json(), 'confirmed')], [false, undefined]);
  const late = await run('secret rotate a1 --keep --validity 2h --json');
  assert.equal(field(late.json(), 'changed'), true);
  assert.notEqual((await secretOf('a1')).password, MY_OWN);
});

test('a validity that makes no sense is 2, and nothing is asked of the cluster', async () => {
  const proxy = await startApiProxy();
  try {
    for (const line of [
      'secret rotate a1 --validity 0',
      'secret rotate a1 --validity 86401',
      'secret rotate a1 --validity 25h',
      'secret rotate a1 --validity never',
      'secret rotate a1 --timeout soon',
      'secret set a1 --validity 2d',
      'secret expire a1 --in 0s',
      'secret expire a1 --in -5',
      'secret expire a1 --in 5m --never',
    ]) {
      const { code, stdout, stderr } = await run(`${line} --server ${proxy.url}`, { input: 'x\n' });
      assert.deepEqual([line, code, stdout], [line, 2, '']);
      assert.match(stderr, /^error: /);
    }
    assert.deepEqual(proxy.requests, []);
  } finally {
    await proxy.close();
  }
  assert.equal((await run('secret rotate a1 --validity 24h')).code, 0);
});

test('a Secret of any name is found by its labels; of several the oldest is used, and all commands say so', async () => {
  const { stdout } = await run('secret rotate foreign --json');
  assert.equal(field(JSON.parse(stdout), 'secret'), 'chosen-by-somebody');
  assert.equal(
    suite.sandbox.driver.machine('foreign')?.display.password,
    (await secretOf('foreign')).password,
  );
  await createSecret('foreign', 'zz-second');
  for (const line of ['show', 'rotate', 'expire', 'set'].map((verb) => `secret ${verb} foreign`)) {
    const { code, stderr } = await run(line, { input: `${MY_OWN}\n` });
    assert.equal(code, 0);
    assert.match(
      stderr,
      /warning: several Secrets are labelled .*: chosen-by-somebody, the oldest, is used, not zz-second/,
    );
  }
  await suite.sandbox.admin.delete(DISPLAY_SECRETS, ref('zz-second'));
});

test('without a Secret there is nothing to change: 3; where the display asks for no password: 8', async () => {
  for (const [name, exitCode, message] of [
    ['never', 3, /never has no display Secret\n {2}VM-Operator makes one when the VM starts/],
    ['open', 8, /the display of open asks for no password/],
    ['open-off', 8, /the display of open-off asks for no password/],
  ] as const) {
    for (const verb of ['rotate', 'set', 'expire']) {
      const { code, stderr } = await run(`secret ${verb} ${name}`, { input: `${MY_OWN}\n` });
      assert.deepEqual([verb, name, code], [verb, name, exitCode]);
      assert.match(stderr, message);
    }
  }
});

test('what is not confirmed is said to be so, and is no error', async () => {
  const cases: [string, RegExp][] = [
    [
      'off',
      /^off: off-display-secret changed, .*, not confirmed: off is stopped: its next start applies the password\n/,
    ],
    ['held', /, not confirmed: held is starting: its next start applies/],
  ];
  for (const [name, expected] of cases) {
    const { code, stdout } = await run(`secret rotate ${name}`);
    assert.equal(code, 0);
    assert.match(stdout, expected);
  }
  // The runner's report does not reach us.
  const proxy = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfig,
    meet: (_method, path) => (path.includes('watch=true') ? 'silence' : undefined),
    rewrite: (path, text) =>
      path.includes('/vms')
        ? text.replaceAll(/"displayPasswordSerial":\d+/g, '"displayPasswordSerial":7')
        : text,
  });
  try {
    const { code, stdout } = await run(`secret rotate a2 --timeout 0 --json --server ${proxy.url}`);
    assert.equal(code, 0);
    assertGolden('secret-unconfirmed.json', stdout);
    const impatient = await run(`secret rotate a2 --no-wait --server ${proxy.url}`);
    assert.match(impatient.stdout, /not confirmed: /);
  } finally {
    await proxy.close();
  }
});

test('a serial that rises is a confirmation, also where QEMU refused: VM-Operator tells no more', async () => {
  const { code, stdout } = await run('secret rotate refuses --json');
  assert.equal(code, 0);
  assert.equal(field(JSON.parse(stdout), 'confirmed'), true);
});

test('--dry-run has the server check and changes nothing', async () => {
  const { resourceVersion } = await secretOf('a1');
  for (const verb of ['rotate', 'expire', 'set']) {
    const { code, stdout } = await run(`secret ${verb} a1 --dry-run`, { input: `${MY_OWN}\n` });
    assert.deepEqual([verb, code], [verb, 0]);
    assert.equal(
      stdout,
      'a1: the server would take the change of a1-display-secret (dry run, nothing changed)\n',
    );
  }
  assert.equal((await secretOf('a1')).resourceVersion, resourceVersion);
});

test('times are those of the API server, whatever the clock here says', async () => {
  const AHEAD = 300;
  const proxy = await startApiProxy({ kubeconfig: suite.sandbox.kubeconfig, clockAheadMs: AHEAD * 1000 });
  const now = new Date(Date.now() - AHEAD * 1000);
  try {
    for (const [line, validity] of [
      ['secret rotate a1', 60],
      ['secret set a1 --validity 2m', 120],
      ['secret expire a1 --in 3m', 180],
    ] as const) {
      const earliest = Math.floor(epoch());
      assert.equal((await run(`${line} --server ${proxy.url}`, { now, input: MY_OWN })).code, 0);
      const expiry = Number((await secretOf('a1')).expiry) - validity - AHEAD;
      assert.ok(expiry >= earliest - 2 && expiry <= epoch() + 2, line);
    }
    // Valid for 180 s from now + 300 s there: over for whoever looks from 600 s later, and not for a clock before it.
    await store('a1', { expiry: String(Math.floor(epoch()) + 60) });
    const there = await run(`secret show a1 --server ${proxy.url}`, { now });
    assert.match(there.stdout, /expired at/);
    const detail = await run(`show a1 --server ${proxy.url}`, { now });
    assert.match(detail.stdout, /^Password: .* expired at/m);
    const here = await run('secret show a1', { now: new Date(Date.now() + AHEAD * 1000) });
    assert.match(here.stdout, /valid until/);
  } finally {
    await proxy.close();
  }
});

test('who may not use the console may not change its password: 4', async () => {
  const { resourceVersion } = await secretOf('a1');
  for (const verb of ['rotate', 'set', 'expire']) {
    const { code, stderr } = await run(`secret ${verb} a1`, { user: 'bob', input: `${MY_OWN}\n` });
    assert.deepEqual([verb, code], [verb, 4]);
    assert.match(stderr, /^error: bob does not hold the permission accessConsole on a1\n/m);
  }
  assert.equal((await secretOf('a1')).resourceVersion, resourceVersion);
});

test('several VMs: all are tried and all are told', async () => {
  const { code, stdout, stderr } = await run('secret rotate a1 never nope open');
  assert.equal(code, 1);
  assert.match(stdout, /^a1: a1-display-secret changed, .*\n$/);
  assert.deepEqual(stderr.match(/^error: .*$/gm), [
    'error: never has no display Secret',
    'error: there is no VM "nope" in namespace "default"',
    'error: the display of open asks for no password, so there is none to change',
  ]);
});

test('a signal ends the wait for the runner', async () => {
  const proxy = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfig,
    rewrite: (path, text) =>
      path.includes('/vms')
        ? text.replaceAll(/"displayPasswordSerial":\d+/g, '"displayPasswordSerial":7')
        : text,
    meet: (_method, path) => (path.includes('watch=true') ? 'silence' : undefined),
  });
  try {
    const waiting = start(`secret rotate a2 --timeout 1h --server ${proxy.url}`);
    const { password } = await secretOf('a2');
    while ((await secretOf('a2')).password === password);
    waiting.runtime.interrupt('SIGINT');
    assert.equal((await waiting.ended).code, 130);
    assertNothingLeft(waiting);
  } finally {
    await proxy.close();
  }
});
