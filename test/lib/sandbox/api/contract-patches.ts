import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { pick } from './client.ts';
import { applier, refused, succeeded, vm, type Fixture } from './fixture.ts';

const STRATEGIC = { contentType: 'application/strategic-merge-patch+json' };

/** Merge patch, JSON patch, strategic merge patch, and server-side apply. */
export function patchContract(fixture: Fixture): void {
  test('merges, removes with null, and replaces lists whole', async () => {
    const { client, vms } = fixture;
    await fixture.create(vms, vm('merged', { list: [1, 2], deep: { a: 1, b: 2 } }));
    const patch = { spec: { list: [3], deep: { a: null, c: 3 } } };
    const merged = succeeded(await client.merge(`${vms}/merged`, patch));
    assert.deepEqual([pick(merged, 'spec.list'), pick(merged, 'spec.deep')], [[3], { b: 2, c: 3 }]);
    refused(await client.merge(`${vms}/merged`, { spec: { vm: { state: 'Bad' } } }), 422, 'Invalid');
    refused(await client.merge(`${vms}/merged`, { metadata: { name: 'other' } }), 400, 'BadRequest');
    refused(await client.merge(`${vms}/absent`, {}), 404, 'NotFound');
  });

  test('merges only into the version that the patch names', async () => {
    const { client, vms } = fixture;
    const { metadata } = await fixture.create(vms, vm('guarded'));
    const resourceVersion = pick(metadata, 'resourceVersion');
    const patch = { metadata: { resourceVersion }, spec: { x: 1 } };
    succeeded(await client.merge(`${vms}/guarded`, patch));
    refused(await client.merge(`${vms}/guarded`, patch), 409, 'Conflict');
  });

  test('refuses patches that are none', async () => {
    const { client, vms } = fixture;
    await fixture.create(vms, vm('unpatched'));
    const path = `${vms}/unpatched`;
    for (const rawBody of ['{bad', '[1]', '5']) {
      const options = { rawBody, contentType: 'application/merge-patch+json' };
      refused(await client.call('PATCH', path, options), 400, 'BadRequest');
    }
    for (const rawBody of ['{bad', '{}', '[5]']) {
      const options = { rawBody, contentType: 'application/json-patch+json' };
      refused(await client.call('PATCH', path, options), 400, 'BadRequest');
    }
    for (const contentType of ['application/json', 'text/plain', STRATEGIC.contentType]) {
      refused(await client.merge(path, {}, { contentType }), 415, 'UnsupportedMediaType');
    }
  });

  test('carries out the operations of a JSON patch, all or none', async () => {
    const { client, vms } = fixture;
    await fixture.create(vms, vm('operated', { list: ['a', 'c'], old: 1, 'a/b~c': 1 }));
    const path = `${vms}/operated`;
    const patched = await client.jsonPatch(path, [
      { op: 'test', path: '/spec/vm/state', value: 'Stopped' },
      { op: 'test', path: '/spec/absent', value: null },
      { op: 'replace', path: '/spec/vm/state', value: 'Running' },
      { op: 'replace', path: '/spec/fresh', value: 1 },
      { op: 'add', path: '/spec/list/1', value: 'b' },
      { op: 'add', path: '/spec/list/-', value: 'd' },
      { op: 'remove', path: '/spec/list/0' },
      { op: 'move', from: '/spec/old', path: '/spec/new' },
      { op: 'copy', from: '/spec/new', path: '/spec/copied' },
      { op: 'replace', path: '/spec/a~1b~0c', value: 2 },
    ]);
    const spec = pick(succeeded(patched), 'spec');
    assert.deepEqual(
      ['vm.state', 'list', 'old', 'new', 'copied'].map((name) => pick(spec, name)),
      ['Running', ['b', 'c', 'd'], undefined, 1, 1],
    );
    const failing: JsonObject[] = [
      { op: 'test', path: '/spec/vm/state', value: 'Stopped' },
      { op: 'test', path: '/spec/absent', value: 1 },
      { op: 'remove', path: '/spec/absent' },
      { op: 'add', path: '/spec/absent/deeper', value: 1 },
      { op: 'add', path: '/spec/list/9', value: 1 },
      { op: 'add', path: 'spec', value: 1 },
      { op: 'invent', path: '/spec' },
    ];
    for (const operation of failing) {
      const operations = [{ op: 'add', path: '/spec/half', value: 1 }, operation];
      refused(await client.jsonPatch(path, operations), 422, 'Invalid');
    }
    assert.equal(pick(succeeded(await client.get(path)), 'spec.half'), undefined);
  });

  test('merges core objects strategically', async () => {
    const { client, pods, configMaps } = fixture;
    await fixture.create(configMaps, { metadata: { name: 'plain' }, data: { a: '1', b: '2' } });
    const merged = await client.merge(`${configMaps}/plain`, { data: { a: null, c: '3' } }, STRATEGIC);
    assert.deepEqual(succeeded(merged)['data'], { b: '2', c: '3' });
    const containers = [
      { name: 'one', image: 'i' },
      { name: 'two', image: 'i' },
    ];
    await fixture.create(pods, { metadata: { name: 'strategic' }, spec: { containers } });
    const patch = { spec: { containers: [{ name: 'two', image: 'j' }] } };
    const pod = succeeded(await client.merge(`${pods}/strategic`, patch, STRATEGIC));
    assert.deepEqual(
      [pick(pod, 'spec.containers.0.image'), pick(pod, 'spec.containers.1.image')],
      ['i', 'j'],
    );
  });

  test('applies on the server: creates, changes, removes what is no longer applied', async () => {
    const { vms } = fixture;
    const path = `${vms}/applied`;
    const apply = applier(fixture);
    succeeded(await apply(path, 'one', vm('applied', { mine: { a: 1, b: 1 } })), 201);
    const again = succeeded(await apply(path, 'one', vm('applied', { mine: { a: 2 } })));
    assert.deepEqual(pick(again, 'spec.mine'), { a: 2 });
    assert.equal(pick(again, 'spec.vm.state'), 'Stopped');
    refused(await apply(path, 'two', vm('applied', { mine: { a: 3 } })), 409, 'Conflict');
    const shared = succeeded(await apply(path, 'two', vm('applied', { mine: { a: 2, c: 1 } })));
    assert.deepEqual(pick(shared, 'spec.mine'), { a: 2, c: 1 });
    const forced = succeeded(await apply(`${path}?force=true`, 'two', vm('applied', { mine: { a: 3 } })));
    assert.deepEqual(pick(forced, 'spec.mine'), { a: 3 });
    const version = pick(forced, 'metadata.resourceVersion');
    const same = succeeded(await apply(path, 'two', vm('applied', { mine: { a: 3 } })));
    assert.equal(pick(same, 'metadata.resourceVersion'), version);
  });

  test('refuses applications without a manager, or of another object', async () => {
    const apply = applier(fixture);
    refused(await apply(`${fixture.vms}/x`, '', vm('x')), 422, 'Invalid');
    refused(await apply(`${fixture.vms}/x`, 'one', vm('y')), 400, 'BadRequest');
    refused(await apply(`${fixture.vms}/x`, 'one', { metadata: { name: 'x' } }), 400, 'BadRequest');
  });
}
