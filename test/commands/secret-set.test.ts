import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VmopProcess } from '../helpers/vmop.ts';
import { startApiProxy } from './api-proxy.ts';
import { assertGolden } from './golden.ts';
import { MY_OWN, epoch, secretOf, store, suite } from './secret-suite.ts';
import { assertNothingLeft, assertNotPrinted, namesOf } from './suite.ts';

const { run, start } = suite;

test('set takes the first line of standard input', async () => {
  const { code, stdout } = await run('secret set a1 a2 --validity 8h --json', {
    input: `${MY_OWN}\r\nsecond\n`,
  });
  assert.equal(code, 0);
  assert.deepEqual(namesOf(JSON.parse(stdout)), ['a1', 'a2']);
  for (const name of ['a1', 'a2']) {
    assert.equal((await secretOf(name)).password, MY_OWN);
    assert.equal(suite.sandbox.driver.machine(name)?.display.password, MY_OWN);
  }
  const never = await run('secret set a1 --validity never', { input: 'without a line end' });
  assert.match(
    never.stdout,
    /^a1: a1-display-secret changed, valid without end, handed to QEMU by the runner, .*\n$/,
  );
  assert.equal((await secretOf('a1')).password, 'without a line end');
});

test('set refuses what QEMU would not take, and does not repeat it', async () => {
  const { resourceVersion } = await secretOf('a1');
  for (const input of ['', '\n', `${'x'.repeat(60)}\n`, 'half\0nul\n']) {
    const { code, stdout, stderr } = await run('secret set a1', { input, env: { VMOP_DEBUG: '1' } });
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /error: the password /);
    assert.doesNotMatch(stderr, /xxx|half/);
  }
  assert.equal((await secretOf('a1')).resourceVersion, resourceVersion);
});

test('set on a terminal asks after it has found the VM, and shows nothing of what is typed', async () => {
  const typed = start('secret set a1', { terminal: true });
  await typed.shows('New display password:');
  typed.runtime.type('tYped-by-hand\r');
  const { code } = await typed.ended;
  assert.equal(code, 0);
  assert.match(typed.runtime.screen.textWithScrollback, /^New display password:$/m);
  assert.doesNotMatch(typed.runtime.screen.textWithScrollback, /tYped|\*\*/);
  assert.equal((await secretOf('a1')).password, 'tYped-by-hand');

  const unknown = start('secret set nope', { terminal: true });
  assert.equal((await unknown.ended).code, 3);
  assert.doesNotMatch(unknown.runtime.screen.textWithScrollback, /New display password/);

  for (const [leave, exitCode] of [
    [(aborted: VmopProcess) => aborted.runtime.type('half\u0003'), 130],
    [(aborted: VmopProcess) => aborted.runtime.interrupt('SIGTERM'), 143],
  ] as const) {
    const aborted = start('secret set a1', { terminal: true });
    await aborted.shows('New display password:');
    leave(aborted);
    assert.equal((await aborted.ended).code, exitCode);
    assertNothingLeft(aborted);
  }
  assert.equal((await secretOf('a1')).password, 'tYped-by-hand');
});

test('expire ends the password, now or later', async () => {
  await store('a1', { password: MY_OWN, expiry: 'never' });
  assertGolden('secret-expire.json', (await run('secret expire a1 --json')).stdout);
  assert.equal((await secretOf('a1')).expiry, 'now');
  const again = await run('secret expire a1');
  assert.deepEqual([again.code, again.stdout], [0, 'a1: a1-display-secret, expired\n']);
  const earliest = Math.floor(epoch());
  const later = await run('secret expire a1 --in 5m');
  assert.match(later.stdout, /^a1: a1-display-secret changed, valid until \S+Z\n$/);
  const expiry = Number((await secretOf('a1')).expiry) - 300;
  assert.ok(expiry >= earliest - 2 && expiry <= epoch() + 2);
  assert.match((await run('secret expire a1 --never')).stdout, /changed, valid without end\n$/);
  assert.equal((await secretOf('a1')).password, MY_OWN);
});

test('no command, format or error prints a password that is not asked for', async () => {
  const canary = 'c4nary+in/a=coalmine';
  const failing = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfig,
    meet: (method) => (method === 'PATCH' ? { status: 500, body: { message: 'broken' } } : undefined),
  });
  try {
    for (const line of [
      'show a1',
      'list -A',
      'secret show a1',
      'secret show --all',
      'secret rotate a1 --keep --validity 1s',
      'secret rotate a1 --dry-run',
      `secret rotate a1 --server ${failing.url}`,
      `secret set a1 --server ${failing.url}`,
      `secret expire a1 --server ${failing.url}`,
      'secret expire a1 --never',
      'secret set a1 --validity never --no-wait',
      'secret set a1 --dry-run',
      'wait a1 --for password',
      'start a1',
      'login a1 -u alice',
      'logout a1',
      'whoami',
    ]) {
      await store('a1', { password: canary, expiry: 'never' });
      for (const format of [
        'table',
        'wide',
        'json',
        'yaml',
        'name',
        'jsonpath={}',
        'custom-columns=A:.*,P:.password',
      ]) {
        await run([...line.split(' '), '-v', '-o', format], {
          input: `${canary}\n`,
          env: { VMOP_DEBUG: '1' },
        });
      }
    }
  } finally {
    await failing.close();
  }
  assertNotPrinted([canary, MY_OWN, 'tYped-by-hand', 'without a line end']);
});
