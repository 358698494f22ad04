import assert from 'node:assert/strict';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { addVmElsewhere, commandSuite } from './suite.ts';

const VMOP = path.join(import.meta.dirname, '../../bin/dev.js');

const suite = commandSuite(
  {
    vms: [{ name: 'a1' }],
  },
  (sandbox) =>
    addVmElsewhere(sandbox, 'other', 'o1', {
      permissions: [{ user: 'alice', may: ['*'] }],
      vm: { maximumCpus: 1 },
    }),
);

/** vmop in a process of its own. */
function spawnVmop(line: string, env: Record<string, string> = {}): ChildProcessWithoutNullStreams {
  const { folder, kubeconfig } = suite.sandbox;
  return spawn(process.execPath, [VMOP, ...line.split(' ')], {
    env: { PATH: process.env['PATH'], HOME: folder, KUBECONFIG: kubeconfig, ...env },
  });
}

async function ran(child: ChildProcessWithoutNullStreams) {
  child.stdin.end();
  const [[code, signal], stdout, stderr] = await Promise.all([
    once(child, 'close'),
    text(child.stdout),
    text(child.stderr),
  ]);
  const end: unknown = code ?? signal;
  return { end, stdout, stderr };
}

test('help is data and no error', async () => {
  const [help, command] = await Promise.all([ran(spawnVmop('--help')), ran(spawnVmop('list --help'))]);
  assert.match(
    help.stdout,
    /^The command line for virtual desktops[^]*\n {2}list +list the virtual machines/,
  );
  assert.match(command.stdout, /USAGE\n {2}\$ vmop list [^]*--all-vms/);
  for (const { end, stderr } of [help, command]) assert.deepEqual([end, stderr], [0, '']);
});

test('VMOP_ variables stand for flags, and flags win', async () => {
  const [variables, flag] = await Promise.all([
    ran(spawnVmop('list --mine -o name', { VMOP_NAMESPACE: 'other', VMOP_USER_NAME: 'alice' })),
    ran(spawnVmop('list -n void', { VMOP_NAMESPACE: 'other', VMOP_CONTEXT: 'elsewhere' })),
  ]);
  assert.deepEqual([variables.end, variables.stdout], [0, 'other/o1\n']);
  assert.equal(flag.end, 2);
  assert.match(flag.stderr, /there is no context "elsewhere"/);
});

test('signals end a process that waits, with their exit codes', async () => {
  for (const [signal, exitCode, word] of [
    ['SIGINT', 130, 'interrupted'],
    ['SIGTERM', 143, 'terminated'],
  ] as const) {
    const child = spawnVmop('wait a1 --for running');
    child.stderr.once('data', () => child.kill(signal));
    const { end, stderr } = await ran(child);
    assert.equal(stderr, `a1: stopped; waiting for running\nerror: ${word}\n`);
    assert.equal(end, exitCode);
  }
});

test('a reader that has seen enough ends it quietly', async () => {
  const child = spawnVmop('list -w');
  await once(child.stdout, 'data');
  child.stdout.destroy();
  await suite.sandbox.patchSpec('a1', { vm: { currentCpus: 3 } });
  const [[code], stderr] = await Promise.all([once(child, 'exit'), text(child.stderr)]);
  assert.deepEqual([code, stderr], [0, '']);
});
