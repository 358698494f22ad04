import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Situations } from '../../e2e/situations.ts';
import { consoleStage } from './stage.ts';

const stage = consoleStage();
const situations = new Situations('Usage');
const VM = 'vm-1';

/** What is asked for makes no sense: that is told before the cluster is asked. */
const SENSELESS: string[] = [
  '--file - --tunnel always',
  '--detach --tunnel always',
  '--file - --reconnect',
  '--detach --reconnect',
  '--file - --on-disconnect logout',
  '--file - --login alice',
  '--file /nowhere/desktop.vv',
  '--login-first',
  '--login root',
  '--login Not,A,Name',
  '--tunnel always --host 10.0.0.7',
  '--tunnel sometimes',
  '--on-disconnect explode',
  '--validity 0s',
  '--validity long',
  '--timeout soon',
  '--port 0',
  '--ca /nowhere/ca.pem',
  '--viewer remote-viewer --web',
  '--file - --web',
  '--detach --web',
  '--no-browser',
  '--viewer-arg {file} --web',
  '--viewer-arg {file} --file -',
  '--listen 0.0.0.0',
  '--web --listen 0.0.0.0',
  '--web --listen nowhere',
  '--web --listen 127.0.0.1 --listen-cert page.pem',
  '--web --listen-cert page.pem',
  '--web --listen 0.0.0.0 --listen-cert page.pem --listen-key page.key',
  '--web --listen 0.0.0.0 --listen-cert page.pem --listen-key page.key --listen-for-others',
  'vm-2',
  '--all',
  '--check --take',
  '--check --reconnect',
  '--check --file -',
];

test('what makes no sense is told', async (t) => {
  const viewer = await stage.viewer();
  for (const line of SENSELESS) {
    await t.test(line, async () => {
      const args = line === '--all' ? [line] : [VM, ...line.split(' ')];
      const ended = await stage.run(args, {
        env: { VMOP_VIEWER: /--(?:web|file|check)/.test(line) ? undefined : viewer },
      });
      assert.equal(ended.code, 2, ended.stdout + ended.stderr);
      situations.saw(line, ended, VM);
    });
  }
});

test('docs/console.md tells these', () =>
  situations.assertDocumented('node --test test/commands/console/usage.test.ts'));
