import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkQueue } from '../../../../src/lib/sandbox/operator/work-queue.ts';

/** A queue whose work ends when the test says so. */
function controlled(concurrency: number) {
  const begun: string[] = [];
  const waiting = new Map<string, { end: () => void; fail: (error: Error) => void }>();
  const failures: [string, number][] = [];
  let notify: () => void = () => {};
  const queue = new WorkQueue({
    concurrency,
    work: (key) => {
      begun.push(key);
      notify();
      return new Promise((resolve, reject) => waiting.set(key, { end: resolve, fail: reject }));
    },
    onFailure: (key, _error, retryMs) => failures.push([key, retryMs]),
  });
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const nextBegin = (): Promise<void> =>
    new Promise((resolve) => {
      notify = resolve;
    });
  return { queue, begun, waiting, failures, settle, nextBegin };
}

test('a key is worked on once at a time, and once more when it was added meanwhile', async () => {
  const { queue, begun, waiting, settle } = controlled(4);
  for (let times = 0; times < 3; times++) queue.add('a');
  assert.deepEqual(begun, ['a']);
  waiting.get('a')?.end();
  await settle();
  assert.deepEqual(begun, ['a', 'a']);
  waiting.get('a')?.end();
  await queue.stop();
});

test('keys are worked on side by side up to a limit', async () => {
  const { queue, begun, waiting, settle } = controlled(2);
  for (const key of ['a', 'b', 'c']) queue.add(key);
  assert.deepEqual(begun, ['a', 'b']);
  waiting.get('b')?.end();
  await settle();
  assert.deepEqual(begun, ['a', 'b', 'c']);
  for (const { end } of waiting.values()) end();
  await queue.stop();
});

test('a failure is tried again, later each time', async () => {
  const { queue, begun, waiting, failures, settle, nextBegin } = controlled(1);
  queue.add('a');
  for (let times = 0; times < 2; times++) {
    const again = nextBegin();
    waiting.get('a')?.fail(new Error('no'));
    await again;
  }
  assert.deepEqual(failures, [
    ['a', 100],
    ['a', 200],
  ]);
  assert.equal(begun.length, 3);
  waiting.get('a')?.end();
  await settle();
  await queue.stop();
});

test('stop waits for what is under way and begins nothing more', async () => {
  const { queue, begun, waiting } = controlled(1);
  queue.add('a');
  queue.add('b');
  queue.addLater('c', 1);
  const stopped = queue.stop();
  waiting.get('a')?.end();
  await stopped;
  queue.add('d');
  assert.deepEqual(begun, ['a']);
});
