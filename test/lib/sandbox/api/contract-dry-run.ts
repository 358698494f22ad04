import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asArray, asObject } from '../../../../src/lib/cluster/parse.ts';
import { pick, versionOf } from './client.ts';
import { applier, refused, succeeded, vm, type Fixture } from './fixture.ts';

const DRY = 'dryRun=All';

/** Rehearsals of every kind of write: answered as the write would be, checked as it would be, and stored nowhere. */
export function dryRunContract(fixture: Fixture): void {
  test('rehearses a change of the status', async () => {
    const { client, vms } = fixture;
    const made = await fixture.create(vms, vm('dry-status'));
    const path = `${vms}/dry-status/status?${DRY}`;
    const body = { status: { consoleUser: 'a' }, spec: { x: 1 } };
    const merged = succeeded(await client.merge(path, body));
    assert.deepEqual([pick(merged, 'status.consoleUser'), pick(merged, 'spec.x')], ['a', undefined]);
    assert.equal(versionOf(merged), versionOf(made));
    const put = succeeded(await client.put(path, { ...made, status: { consoleUser: 'b' } }));
    assert.equal(pick(put, 'status.consoleUser'), 'b');
    refused(await client.merge(path, { status: { conditions: 5 } }), 422, 'Invalid');
    const stale = { metadata: { resourceVersion: '1' }, status: { consoleUser: 'a' } };
    refused(await client.merge(path, stale), 409, 'Conflict');
    assert.deepEqual(succeeded(await client.get(`${vms}/dry-status`)), made);
  });

  test('rehearses writes of a Secret', async () => {
    const { client, secrets } = fixture;
    const body = { metadata: { generateName: 'dry-' }, stringData: { a: 'b' } };
    const rehearsed = succeeded(await client.post(`${secrets}?${DRY}`, body), 201);
    assert.deepEqual([rehearsed['data'], rehearsed['type']], [{ a: 'Yg==' }, 'Opaque']);
    assert.match(String(pick(rehearsed, 'metadata.name')), /^dry-[a-z0-9]{5}$/);
    assert.notEqual(pick(rehearsed, 'metadata.uid'), undefined);
    const made = await fixture.create(secrets, { metadata: { name: 'dry-word' }, data: { a: 'YQ==' } });
    const path = `${secrets}/dry-word`;
    const changed = succeeded(await client.merge(`${path}?${DRY}`, { data: { a: 'Yg==' } }));
    assert.deepEqual(changed['data'], { a: 'Yg==' });
    refused(await client.merge(`${path}?${DRY}`, { data: { a: '!' } }), 422, 'Invalid');
    const replaced = { ...made, data: { a: '!' } };
    refused(await client.put(`${path}?${DRY}`, replaced), 400, 'BadRequest');
    succeeded(await client.delete(`${path}?${DRY}`));
    const other = { preconditions: { uid: 'another' } };
    refused(await client.delete(path, { ...other, dryRun: ['All'] }), 409, 'Conflict');
    assert.deepEqual(succeeded(await client.get(path)), made);
    // Where there is a body, the query does not count.
    succeeded(await client.delete(`${path}?${DRY}`, { gracePeriodSeconds: 0 }));
    refused(await client.get(path), 404, 'NotFound');
  });

  test('rehearses a JSON patch', async () => {
    const { client, vms } = fixture;
    const made = await fixture.create(vms, vm('dry-operated'));
    const path = `${vms}/dry-operated?${DRY}`;
    const patched = await client.jsonPatch(path, [
      { op: 'test', path: '/spec/vm/state', value: 'Stopped' },
      { op: 'replace', path: '/spec/vm/state', value: 'Running' },
    ]);
    assert.equal(pick(succeeded(patched), 'spec.vm.state'), 'Running');
    assert.equal(pick(patched.json, 'metadata.generation'), 2);
    const failing = [{ op: 'test', path: '/spec/vm/state', value: 'Running' }];
    refused(await client.jsonPatch(path, failing), 422, 'Invalid');
    const wrong = [{ op: 'replace', path: '/spec/vm/state', value: 'Paused' }];
    refused(await client.jsonPatch(path, wrong), 422, 'Invalid');
    assert.deepEqual(succeeded(await client.get(`${vms}/dry-operated`)), made);
  });

  test('rehearses a server-side apply', async () => {
    const { client, vms } = fixture;
    const apply = applier(fixture);
    const path = `${vms}/dry-applied`;
    const fresh = succeeded(await apply(`${path}?${DRY}`, 'one', vm('dry-applied', { x: 1 })), 201);
    assert.equal(versionOf(fresh), '');
    refused(await client.get(path), 404, 'NotFound');
    const made = succeeded(await apply(path, 'one', vm('dry-applied', { x: 1 })), 201);
    const changed = succeeded(await apply(`${path}?${DRY}`, 'one', vm('dry-applied', { x: 2 })));
    assert.equal(pick(changed, 'spec.x'), 2);
    const managers = asArray(pick(changed, 'metadata.managedFields')).map((one) => asObject(one)['manager']);
    assert.deepEqual(managers, ['one']);
    refused(await apply(`${path}?${DRY}`, 'two', vm('dry-applied', { x: 3 })), 409, 'Conflict');
    const forced = await apply(`${path}?${DRY}&force=true`, 'two', vm('dry-applied', { x: 3 }));
    assert.equal(pick(succeeded(forced), 'spec.x'), 3);
    assert.deepEqual(succeeded(await client.get(path)), made);
  });

  test('rehearses a replacement, and nobody who watches hears of any of it', async () => {
    const { client, vms } = fixture;
    const made = await fixture.create(vms, vm('dry-replaced'));
    const path = `${vms}/dry-replaced`;
    const watch = await client.watch(`${vms}?resourceVersion=${versionOf(made)}`);
    const changed = { ...made, spec: { vm: { maximumCpus: 7 } } };
    const put = succeeded(await client.put(`${path}?${DRY}`, changed));
    assert.deepEqual(
      [pick(put, 'spec.vm.maximumCpus'), pick(put, 'metadata.generation'), versionOf(put)],
      [7, 2, versionOf(made)],
    );
    succeeded(await client.merge(`${path}?${DRY}`, { spec: { x: 1 } }));
    succeeded(await client.delete(`${path}?${DRY}`));
    refused(await client.put(`${path}?${DRY}`, vm('dry-replaced')), 422, 'Invalid');
    const stale = { ...vm('dry-replaced', {}, { resourceVersion: '1' }) };
    refused(await client.put(`${path}?${DRY}`, stale), 409, 'Conflict');
    assert.deepEqual(succeeded(await client.get(path)), made);
    succeeded(await client.merge(path, { spec: { real: 1 } }));
    assert.equal(pick((await watch.next()).object, 'spec.real'), 1);
    watch.close();
  });
}
