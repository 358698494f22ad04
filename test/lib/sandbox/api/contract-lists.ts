import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asArray, asObject } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { pick, versionOf, type Reply } from './client.ts';
import { GROUP, refused, succeeded, vm, type Fixture } from './fixture.ts';

const TABLE = { headers: { Accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' } };

function names(reply: Reply): unknown[] {
  return asArray(succeeded(reply)['items']).map((item) => pick(item, 'metadata.name'));
}

const query = (parameters: Record<string, string>): string => `?${String(new URLSearchParams(parameters))}`;

/** What a label selector finds among `sel-1 {app: a, tier: web}`, `sel-2 {app: b}`, `sel-3 {}`. */
const SELECTORS: [selector: string, found: string[]][] = [
  ['app=a', ['sel-1']],
  ['app==a', ['sel-1']],
  ['app!=a', ['sel-2', 'sel-3']],
  ['app in (a, b)', ['sel-1', 'sel-2']],
  ['app notin (a)', ['sel-2', 'sel-3']],
  ['app', ['sel-1', 'sel-2']],
  ['!app', ['sel-3']],
  ['app,tier=web', ['sel-1']],
  ['app in (a,b),tier notin (web)', ['sel-2']],
  ['app=', []],
];

/** Lists: selectors, pages, tables. */
export function listContract(fixture: Fixture): void {
  test('lists with a version and a kind, sorted by name', async () => {
    const { client, configMaps, namespace } = fixture;
    // Unlike in any other run, as the list goes over all namespaces.
    const set = `sorted-${namespace}`;
    for (const name of ['sorted-b', 'sorted-a']) {
      await fixture.create(configMaps, { metadata: { name, labels: { set } } });
    }
    const labelSelector = `set=${set}`;
    const reply = await client.get(configMaps + query({ labelSelector }));
    assert.deepEqual(names(reply), ['sorted-a', 'sorted-b']);
    assert.equal(reply.json['kind'], 'ConfigMapList');
    assert(Number(versionOf(reply.json)) > 0);
    assert.deepEqual(names(await client.get(`/api/v1/configmaps${query({ labelSelector })}`)), [
      'sorted-a',
      'sorted-b',
    ]);
  });

  test('selects by labels', async () => {
    const { client, configMaps } = fixture;
    const labels = [{ app: 'a', tier: 'web' }, { app: 'b' }, {}];
    for (const [index, own] of labels.entries()) {
      await fixture.create(configMaps, {
        metadata: { name: `sel-${index + 1}`, labels: { ...own, set: 'sel' } },
      });
    }
    for (const [selector, found] of SELECTORS) {
      const reply = await client.get(configMaps + query({ labelSelector: `${selector},set=sel` }));
      assert.deepEqual(names(reply), found, selector);
    }
    for (const labelSelector of ['app in', 'a===b', 'in (a)']) {
      refused(await client.get(configMaps + query({ labelSelector })), 400, 'BadRequest');
    }
  });

  test('selects by fields', async () => {
    const { client, configMaps, namespace } = fixture;
    await fixture.create(configMaps, { metadata: { name: 'field-1' } });
    const found = async (fieldSelector: string): Promise<unknown[]> =>
      names(await client.get(configMaps + query({ fieldSelector })));
    assert.deepEqual(await found('metadata.name=field-1'), ['field-1']);
    assert.deepEqual(await found(`metadata.name==field-1,metadata.namespace=${namespace}`), ['field-1']);
    assert(!(await found('metadata.name!=field-1')).includes('field-1'));
    for (const fieldSelector of ['spec.nothing=a', 'x']) {
      refused(await client.get(configMaps + query({ fieldSelector })), 400, 'BadRequest');
    }
  });

  test('gives a large list out in pages of one version', async () => {
    const { client, configMaps } = fixture;
    const labels = { set: 'paged' };
    for (const number of [1, 2, 3, 4, 5]) {
      await fixture.create(configMaps, { metadata: { name: `page-${number}`, labels } });
    }
    const page = (more: Record<string, string>): Promise<Reply> =>
      client.get(configMaps + query({ labelSelector: 'set=paged', limit: '2', ...more }));
    const first = await page({});
    assert.deepEqual(names(first), ['page-1', 'page-2']);
    // What changes meanwhile does not show.
    await fixture.create(configMaps, { metadata: { name: 'page-35', labels } });
    succeeded(await client.delete(`${configMaps}/page-4`));
    succeeded(await client.merge(`${configMaps}/page-3`, { data: { changed: 'yes' } }));
    const second = await page({ continue: String(pick(first.json, 'metadata.continue')) });
    assert.deepEqual(names(second), ['page-3', 'page-4']);
    assert.equal(pick(second.json, 'items.0.data'), undefined);
    assert.equal(versionOf(second.json), versionOf(first.json));
    const third = await page({ continue: String(pick(second.json, 'metadata.continue')) });
    assert.deepEqual(names(third), ['page-5']);
    assert.equal(pick(third.json, 'metadata.continue') ?? '', '');
    refused(await page({ continue: 'nonsense' }), 400, 'BadRequest');
    refused(await page({ limit: 'x' }), 400, 'BadRequest');
  });

  test('counts what remains after a page', async () => {
    const { client } = fixture;
    await fixture.create(fixture.secrets, { metadata: { name: 'count-1' } });
    await fixture.create(fixture.secrets, { metadata: { name: 'count-2' } });
    const reply = succeeded(await client.get(`${fixture.secrets}?limit=1`));
    assert(Number(pick(reply, 'metadata.remainingItemCount')) >= 1);
  });

  test('refuses a version that it has not reached', async () => {
    refused(await fixture.client.get(`${fixture.vms}?resourceVersion=999999999`), 504, 'Timeout');
  });

  test('prints tables', async () => {
    const { client, configMaps } = fixture;
    await fixture.create(configMaps, {
      metadata: { name: 'tabled', labels: { set: 'tabled' } },
      data: { a: 'b' },
    });
    const path = configMaps + query({ labelSelector: 'set=tabled' });
    const table = succeeded(await client.get(path, TABLE));
    assert.deepEqual([table['kind'], table['apiVersion']], ['Table', 'meta.k8s.io/v1']);
    const columns = asArray(table['columnDefinitions']).map((column) => asObject(column)['name']);
    assert.deepEqual(columns.slice(0, 2), ['Name', 'Data']);
    assert.deepEqual(asArray(pick(table, 'rows.0.cells')).slice(0, 2), ['tabled', 1]);
    assert.equal(pick(table, 'rows.0.object.kind'), 'PartialObjectMetadata');
    assert.equal(pick(table, 'rows.0.object.metadata.name'), 'tabled');
    const full = succeeded(await client.get(`${path}&includeObject=Object`, TABLE));
    assert.equal(pick(full, 'rows.0.object.data.a'), 'b');
    const none = succeeded(await client.get(`${path}&includeObject=None`, TABLE));
    assert.equal(pick(none, 'rows.0.object') ?? null, null);
    const one = succeeded(await client.get(`${configMaps}/tabled`, TABLE));
    assert.equal(pick(one, 'rows.0.cells.0'), 'tabled');
    const vms = succeeded(await client.get(`/apis/${GROUP}/v1/vms`, TABLE));
    assert.equal(pick(vms, 'columnDefinitions.0.name'), 'Name');
  });

  test('prints the columns of VMs and pools', async () => {
    const { client, vms, pools } = fixture;
    const status = { consoleUser: 'alice', cpus: 2 };
    await fixture.create(vms, vm('columns'));
    succeeded(await client.merge(`${vms}/columns/status`, { status }));
    const table = succeeded(await client.get(`${vms}/columns`, TABLE));
    const columns = asArray(table['columnDefinitions']).map(asObject);
    assert.deepEqual(
      columns.map(({ name, type, format, priority }) => [name, type, format, priority]),
      [
        ['Name', 'string', 'name', 0],
        ['State', 'string', '', 0],
        ['Running', 'string', '', 0],
        ['Console User', 'string', '', 0],
        ['Logged In', 'string', '', 0],
        ['Pool', 'string', '', 1],
        ['Assigned To', 'string', '', 1],
        ['CPUs', 'string', '', 1],
        ['RAM', 'string', '', 1],
        ['Booted', 'string', '', 1],
        ['Age', 'date', '', 0],
      ],
    );
    const cells = asArray(pick(table, 'rows.0.cells'));
    assert.match(String(cells.pop()), /^\d+s$/);
    assert.deepEqual(cells, ['columns', 'Stopped', 'False', 'alice', null, null, null, '2', null, 'False']);
    await fixture.create(pools, { ...pool('columns'), spec: { permissions: [] } });
    const pooled = succeeded(await client.get(`${pools}/columns`, TABLE));
    assert.deepEqual(asArray(pick(pooled, 'rows.0.cells')).slice(0, 3), ['columns', 'PT1h', 'false']);
  });
}

function pool(name: string): JsonObject {
  return { apiVersion: `${GROUP}/v1`, kind: 'VmPool', metadata: { name } };
}
