import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inParallel, merged } from '../../src/lib/parallel.ts';

test('results stand in the items’ order, and no more than the limit are worked on', async () => {
  let working = 0;
  let most = 0;
  const results = await inParallel([3, 1, 2, 0], 2, async (item) => {
    most = Math.max(most, (working += 1));
    for (let turn = 0; turn < item; turn++) await Promise.resolve();
    working -= 1;
    return item * 10;
  });
  assert.deepEqual([results, most], [[30, 10, 20, 0], 2]);
  assert.deepEqual(await inParallel([], 2, async () => 1), []);
});

test('after a failure nothing more is begun', async () => {
  const begun: number[] = [];
  const all = inParallel([1, 2, 3], 1, async (item) => {
    begun.push(item);
    throw new Error('broken');
  });
  await assert.rejects(all, /broken/);
  assert.deepEqual(begun, [1]);
});

async function* count(name: string, to: number): AsyncGenerator<string> {
  for (let at = 1; at <= to; at++) {
    await Promise.resolve();
    yield `${name}${at}`;
  }
}

test('sequences are merged as their items come', async () => {
  const items: string[] = [];
  for await (const item of merged([count('a', 2), count('b', 3), count('c', 0)])) items.push(item);
  assert.deepEqual(items.toSorted(), ['a1', 'a2', 'b1', 'b2', 'b3']);
  for await (const item of merged<string>([])) assert.fail(item);
});

test('one that fails ends all, after what came before', async () => {
  async function* failing(): AsyncGenerator<string> {
    yield 'last words';
    throw new Error('broken');
  }
  const never: AsyncIterable<string> = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
  };
  const items: string[] = [];
  const reading = (async (): Promise<void> => {
    for await (const item of merged([never, failing()])) items.push(item);
  })();
  await assert.rejects(reading, /broken/);
  assert.deepEqual(items, ['last words']);
});
