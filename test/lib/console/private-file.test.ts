import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { createPrivateFile, writeConnectionFile } from '../../../src/lib/console/private-file.ts';
import { rejectionOf } from './helpers.ts';

const modeOf = async (file: string): Promise<string> => ((await stat(file)).mode & 0o777).toString(8);

test('a private file is for this user alone, and can be removed more than once', async () => {
  const before = process.listenerCount('exit');
  const file = await createPrivateFile('console.vv', 'secret');
  assert.equal(await readFile(file.path, 'utf8'), 'secret');
  assert.equal(await modeOf(file.path), '600');
  assert.equal(await modeOf(path.dirname(file.path)), '700');
  await file.remove();
  await file.remove();
  await assert.rejects(stat(path.dirname(file.path)));
  assert.equal(process.listenerCount('exit'), before);
});

test('a file that cannot be written leaves no folder', async () => {
  const error = await rejectionOf(createPrivateFile('no/such/folder', 'secret'));
  assert.equal(error.code, 'console');
  assert.match(error.message, /^no temporary file can be written: /);
});

test('a connection file replaces what was there, with its own mode', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'desktop-1.vv');
  await writeFile(file, 'an older one', { mode: 0o644 });
  await chmod(file, 0o644);
  await writeConnectionFile(file, 'new');
  assert.equal(await readFile(file, 'utf8'), 'new');
  assert.equal(await modeOf(file), '600');
  assert.deepEqual(await readdir(folder), ['desktop-1.vv']);
});

test('a connection file that cannot be written leaves nothing', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  t.after(() => rm(folder, { recursive: true }));
  const missing = await rejectionOf(writeConnectionFile(path.join(folder, 'a\u001b', 'x.vv'), 'new'));
  assert.equal(missing.code, 'failed');
  assert.match(missing.message, /^the connection file ".*\\x1b\/x\.vv" cannot be written: /);
  assert.doesNotMatch(missing.message, /\p{Cc}/u);
  // A folder stands in the way of the last step.
  assert.equal((await rejectionOf(writeConnectionFile(folder, 'new'))).code, 'failed');
  assert.deepEqual(await readdir(folder), []);
  assert.deepEqual(
    (await readdir(path.dirname(folder))).filter((name) => name.startsWith(`.${path.basename(folder)}`)),
    [],
  );
});
