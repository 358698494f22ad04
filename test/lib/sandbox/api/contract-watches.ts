import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asArray } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { pick, versionOf, type WatchEvent } from './client.ts';
import { refused, succeeded, vm, type Fixture } from './fixture.ts';

const SET = 'labelSelector=set%3D';

const shortly = ({ type, name }: WatchEvent): string => `${type} ${name}`;

/** Watches: changes in order, transitions of a selection, resumption. */
export function watchContract(fixture: Fixture): void {
  const configMap = (name: string, set: string, data?: JsonObject): JsonObject => ({
    metadata: { name, labels: { set } },
    ...(data ? { data } : {}),
  });
  const version = async (): Promise<string> =>
    versionOf(succeeded(await fixture.client.get(fixture.configMaps)));

  test('tells changes from a version on', async () => {
    const { client, vms } = fixture;
    const from = versionOf(succeeded(await client.get(vms)));
    const watch = await client.watch(`${vms}?resourceVersion=${from}`);
    const made = await fixture.create(vms, vm('seen'));
    const changed = succeeded(await client.merge(`${vms}/seen`, { spec: { x: 1 } }));
    const status = succeeded(await client.merge(`${vms}/seen/status`, { status: { consoleUser: 'a' } }));
    succeeded(await client.delete(`${vms}/seen`));
    const events = [await watch.next(), await watch.next(), await watch.next(), await watch.next()];
    watch.close();
    assert.deepEqual(events.map(shortly), ['ADDED seen', 'MODIFIED seen', 'MODIFIED seen', 'DELETED seen']);
    assert.deepEqual(
      events.slice(0, 3).map(({ object }) => object),
      [made, changed, status],
    );
    assert(Number(versionOf(events[3]?.object ?? {})) > Number(versionOf(status)));
  });

  test('starts with what is there when no version is given', async () => {
    const { client, configMaps } = fixture;
    await fixture.create(configMaps, configMap('there-1', 'there'));
    await fixture.create(configMaps, configMap('there-2', 'there'));
    const watch = await client.watch(`${configMaps}?${SET}there`);
    const first = [await watch.next(), await watch.next()].map(shortly);
    assert.deepEqual(first.sort(), ['ADDED there-1', 'ADDED there-2']);
    succeeded(await client.delete(`${configMaps}/there-1`));
    assert.equal(shortly(await watch.next()), 'DELETED there-1');
    watch.close();
  });

  test('says where the beginning ends, when asked', async () => {
    const { client, configMaps } = fixture;
    await fixture.create(configMaps, configMap('initial-1', 'initial'));
    const parameters = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const watch = await client.watch(`${configMaps}?${SET}initial&${parameters}`);
    assert.equal(shortly(await watch.next()), 'ADDED initial-1');
    const end = await watch.next();
    assert.equal(end.type, 'BOOKMARK');
    assert.deepEqual(pick(end.object, 'metadata.annotations'), { 'k8s.io/initial-events-end': 'true' });
    watch.close();
    refused(await client.get(`${configMaps}?watch=1&sendInitialEvents=true`), 422, 'Invalid');
    // A bookmark is a place to continue from.
    await fixture.create(configMaps, configMap('initial-2', 'initial'));
    const resumed = await client.watch(
      `${configMaps}?${SET}initial&resourceVersion=${versionOf(end.object)}`,
    );
    assert.equal(shortly(await resumed.next()), 'ADDED initial-2');
    resumed.close();
  });

  test('says how far it has come, before its time is over', async () => {
    const { client, configMaps, secrets } = fixture;
    const from = await version();
    const options = `resourceVersion=${from}&allowWatchBookmarks=true&timeoutSeconds=4`;
    const watch = await client.watch(`${configMaps}?${SET}far&${options}`);
    await fixture.create(configMaps, configMap('far-1', 'far'));
    await fixture.create(configMaps, configMap('near-1', 'near'));
    await fixture.create(secrets, { metadata: { name: 'far' } });
    const events = await watch.rest();
    assert.equal(shortly(events[0] ?? { type: '', name: '', object: {} }), 'ADDED far-1');
    const marks = events.slice(1);
    assert.ok(marks.length > 0 && marks.every(({ type }) => type === 'BOOKMARK'), events.map(shortly).join());
    for (const { object } of marks) {
      assert.deepEqual(
        [object['kind'], object['apiVersion'], object['data']],
        ['ConfigMap', 'v1', undefined],
      );
      assert.equal(pick(object, 'metadata.annotations'), undefined);
      assert.equal(pick(object, 'metadata.name'), undefined);
    }
    const last = Number(versionOf(marks.at(-1)?.object ?? {}));
    assert.ok(last > Number(versionOf(events[0]?.object ?? {})), 'past what it did not show');
    const resumed = await client.watch(`${configMaps}?${SET}far&resourceVersion=${last}`);
    await fixture.create(configMaps, configMap('far-2', 'far'));
    assert.equal(shortly(await resumed.next()), 'ADDED far-2');
    resumed.close();
    // Unasked there are none.
    const plain = await client.watch(`${configMaps}?${SET}far&resourceVersion=${last}&timeoutSeconds=4`);
    assert.deepEqual((await plain.rest()).map(shortly), ['ADDED far-2']);
  });

  test('turns changes of the selection into ADDED and DELETED', async () => {
    const { client, configMaps } = fixture;
    const from = await version();
    const watch = await client.watch(`${configMaps}?${SET}in&resourceVersion=${from}`);
    const path = `${configMaps}/moves`;
    const move = async (set: string, data: JsonObject): Promise<void> => {
      succeeded(await client.merge(path, { metadata: { labels: { set } }, data }));
    };
    await fixture.create(configMaps, configMap('moves', 'out'));
    await move('in', { step: '1' });
    await move('in', { step: '2' });
    await move('out', { step: '3' });
    await move('out', { step: '4' });
    await move('in', { step: '5' });
    succeeded(await client.delete(path));
    const events: WatchEvent[] = [];
    while (events.length < 5) events.push(await watch.next());
    watch.close();
    assert.deepEqual(
      events.map(({ type, object }) => `${type} ${String(pick(object, 'data.step'))}`),
      // What leaves is shown as it was while it was in.
      ['ADDED 1', 'MODIFIED 2', 'DELETED 2', 'ADDED 5', 'DELETED 5'],
    );
    const versions = events.map(({ object }) => Number(versionOf(object)));
    assert.deepEqual(
      versions,
      versions.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(versions).size, versions.length);
  });

  test('watches one object by its name', async () => {
    const { client, vms } = fixture;
    const from = versionOf(succeeded(await client.get(vms)));
    const watch = await client.watch(`${vms}?fieldSelector=metadata.name%3Dnamed&resourceVersion=${from}`);
    await fixture.create(vms, vm('unnamed'));
    await fixture.create(vms, vm('named'));
    assert.equal(shortly(await watch.next()), 'ADDED named');
    watch.close();
  });

  test('ends when its time is over', async () => {
    const { client, configMaps } = fixture;
    const watch = await client.watch(`${configMaps}?timeoutSeconds=1&resourceVersion=${await version()}`);
    assert.deepEqual(await watch.rest(), []);
  });

  test('resumes without loss or repetition while others write', async () => {
    const { client, configMaps } = fixture;
    const count = 60;
    const from = await version();
    const write = async (writer: number): Promise<void> => {
      for (let step = 0; step < count / 4; step++) {
        const name = `storm-${writer}`;
        const data = { step: String(step) };
        if (step === 0) await fixture.create(configMaps, configMap(name, 'storm', data));
        else succeeded(await client.merge(`${configMaps}/${name}`, { data }));
      }
    };
    const writers = Promise.all([0, 1, 2, 3].map(write));
    const seen: WatchEvent[] = [];
    let cursor = from;
    while (seen.length < count) {
      const watch = await client.watch(`${configMaps}?${SET}storm&resourceVersion=${cursor}`);
      // Torn off after a few events, again and again.
      for (let taken = 0; taken < 7 && seen.length < count; taken++) {
        const event = await watch.next();
        seen.push(event);
        cursor = versionOf(event.object);
      }
      watch.close();
    }
    await writers;
    for (const writer of [0, 1, 2, 3]) {
      const own = seen.filter(({ name }) => name === `storm-${writer}`);
      assert.deepEqual(
        own.map(({ type, object }) => `${type} ${String(pick(object, 'data.step'))}`),
        Array.from({ length: count / 4 }, (_, step) => `${step === 0 ? 'ADDED' : 'MODIFIED'} ${step}`),
      );
    }
    const versions = seen.map(({ object }) => Number(versionOf(object)));
    assert.deepEqual(
      versions,
      versions.toSorted((a, b) => a - b),
    );
  });

  test('sends tables, with the columns once', async () => {
    const { client, configMaps } = fixture;
    const headers = { Accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' };
    const watch = await client.watch(`${configMaps}?${SET}table&resourceVersion=${await version()}`, {
      headers,
    });
    await fixture.create(configMaps, configMap('row', 'table', { a: 'b' }));
    succeeded(await client.merge(`${configMaps}/row`, { data: { c: 'd' } }));
    const [first, second] = [await watch.next(), await watch.next()];
    watch.close();
    assert.deepEqual([first.type, first.object['kind']], ['ADDED', 'Table']);
    assert.deepEqual(asArray(pick(first.object, 'rows.0.cells')).slice(0, 2), ['row', 1]);
    assert.deepEqual(asArray(pick(second.object, 'rows.0.cells')).slice(0, 2), ['row', 2]);
    assert(asArray(first.object['columnDefinitions']).length > 0);
    assert.equal(asArray(second.object['columnDefinitions']).length, 0);
  });
}
