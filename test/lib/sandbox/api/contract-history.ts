import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../../helpers/cli-process.ts';
import { pick, versionOf } from './client.ts';
import { refused, succeeded, vm, type Fixture } from './fixture.ts';

const PATIENCE_MS = 60_000;

/** What is left of the past: both servers forget it within seconds while this runs. */
export function historyContract(fixture: Fixture): void {
  test('answers with 410 when a page is of a version that it has forgotten', async () => {
    const { client, configMaps } = fixture;
    for (const name of ['forgotten-1', 'forgotten-2'])
      await fixture.create(configMaps, { metadata: { name } });
    const first = succeeded(await client.get(`${configMaps}?limit=1`));
    const token = String(pick(first, 'metadata.continue'));
    let step = 0;
    const status = await eventually(
      'the page is forgotten',
      async () => {
        step += 1;
        succeeded(await client.merge(`${configMaps}/forgotten-1`, { data: { step: String(step) } }));
        const path = `${configMaps}?limit=1&continue=${encodeURIComponent(token)}`;
        return refused(await client.get(path), 410, 'Expired');
      },
      PATIENCE_MS,
    );
    assert.match(String(status['message']), /^The provided continue parameter is too old to display/);
    // What comes with it goes on from the same place, in a newer version.
    const fresh = String(pick(status, 'metadata.continue'));
    const rest = succeeded(await client.get(`${configMaps}?limit=500&continue=${encodeURIComponent(fresh)}`));
    assert(Number(versionOf(rest)) > Number(versionOf(first)));
  });

  test('ends a watch from a version that it has forgotten with 410', async () => {
    const { client, vms } = fixture;
    await fixture.create(vms, vm('busy'));
    // More changes than the embedded API remembers here; the real one began to remember when it learned of VMs.
    for (let step = 0; step < 110; step++) succeeded(await client.merge(`${vms}/busy`, { spec: { step } }));
    const watch = await client.watch(`${vms}?resourceVersion=1`);
    const { type, object } = await watch.next();
    assert.deepEqual(
      [type, object['kind'], object['code'], object['reason']],
      ['ERROR', 'Status', 410, 'Expired'],
    );
    assert.match(String(object['message']), /^too old resource version: 1 \(\d+\)$/);
    assert.deepEqual(await watch.rest(), []);
  });

  test('tells the time with every answer, errors too', async () => {
    const { client, vms } = fixture;
    for (const reply of [
      await client.get(vms),
      await client.get(`${vms}/missing`),
      await client.get(vms, { headers: { Authorization: 'Bearer unknown' } }),
      await client.merge(`${vms}/missing`, {}),
    ]) {
      const ageMs = Date.now() - new Date(String(reply.headers.date)).getTime();
      assert(Math.abs(ageMs) < 60_000, `${reply.status}`);
      assert.match(String(reply.headers['content-type']), /^application\/json/);
    }
  });
}
