import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { detectViewer } from '../../../../src/lib/console/viewer/detect.ts';
import { describePlatform } from '../../../../src/lib/console/viewer/platform.ts';

test('this machine is described: programs in PATH, only those that may be executed', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  t.after(() => rm(folder, { recursive: true }));
  const [first, second] = [path.join(folder, 'first'), path.join(folder, 'second')];
  await Promise.all([first, second].map((name) => mkdir(name)));
  await writeFile(path.join(first, 'remote-viewer'), '', { mode: 0o644 });
  await writeFile(path.join(second, 'remote-viewer'), '', { mode: 0o755 });
  await writeFile(path.join(second, 'mine'), '');
  await chmod(path.join(second, 'mine'), 0o755);
  const env = { PATH: `${first}:${second}:/nowhere`, HOME: folder, DISPLAY: ':0' };

  const found = detectViewer(await describePlatform(env, undefined, 'linux'));
  assert.ok('plan' in found);
  assert.equal(found.plan.command, path.join(second, 'remote-viewer'));

  const asked = detectViewer(await describePlatform(env, 'mine', 'linux'), { command: 'mine' });
  assert.ok('plan' in asked);
  assert.equal(asked.plan.command, path.join(second, 'mine'));

  const mine = path.join(second, 'mine');
  assert.ok('plan' in detectViewer(await describePlatform(env, mine, 'linux'), { command: mine }));
});

test('a user-wide Flatpak is found without asking Flatpak', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  t.after(() => rm(folder, { recursive: true }));
  await mkdir(path.join(folder, '.local/share/flatpak/app/org.virt_manager.virt-viewer'), {
    recursive: true,
  });
  await writeFile(path.join(folder, 'flatpak'), '', { mode: 0o755 });
  const env = { PATH: folder, HOME: folder, DISPLAY: ':0' };
  const found = detectViewer(await describePlatform(env, undefined, 'linux'));
  assert.ok('plan' in found);
  assert.equal(found.plan.name, 'remote-viewer (Flatpak)');
});

test('an empty environment is no obstacle', async () => {
  const platform = await describePlatform({}, undefined, 'linux');
  assert.ok('problem' in detectViewer({ ...platform, files: new Set() }));
});
