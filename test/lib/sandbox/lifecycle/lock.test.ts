import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { withLock } from '../../../../src/lib/sandbox/lock.ts';
import { identifyProcess, isSameProcessRunning } from '../../../../src/lib/sandbox/process-identity.ts';

const OPTIONS = { timeoutMs: 10_000, signal: new AbortController().signal };

async function lockIn(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-lock-'));
  t.after(() => rm(folder, { recursive: true }));
  return path.join(folder, 'lock');
}

test('one works at a time, and nothing is left afterwards', async (t) => {
  const lock = await lockIn(t);
  let inside = 0;
  const work = async (): Promise<void> => {
    inside += 1;
    assert.equal(inside, 1);
    await new Promise((resolve) => setImmediate(resolve));
    inside -= 1;
  };
  await Promise.all([1, 2, 3].map(() => withLock(lock, OPTIONS, work)));
  await assert.rejects(
    withLock(lock, OPTIONS, () => Promise.reject(new Error('mine'))),
    /mine/,
  );
  assert.deepEqual(await readdir(path.dirname(lock)), []);
});

for (const [name, holder] of [
  ['a process that has ended', { pid: 2 ** 22 - 1, started: 'x' }],
  ['a process whose number went to another one', { pid: process.pid, started: 'long ago' }],
  ['nobody can tell', {}],
] as const) {
  test(`the lock of ${name} is taken over`, async (t) => {
    const lock = await lockIn(t);
    await writeFile(lock, JSON.stringify(holder));
    assert.equal(await withLock(lock, OPTIONS, () => Promise.resolve(7)), 7);
    assert.deepEqual(await readdir(path.dirname(lock)), []);
  });
}

test('waiting for it ends by time and by signal', async (t) => {
  const lock = await lockIn(t);
  await withLock(lock, OPTIONS, async () => {
    const never = () => Promise.reject(new Error('never'));
    await assert.rejects(withLock(lock, { ...OPTIONS, timeoutMs: 0 }, never), { code: 'timeout' });
    const signal = AbortSignal.abort(new Error('interrupted'));
    await assert.rejects(withLock(lock, { ...OPTIONS, signal }, never), /interrupted/);
  });
});

test('a process is known by its number and its start', async () => {
  const self = await identifyProcess(process.pid);
  assert.ok(self);
  assert.equal(await isSameProcessRunning(self), true);
  assert.equal(await isSameProcessRunning({ ...self, started: `${self.started}0` }), false);
  assert.equal(await identifyProcess(2 ** 22 - 1), undefined);
});
