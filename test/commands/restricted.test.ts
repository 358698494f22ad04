import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyRule } from '../../src/lib/sandbox/api/index.ts';
import { GROUP } from '../../src/lib/vm/types.ts';
import { startApiProxy } from './api-proxy.ts';
import { assertNothingLeft, commandSuite, namesOf } from './suite.ts';

const named = (
  user: string,
  verbs: string[],
  resources: string[],
  ...resourceNames: string[]
): PolicyRule => ({
  subjects: { users: [user] },
  verbs,
  apiGroups: [GROUP],
  resources,
  resourceNames,
  namespaces: ['default'],
});
const ALICE = [{ user: 'alice', may: ['start', 'stop'] }];

/** alice may read and change two VMs that are hers, one that her pool governs, and one that is not there. */
const suite = commandSuite({
  users: { alice: [], bob: [] },
  rules: [
    named('alice', ['get', 'watch', 'patch'], ['vms'], 'a1', 'a2', 'p1', 'gone'),
    named('alice', ['get'], ['vmpools'], 'desks'),
  ],
  pools: [{ name: 'desks', spec: { permissions: [{ user: 'alice', may: ['accessConsole'] }] } }],
  vms: [
    { name: 'a1', labels: { team: 'blue' }, spec: { permissions: ALICE } },
    { name: 'a2', spec: { permissions: ALICE } },
    { name: 'b1', labels: { team: 'blue' }, spec: { permissions: ALICE } },
    { name: 'p1', spec: { pools: ['desks'] }, status: { assignment: { pool: 'desks', user: 'alice' } } },
  ],
});
const { run, start } = suite;
const alice = { user: 'alice' };

test('list, and list with labels: only what the rules name', async () => {
  const { code, stderr, ...listed } = await run('list --json', alice);
  assert.deepEqual([code, stderr, namesOf(listed.json())], [0, '', ['a1', 'a2', 'p1']]);
  assert.deepEqual(namesOf((await run('list -l team=blue --json', alice)).json()), ['a1']);
});

test('--all, with a wait for each', async () => {
  const { code, stdout } = await run('start --all', alice);
  assert.deepEqual([code, stdout], [0, 'a1 is running\na2 is running\n']);
  const stopped = await run('stop -l team=blue --yes -o name', alice);
  assert.deepEqual([stopped.code, stopped.stdout], [0, 'a1\n']);
  await run('stop a2', alice);
});

test('the choice of a name', async () => {
  const without = await run('start', alice);
  assert.equal(without.code, 2);
  assert.match(without.stderr, /name one of: a1, a2, p1\n/);
  const chosen = start('start --no-wait', { ...alice, terminal: true });
  await chosen.shows('a2');
  assert.ok(!chosen.runtime.screen.text.includes('b1'));
  chosen.runtime.type('\u0003');
  assert.equal((await chosen.ended).code, 130);
  assertNothingLeft(chosen);
});

test('list -w', async () => {
  const process = start('list -w -l team=blue', alice);
  await process.shows('a1 ');
  await suite.sandbox.patchSpec('a1', { vm: { currentCpus: 3 } });
  await process.shows(' 3 ');
  await suite.sandbox.admin.patch(
    {
      group: GROUP,
      version: 'v1',
      plural: 'vms',
      kind: 'VirtualMachine',
      namespaced: true,
      parse: () => undefined,
    },
    { namespace: 'default', name: 'a1' },
    { type: 'merge', body: { metadata: { labels: { team: 'red' } } } },
  );
  await process.shows('gone ');
  process.runtime.interrupt('SIGINT');
  const { code, stderr } = await process.ended;
  assert.deepEqual([code, stderr], [130, '']);
  assertNothingLeft(process);
});

test('rules that the API server knows only in part: said', async () => {
  const proxy = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfigFor('alice'),
    rewrite: (path, text) =>
      path.includes('selfsubjectrulesreviews')
        ? text.replace('"incomplete":false', '"incomplete":true,"evaluationError":"a webhook"')
        : text,
  });
  try {
    const said =
      'warning: the API server does not know all that you may do in namespace "default" (a webhook): ' +
      'there may be more VMs that are yours\n';
    const listed = await run(`list -o name --server ${proxy.url}`, alice);
    assert.deepEqual([listed.code, listed.stdout, listed.stderr], [0, 'a1\na2\np1\n', said]);
    const watching = start(`list -w -o name --server ${proxy.url}`, alice);
    await watching.shows('p1');
    watching.runtime.interrupt('SIGINT');
    assert.equal((await watching.ended).stderr, said);
    assert.equal(
      (await run(`whoami --server ${proxy.url}`, alice)).stdout.match(/^Incomplete: .*$/m)?.length,
      1,
    );
  } finally {
    await proxy.close();
  }
});

test('what no rule names', async () => {
  const foreign = await run('show b1', alice);
  assert.equal(foreign.code, 4);
  assert.match(
    foreign.stderr,
    /^error: alice may not read VM "b1" in namespace "default"\n {2}vmop list -n default shows/,
  );
  const none = await run('list', { user: 'bob' });
  assert.equal(none.code, 4);
  assert.match(none.stderr, /cannot list resource "vms".*\n {2}ask an administrator of the namespace/);
  const me = await run('whoami', { user: 'bob' });
  assert.equal(me.code, 0);
  assert.match(me.stdout, /^VMs: +none names you\nIncomplete: .*cannot list resource/m);
});
