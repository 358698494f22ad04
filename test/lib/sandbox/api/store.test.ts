import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { openJournal, replay } from '../../../../src/lib/sandbox/api/journal.ts';
import { Store } from '../../../../src/lib/sandbox/api/store.ts';
import { seenThrough } from '../../../../src/lib/sandbox/api/watch.ts';

const object = (namespace: string, name: string, value = 0): JsonObject => ({
  metadata: { namespace, name },
  value,
});

const keys = (found: readonly { key: string }[] | undefined): string[] | undefined =>
  found?.map(({ key }) => key);

describe('store', () => {
  test('lists by namespace and name, and a namespace alone', () => {
    const store = new Store({ history: 10 });
    for (const [namespace, name] of [
      ['b', 'x'],
      ['a', 'y'],
      ['a-b', 'z'],
      ['a', 'x'],
      ['aa', 'x'],
    ] as const) {
      store.put('things', object(namespace, name));
    }
    assert.deepEqual(keys(store.list('things')), ['a-b/z', 'a/x', 'a/y', 'aa/x', 'b/x']);
    assert.deepEqual(keys(store.list('things', 'a')), ['a/x', 'a/y']);
    assert.deepEqual(keys(store.list('things', 'c')), []);
    assert.deepEqual(keys(store.list('others')), []);
  });

  test('gives every change one version, whatever the collection', () => {
    const store = new Store({ history: 10, version: 41 });
    assert.equal(store.put('things', object('a', 'x')).version, 42);
    assert.equal(store.put('others', object('a', 'x')).version, 43);
    const gone = store.delete('things', 'a', 'x');
    assert.deepEqual(gone?.object, {
      metadata: { namespace: 'a', name: 'x', resourceVersion: '44' },
      value: 0,
    });
    assert.equal(store.delete('things', 'a', 'x'), undefined);
    assert.equal(store.version, 44);
    assert.deepEqual([store.lastChange('things'), store.lastChange('others')], [44, 43]);
  });

  test('remembers so many changes, and how things were before them', () => {
    const store = new Store({ history: 3, version: 0 });
    store.put('things', object('a', 'x', 1));
    store.put('things', object('a', 'y', 1));
    store.put('things', object('a', 'x', 2));
    store.delete('things', 'a', 'y');
    const types = (version: number): string[] | undefined =>
      store
        .eventsAfter('things', version)
        ?.map(({ type, current }) => `${type} ${current.key} ${current.version}`);
    assert.deepEqual(types(1), ['ADDED a/y 2', 'MODIFIED a/x 3', 'DELETED a/y 4']);
    assert.deepEqual(types(3), ['DELETED a/y 4']);
    assert.deepEqual(types(4), []);
    assert.equal(types(0), undefined);
    assert.equal(types(5), undefined);
    const values = (version: number): unknown[] | undefined =>
      store.listAt('things', version)?.map(({ key, object: { value } }) => [key, value]);
    assert.deepEqual(values(1), [['a/x', 1]]);
    assert.deepEqual(values(2), [
      ['a/x', 1],
      ['a/y', 1],
    ]);
    assert.deepEqual(values(3), [
      ['a/x', 2],
      ['a/y', 1],
    ]);
    assert.deepEqual(values(4), [['a/x', 2]]);
    assert.equal(values(0), undefined);
    assert.deepEqual(keys(store.listAt('things', 3, 'b')), []);
  });

  test('changes nothing when the change cannot be recorded', () => {
    let full = false;
    const store = new Store({
      history: 10,
      append: () => {
        if (full) throw new Error('no space');
      },
    });
    store.put('things', object('a', 'x', 1));
    const { version } = store;
    full = true;
    assert.throws(() => store.put('things', object('a', 'x', 2)), /no space/);
    assert.throws(() => store.delete('things', 'a', 'x'), /no space/);
    assert.equal(store.version, version);
    assert.equal(store.get('things', 'a', 'x')?.object['value'], 1);
    assert.deepEqual(store.eventsAfter('things', version), []);
  });

  test('tells who listens, until they do not', () => {
    const store = new Store({ history: 10 });
    let told = 0;
    const stop = store.listen('things', () => {
      told += 1;
    });
    store.put('things', object('a', 'x'));
    store.put('others', object('a', 'x'));
    stop();
    store.put('things', object('a', 'y'));
    assert.equal(told, 1);
  });
});

describe('what a watch sees', () => {
  const store = new Store({ history: 10, version: 0 });
  store.put('things', object('a', 'x', 1));
  store.put('things', object('a', 'x', 2));
  store.delete('things', 'a', 'x');
  const [added, modified, deleted] = store.eventsAfter('things', 0) ?? [];
  const cases: [event: typeof added, selected: number[], seen: string | undefined][] = [
    [added, [1, 2], 'ADDED 1'],
    [added, [], undefined],
    [modified, [1, 2], 'MODIFIED 2'],
    [modified, [2], 'ADDED 2'],
    [modified, [1], 'DELETED 1'],
    [modified, [], undefined],
    [deleted, [2], 'DELETED 2'],
    [deleted, [], undefined],
  ];
  for (const [event, selected, expected] of cases) {
    test(`of ${event?.type} with ${selected.join(', ') || 'nothing'} selected: ${expected ?? 'nothing'}`, () => {
      assert(event);
      const matches = ({ object: { value } }: { object: JsonObject }): boolean =>
        selected.includes(Number(value));
      const seen = seenThrough({ matches }, event);
      assert.equal(seen && `${seen.type} ${String(seen.stored.object['value'])}`, expected);
      assert.equal(seen?.stored.version, expected === undefined ? undefined : event.version);
    });
  }
});

describe('journal', () => {
  const put = (name: string, version: number): string =>
    JSON.stringify({
      collection: 'c',
      version,
      object: { metadata: { namespace: 'n', name, resourceVersion: String(version) } },
    });
  const cases: [name: string, lines: string[], version: number, names: string[]][] = [
    ['nothing', [], 1, []],
    ['its changes', ['{"version":5}', put('a', 6), put('b', 7), put('a', 8), ''], 8, ['a', 'b']],
    ['removals', [put('a', 6), put('b', 7), '{"collection":"c","version":8,"removed":"n/a"}'], 8, ['b']],
    ['no torn last line', [put('a', 6), put('b', 7).slice(0, 20)], 6, ['a']],
    ['nothing behind a broken line', [put('a', 6), 'garbage', put('b', 7)], 6, ['a']],
  ];
  for (const [name, lines, version, names] of cases) {
    test(`plays ${name} back`, () => {
      const state = replay(lines);
      assert.equal(state.version, version);
      const found = (state.objects.get('c') ?? []).map((one) => one['metadata']);
      assert.deepEqual(
        found.map((metadata) => Object(metadata).name),
        names,
      );
    });
  }

  test('does not grow with the number of changes', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'vmop-journal-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const journal = openJournal(folder, 10_000);
    const store = new Store({ history: 1, append: (record) => journal.append(record) });
    for (let value = 0; value < 1000; value++) store.put('things', object('a', 'x', value));
    journal.close();
    assert((await stat(join(folder, 'objects.jsonl'))).size < 11_000);
    const again = openJournal(folder);
    again.close();
    assert.equal(again.state.version, store.version);
    assert.deepEqual(again.state.objects.get('things'), [store.get('things', 'a', 'x')?.object]);
  });
});
