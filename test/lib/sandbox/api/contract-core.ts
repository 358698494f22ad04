import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asArray } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { pick } from './client.ts';
import { GROUP, refused, succeeded, type Fixture } from './fixture.ts';

/** Secrets, events and pods: what Kubernetes itself makes of what it is sent. */
export function coreContract(fixture: Fixture): void {
  test('takes secrets as text or base64', async () => {
    const { client, secrets } = fixture;
    const body = { metadata: { name: 'word' }, stringData: { a: 'b' }, data: { c: 'ZA==' } };
    const made = await fixture.create(secrets, body);
    assert.deepEqual(
      [made['data'], made['type'], made['stringData']],
      [{ a: 'Yg==', c: 'ZA==' }, 'Opaque', undefined],
    );
    const changed = await client.merge(`${secrets}/word`, { stringData: { a: 'x' }, data: { c: null } });
    assert.deepEqual(succeeded(changed)['data'], { a: 'eA==' });
    refused(await client.post(secrets, { metadata: { name: 'bad' }, data: { a: '!' } }), 400, 'BadRequest');
  });

  test('shows events in both of their APIs', async () => {
    const { client, events, newEvents, namespace } = fixture;
    const event = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'happened' },
      eventTime: '2026-01-02T03:04:05.000006Z',
      reportingController: 'vmoperator.jdrupes.org/vm-runner',
      reportingInstance: 'desktop-1',
      action: 'StatusUpdate',
      reason: 'VmStarted',
      type: 'Normal',
      note: 'The VM runs',
      regarding: { apiVersion: `${GROUP}/v1`, kind: 'VirtualMachine', name: 'desktop-1', namespace },
    };
    await fixture.create(newEvents, event);
    const core = succeeded(await client.get(`${events}/happened`));
    assert.deepEqual(
      [core['message'], core['reportingComponent'], pick(core, 'involvedObject.name'), core['apiVersion']],
      ['The VM runs', event.reportingController, 'desktop-1', 'v1'],
    );
    const count = async (path: string): Promise<number> =>
      asArray(succeeded(await client.get(path))['items']).length;
    assert.equal(
      await count(`${events}?fieldSelector=involvedObject.name%3Ddesktop-1,reason%3DVmStarted`),
      1,
    );
    assert.equal(await count(`${newEvents}?fieldSelector=regarding.kind%3DVirtualMachine`), 1);
    assert.equal(await count(`${newEvents}?fieldSelector=regarding.name%3Dother`), 0);
    const elsewhere = { metadata: { name: 'other' }, involvedObject: { name: 'a', namespace: 'elsewhere' } };
    refused(await client.post(events, elsewhere), 422, 'Invalid');
    refused(
      await client.post(newEvents, { ...event, metadata: { name: 'other' }, eventTime: null }),
      422,
      'Invalid',
    );
  });

  test('makes pods that wait for someone to run them', async () => {
    const { client, pods } = fixture;
    refused(await client.post(pods, { metadata: { name: 'empty' }, spec: {} }), 422, 'Invalid');
    const spec = { containers: [{ name: 'c', image: 'i' }] };
    const made = await fixture.create(pods, {
      metadata: { name: 'waits' },
      spec,
      status: { phase: 'Running' },
    });
    assert.equal(pick(made, 'status.phase'), 'Pending');
    const status = { phase: 'Running', podIP: '127.0.0.1' };
    const running = succeeded(await client.merge(`${pods}/waits/status`, { status }));
    assert.equal(pick(running, 'status.phase'), 'Running');
    const list = succeeded(await client.get(`${pods}?fieldSelector=status.phase%3DRunning`));
    assert.equal(pick(list, 'items.0.metadata.name'), 'waits');
    refused(await client.get(`${pods}/absent/log`), 404, 'NotFound');
  });

  test('leaves a pod the time that it has to end, unless that is none', async () => {
    const { client, pods } = fixture;
    const make = async (name: string, spec: JsonObject): Promise<string> => {
      const containers = [{ name: 'c', image: 'i' }];
      await fixture.create(pods, { metadata: { name }, spec: { containers, ...spec } });
      return `${pods}/${name}`;
    };
    const gone = async (path: string): Promise<unknown> => refused(await client.get(path), 404, 'NotFound');
    // Nobody runs it: nothing has to end.
    const unscheduled = await make('ends-unscheduled', {});
    assert.equal(succeeded(await client.delete(unscheduled))['kind'], 'Pod');
    await gone(unscheduled);
    const node = { nodeName: 'sandbox', terminationGracePeriodSeconds: 40 };
    const graceful = await make('ends-later', node);
    const ending = succeeded(await client.delete(graceful));
    assert.deepEqual(
      [
        ending['kind'],
        pick(ending, 'metadata.deletionGracePeriodSeconds'),
        pick(ending, 'metadata.generation'),
      ],
      ['Pod', 40, 2],
    );
    const until = new Date(String(pick(ending, 'metadata.deletionTimestamp'))).getTime() - Date.now();
    assert.ok(until > 30_000 && until <= 41_000, String(until));
    succeeded(await client.get(graceful));
    // Who runs it goes on telling of it meanwhile.
    succeeded(await client.merge(`${graceful}/status`, { status: { phase: 'Running' } }));
    succeeded(await client.get(graceful));
    // Again, and in more of a hurry; then at once.
    const hurried = succeeded(await client.delete(`${graceful}?gracePeriodSeconds=10`));
    assert.equal(pick(hurried, 'metadata.deletionGracePeriodSeconds'), 10);
    const slower = succeeded(await client.delete(`${graceful}?gracePeriodSeconds=20`));
    assert.equal(pick(slower, 'metadata.deletionGracePeriodSeconds'), 10);
    succeeded(await client.delete(`${graceful}?gracePeriodSeconds=0`));
    await gone(graceful);
    // With a body only that counts.
    const forced = await make('ends-now', node);
    const uid = pick(succeeded(await client.get(forced)), 'metadata.uid');
    const kept = await client.delete(`${forced}?gracePeriodSeconds=0`, { preconditions: { uid } });
    assert.equal(pick(succeeded(kept), 'metadata.deletionGracePeriodSeconds'), 40);
    const other = { preconditions: { uid: 'another' }, gracePeriodSeconds: 0 };
    refused(await client.delete(forced, other), 409, 'Conflict');
    const rehearsed = { dryRun: ['All'], gracePeriodSeconds: 0 };
    succeeded(await client.delete(forced, rehearsed));
    succeeded(await client.get(forced));
    succeeded(await client.delete(forced, { preconditions: { uid }, gracePeriodSeconds: 0 }));
    await gone(forced);
    // One that is over has nothing to end either.
    const over = await make('ends-over', node);
    succeeded(await client.merge(`${over}/status`, { status: { phase: 'Succeeded' } }));
    succeeded(await client.delete(over));
    await gone(over);
  });
}
