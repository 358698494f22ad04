import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { asObject } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { applyConfiguration } from '../../../../src/lib/sandbox/api/apply.ts';
import { jsonPatch, mergePatch, PatchError } from '../../../../src/lib/sandbox/api/patch.ts';
import { ApiFailure } from '../../../../src/lib/sandbox/api/status.ts';
import { strategicMerge } from '../../../../src/lib/sandbox/api/strategic.ts';

/** The examples of RFC 7396, appendix A. */
const MERGES: [target: unknown, patch: unknown, result: unknown][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

describe('merge patch', () => {
  for (const [target, patch, result] of MERGES) {
    test(`${JSON.stringify(patch)} on ${JSON.stringify(target)}`, () => {
      const before = structuredClone(target);
      assert.deepEqual(mergePatch(target, patch), result);
      assert.deepEqual(target, before);
    });
  }

  test('keeps away from prototypes', () => {
    const patch: unknown = JSON.parse('{"__proto__": {"polluted": true}}');
    mergePatch({}, patch);
    assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
  });
});

const OPERATIONS: [target: unknown, operations: JsonObject[], result: unknown][] = [
  [{ a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
  [{ a: [1, 3] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2, 3] }],
  [{ a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }], { a: [1, 2] }],
  [{ a: 1 }, [{ op: 'add', path: '', value: { b: 1 } }], { b: 1 }],
  [{ a: [1, 2] }, [{ op: 'remove', path: '/a/0' }], { a: [2] }],
  [{ a: [1, 2] }, [{ op: 'replace', path: '/a/0', value: 5 }], { a: [5, 2] }],
  [{ a: [1, 2, 3] }, [{ op: 'move', from: '/a/0', path: '/a/2' }], { a: [2, 3, 1] }],
  [{ a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: 1 }, c: { b: 1 } }],
  [
    { 'a/b': 1, 'c~d': 2 },
    [
      { op: 'remove', path: '/a~1b' },
      { op: 'test', path: '/c~0d', value: 2 },
    ],
    { 'c~d': 2 },
  ],
  [{ a: { x: 1, y: 2 } }, [{ op: 'test', path: '/a', value: { y: 2, x: 1 } }], { a: { x: 1, y: 2 } }],
];

const FAILING: [target: unknown, operation: JsonObject][] = [
  [{ a: 1 }, { op: 'test', path: '/a', value: '1' }],
  [{ a: 1 }, { op: 'remove', path: '/b' }],
  [{ a: [1] }, { op: 'remove', path: '/a/1' }],
  [{ a: [1] }, { op: 'remove', path: '/a/-' }],
  [{ a: [1] }, { op: 'add', path: '/a/01', value: 1 }],
  [{ a: [1] }, { op: 'add', path: '/a/b', value: 1 }],
  [{ a: 1 }, { op: 'add', path: '/a/b', value: 1 }],
  [{ a: 1 }, { op: 'add', path: '/b' }],
  [{ a: 1 }, { op: 'add', value: 1 }],
  [{ a: 1 }, { op: 'move', path: '/b' }],
  [{ a: 1 }, { op: 'remove', path: '' }],
];

describe('JSON patch', () => {
  for (const [target, operations, result] of OPERATIONS) {
    test(JSON.stringify(operations), () => {
      const before = structuredClone(target);
      assert.deepEqual(jsonPatch(target, operations), result);
      assert.deepEqual(target, before);
    });
  }
  for (const [target, operation] of FAILING) {
    test(`fails with ${JSON.stringify(operation)}`, () => {
      assert.throws(() => jsonPatch(target, [operation]), PatchError);
    });
  }
});

const STRATEGIC: [name: string, target: unknown, patch: unknown, result: unknown][] = [
  ['merges maps', { data: { a: '1', b: '2' } }, { data: { b: null, c: '3' } }, { data: { a: '1', c: '3' } }],
  ['replaces other lists', { args: ['a'] }, { args: ['b'] }, { args: ['b'] }],
  [
    'merges lists by key',
    { containers: [{ name: 'a', image: 'x', env: [{ name: 'E', value: '1' }] }, { name: 'b' }] },
    {
      containers: [{ name: 'a', env: [{ name: 'F', value: '2' }] }, { name: 'c' }],
      '$setElementOrder/containers': [],
    },
    {
      containers: [
        {
          name: 'a',
          image: 'x',
          env: [
            { name: 'E', value: '1' },
            { name: 'F', value: '2' },
          ],
        },
        { name: 'b' },
        { name: 'c' },
      ],
    },
  ],
  [
    'deletes items',
    { containers: [{ name: 'a' }, { name: 'b' }] },
    { containers: [{ name: 'a', $patch: 'delete' }] },
    { containers: [{ name: 'b' }] },
  ],
  [
    'replaces lists when told',
    { containers: [{ name: 'a' }] },
    { containers: [{ $patch: 'replace' }, { name: 'b' }] },
    { containers: [{ name: 'b' }] },
  ],
  ['replaces maps when told', { data: { a: 1 } }, { data: { $patch: 'replace', b: 1 } }, { data: { b: 1 } }],
  ['keeps only some keys when told', { a: 1, b: 2 }, { $retainKeys: ['b'], b: 3 }, { b: 3 }],
  ['adds to sets', { finalizers: ['a'] }, { finalizers: ['b', 'a'] }, { finalizers: ['a', 'b'] }],
  [
    'takes from sets',
    { finalizers: ['a', 'b'] },
    { '$deleteFromPrimitiveList/finalizers': ['a'] },
    { finalizers: ['b'] },
  ],
];

describe('strategic merge patch', () => {
  for (const [name, target, patch, result] of STRATEGIC) {
    test(name, () => assert.deepEqual(strategicMerge(target, patch), result));
  }
});

describe('server-side apply', () => {
  const configuration = (spec: JsonObject): JsonObject => ({
    apiVersion: 'v1',
    kind: 'K',
    metadata: { name: 'n' },
    spec,
  });
  const apply = (live: JsonObject, manager: string, spec: JsonObject, force = false): JsonObject => {
    const applied = applyConfiguration(live, configuration(spec), {
      manager,
      force,
      now: '2026-01-01T00:00:00Z',
    });
    return {
      ...applied.object,
      metadata: { name: 'n', managedFields: applied.owners(live, applied.object) },
    };
  };

  test('notes who owns what, not what names the object', () => {
    const { metadata } = apply({}, 'one', { a: { b: 1 }, list: [1] });
    assert.deepEqual(asObject(metadata)['managedFields'], [
      {
        manager: 'one',
        operation: 'Apply',
        apiVersion: 'v1',
        time: '2026-01-01T00:00:00Z',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:spec': { 'f:a': { 'f:b': {} }, 'f:list': {} } },
      },
    ]);
  });

  test('removes what its manager no longer applies, unless another does', () => {
    const one = apply({}, 'one', { a: 1, b: 1 });
    const both = apply(one, 'two', { b: 1, c: 1 });
    const less = apply(both, 'one', {});
    assert.deepEqual(less['spec'], { b: 1, c: 1 });
  });

  test('refuses another value of what another owns, unless forced', () => {
    const one = apply({}, 'one', { a: 1 });
    assert.throws(
      () => apply(one, 'two', { a: 2 }),
      (error) => error instanceof ApiFailure && error.code === 409,
    );
    const two = apply(one, 'two', { a: 2 }, true);
    assert.deepEqual(two['spec'], { a: 2 });
    // The loser owns nothing now, so its next application is the conflict.
    assert.throws(() => apply(two, 'one', { a: 1 }), ApiFailure);
  });
});
