import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNothingLeft, commandSuite, namesOf, until } from './suite.ts';

const suite = commandSuite({
  vms: [
    { name: 'a1', spec: { permissions: [{ user: 'alice', may: ['*'] }] } },
    { name: 'never', spec: { vm: { currentCpus: 1 } } },
  ],
});
const { run, start } = suite;

test('the choice of a name on a terminal: type to search, Enter takes it', async () => {
  const chosen = start('start --no-wait', { terminal: true });
  await chosen.shows('Which VM?');
  await chosen.shows('a1');
  chosen.runtime.type('nev');
  await until(() => !chosen.runtime.screen.text.includes('a1'));
  chosen.runtime.type('\r');
  const { code } = await chosen.ended;
  assert.equal(code, 0);
  assert.match(chosen.runtime.screen.text, /never was asked to start/);
  assertNothingLeft(chosen);
  await run('stop never');
});

test('Ctrl-C and signals in the choice', async () => {
  for (const [leave, exitCode] of [
    ['key', 130],
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const process = start('show', { terminal: true });
    await process.shows('Which VM?');
    if (leave === 'key') process.runtime.type('\u0003');
    else process.runtime.interrupt(leave);
    assert.equal((await process.ended).code, exitCode);
    assertNothingLeft(process);
  }
});

test('without a terminal a missing name is 2 and names those that one may use', async () => {
  for (const command of ['show', 'start', 'secret show', 'wait --for running', 'login -u alice']) {
    const { code, stderr } = await run(command, { user: 'alice' });
    assert.deepEqual([command, code, stderr], [command, 2, 'error: no VM was named\n  name one of: a1\n']);
  }
  const nobody = await run('start --as carol');
  assert.equal(nobody.code, 2);
  assert.match(nobody.stderr, /no VM was named, and there is none in namespace "default" that you may use/);
  assert.deepEqual(namesOf((await run('list --as alice --json')).json()), ['a1']);
});
