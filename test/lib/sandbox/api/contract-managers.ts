import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asArray, asObject, asString } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { pick, type CallOptions } from './client.ts';
import { applier, GROUP, refused, succeeded, vm, type Fixture } from './fixture.ts';

const by = (userAgent: string): CallOptions => ({ headers: { 'User-Agent': userAgent } });

function managersOf(object: JsonObject): JsonObject[] {
  return asArray(pick(object, 'metadata.managedFields')).map(asObject);
}

function managerOf(object: JsonObject, name: string): JsonObject {
  const found = managersOf(object).filter(({ manager }) => manager === name);
  assert.equal(found.length, 1, `one entry of ${name}: ${JSON.stringify(managersOf(object))}`);
  return asObject(found[0]);
}

const owns = (entry: JsonObject, path: string): boolean => pick(entry['fieldsV1'], path) !== undefined;

/** `metadata.managedFields` of ordinary writes, and what they mean for those that apply. */
export function managerContract(fixture: Fixture): void {
  test('notes who wrote what, and when', async () => {
    const { client, vms } = fixture;
    const created = succeeded(
      await client.post(vms, vm('noted', { x: 1, y: 1 }), by('tool/1.2 (linux)')),
      201,
    );
    const entry = managerOf(created, 'tool');
    const { operation, apiVersion, fieldsType } = entry;
    assert.deepEqual([operation, apiVersion, fieldsType], ['Update', `${GROUP}/v1`, 'FieldsV1']);
    assert.ok(owns(entry, 'f:spec.f:x') && owns(entry, 'f:spec.f:vm.f:maximumCpus'));
    assert.ok(!owns(entry, 'f:metadata.f:name') && !owns(entry, 'f:metadata.f:uid'));
    assert.match(asString(entry['time']) ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

    const path = `${vms}/noted`;
    const patch = { spec: { x: 2 }, metadata: { labels: { a: 'b' } } };
    const patched = succeeded(await client.merge(`${path}?fieldManager=mine`, patch, by('tool/1.2')));
    const mine = managerOf(patched, 'mine');
    assert.ok(owns(mine, 'f:spec.f:x') && owns(mine, 'f:metadata.f:labels.f:a') && !owns(mine, 'f:spec.f:y'));
    const tool = managerOf(patched, 'tool');
    assert.ok(!owns(tool, 'f:spec.f:x') && owns(tool, 'f:spec.f:y'));

    const removed = succeeded(await client.merge(path, { spec: { x: null } }, by('other')));
    assert.ok(!owns(managerOf(removed, 'mine'), 'f:spec.f:x'));
    assert.equal(managersOf(removed).length, 2, 'who only removes owns nothing');
  });

  test('notes writes of the status apart', async () => {
    const { client, vms } = fixture;
    await client.post(vms, vm('reported'), by('tool'));
    const body = { status: { ram: '1' } };
    const reported = succeeded(await client.merge(`${vms}/reported/status`, body, by('tool')));
    const [entry, ...others] = managersOf(reported).filter(({ subresource }) => subresource === 'status');
    assert.ok(entry && others.length === 0 && owns(entry, 'f:status.f:ram') && !owns(entry, 'f:spec'));
    assert.equal(managersOf(reported).length, 2);
  });

  test('a write that changes nothing is not noted', async () => {
    const { client, vms } = fixture;
    const created = succeeded(await client.post(vms, vm('written-again', { x: 1 }), by('tool')), 201);
    const same = succeeded(await client.merge(`${vms}/written-again`, { spec: { x: 1 } }, by('other')));
    assert.deepEqual(managersOf(same), managersOf(created));
  });

  test('notes writes of core objects', async () => {
    const { client, secrets } = fixture;
    const body = { metadata: { name: 'noted' }, data: { a: 'YQ==' } };
    const created = succeeded(await client.post(secrets, body, by('tool')), 201);
    assert.ok(owns(managerOf(created, 'tool'), 'f:data.f:a'));
    const put = succeeded(
      await client.put(`${secrets}/noted`, { ...created, data: { a: 'Yg==' } }, by('vmop')),
    );
    assert.ok(owns(managerOf(put, 'vmop'), 'f:data.f:a'));
    assert.ok(!owns(managerOf(put, 'tool'), 'f:data.f:a'));
  });

  test('what was written in the ordinary way is in conflict with what is applied', async () => {
    const { client, vms } = fixture;
    const path = `${vms}/contested`;
    const apply = applier(fixture);
    await client.post(vms, vm('contested', { x: 1 }), by('tool'));
    const { message, details } = refused(
      await apply(path, 'one', vm('contested', { x: 2 })),
      409,
      'Conflict',
    );
    assert.match(
      String(message),
      /^Apply failed with 1 conflict: conflict with "tool" using \S+: \.spec\.x$/,
    );
    assert.equal(pick(details, 'causes.0.reason'), 'FieldManagerConflict');
    const forced = succeeded(await apply(`${path}?force=true`, 'one', vm('contested', { x: 2 })));
    assert.ok(!owns(managerOf(forced, 'tool'), 'f:spec.f:x'));
    assert.equal(managerOf(forced, 'one')['operation'], 'Apply');

    succeeded(await client.merge(path, { spec: { x: 3 } }, by('tool')));
    refused(await apply(path, 'one', vm('contested', { x: 2 })), 409, 'Conflict');
    const agreed = succeeded(await apply(path, 'one', vm('contested', { x: 3 })));
    assert.ok(owns(managerOf(agreed, 'tool'), 'f:spec.f:x') && owns(managerOf(agreed, 'one'), 'f:spec.f:x'));
  });

  test('managedFields can be set: an empty entry forgets them', async () => {
    const { client, vms } = fixture;
    const path = `${vms}/forgotten`;
    await client.post(vms, vm('forgotten', { x: 1 }), by('tool'));
    const body = { metadata: { managedFields: [{}] } };
    const forgotten = succeeded(await client.merge(path, body, by('other')));
    assert.deepEqual(managersOf(forgotten), []);
    const apply = applier(fixture);
    const { message } = refused(await apply(path, 'one', vm('forgotten', { x: 2 })), 409, 'Conflict');
    assert.match(String(message), /conflict with "before-first-apply"/);
  });
}
