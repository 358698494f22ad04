import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ObjectCache } from '../../../../src/lib/sandbox/operator/object-cache.ts';
import type { Observable } from '../../../../src/lib/sandbox/operator/resources.ts';

const object = (name: string, resourceVersion: string): Observable => ({
  namespace: 'n',
  name,
  uid: name,
  resourceVersion,
});

test('an older event does not undo one’s own write', () => {
  const cache = new ObjectCache();
  cache.put(object('a', '10'));
  cache.apply({ type: 'modified', item: object('a', '9') });
  assert.equal(cache.get('n/a')?.resourceVersion, '10');
  cache.apply({ type: 'modified', item: object('a', '11') });
  assert.equal(cache.get('n/a')?.resourceVersion, '11');
});

test('the end of an earlier object does not remove a later one of the same name', () => {
  const cache = new ObjectCache();
  cache.put(object('a', '10'));
  cache.apply({ type: 'deleted', item: object('a', '9') });
  assert.equal(cache.get('n/a')?.resourceVersion, '10');
  cache.apply({ type: 'deleted', item: object('a', '12') });
  assert.equal(cache.get('n/a'), undefined);
});

test('the answer to a write that comes after the end of its object does not bring it back', () => {
  const cache = new ObjectCache();
  const other = { ...object('a', '20'), uid: 'another' };
  cache.apply({ type: 'added', item: object('a', '10') });
  cache.apply({ type: 'deleted', item: object('a', '12') });
  cache.put(object('a', '11'));
  assert.equal(cache.get('n/a'), undefined);
  cache.put(other);
  assert.equal(cache.get('n/a'), other);
  cache.apply({ type: 'synced', items: [] });
  cache.put(other);
  assert.equal(cache.get('n/a'), undefined);
});

test('a new listing concerns what it has and what has gone', () => {
  const cache = new ObjectCache();
  cache.apply({ type: 'synced', items: [object('a', '1'), object('b', '1')] });
  const concerned = cache.apply({ type: 'synced', items: [object('b', '2'), object('c', '2')] });
  assert.deepEqual(
    [...new Set(concerned.map(({ name }) => name))].toSorted((x, y) => x.localeCompare(y)),
    ['a', 'b', 'c'],
  );
  assert.equal(cache.get('n/a'), undefined);
});

test('versions that are no numbers are taken as they come', () => {
  const cache = new ObjectCache();
  cache.put(object('a', 'zz'));
  cache.apply({ type: 'modified', item: object('a', 'aa') });
  assert.equal(cache.get('n/a')?.resourceVersion, 'aa');
});
