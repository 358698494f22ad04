import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { addVmElsewhere, commandSuite, field } from './suite.ts';

const spec = { vm: { maximumCpus: 1 } };
const suite = commandSuite({ vms: [{ name: 'a1' }] }, (sandbox) =>
  addVmElsewhere(sandbox, 'desks', 'd1', spec),
);

/** The administrator's kubeconfig with a context whose namespace is `desks`. */
async function contextOfDesks(): Promise<Record<string, string>> {
  const { folder, kubeconfig } = suite.sandbox;
  const text = await readFile(kubeconfig, 'utf8');
  const file = path.join(folder, 'desks.kubeconfig');
  await writeFile(file, text.replace('namespace: default', 'namespace: desks'));
  return { KUBECONFIG: file };
}

test('what -o name prints is the same VM to the next command, whatever the namespace of the context', async () => {
  const env = await contextOfDesks();
  for (const [line, printed] of [
    ['list -o name', 'd1\n'],
    ['list -n desks -o name', 'd1\n'],
    ['list -n default -o name', 'default/a1\n'],
    ['list -A -o name', 'default/a1\nd1\n'],
    ['show a1 -n default -o name', 'default/a1\n'],
    ['can-i start default/a1 -o name', 'default/a1\n'],
    ['stop --all -n default -o name --dry-run', 'default/a1\n'],
  ] as const) {
    const { stdout } = await suite.run(line, { env });
    assert.deepEqual([line, stdout], [line, printed]);
    const again = await suite.run(['stop', ...stdout.trim().split('\n'), '--no-wait', '--dry-run'], { env });
    assert.deepEqual([line, again.code], [line, 0], again.stderr);
  }
});

test('so are the commands in hints', async () => {
  const env = await contextOfDesks();
  for (const [line, hint] of [
    ['reset d1', 'vmop start d1'],
    ['reset a1 -n default', 'vmop start default/a1'],
    ['reset d1 -n desks', 'vmop start d1'],
  ] as const) {
    const { code, stderr } = await suite.run(line, { env });
    assert.deepEqual([line, code, stderr.trimEnd().split('\n').at(-1)], [line, 8, `  ${hint}`]);
  }
  const json = (await suite.run('reset a1 -n default --json', { env })).json();
  assert.equal(field(json, 'error', 'hint'), 'vmop start default/a1');
});
