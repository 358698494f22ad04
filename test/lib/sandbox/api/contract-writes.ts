import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asArray, asObject } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { pick, versionOf } from './client.ts';
import { GROUP, refused, succeeded, vm, type Fixture } from './fixture.ts';

/** Creation, replacement and deletion of VMs and pools, and the checks on what is written. */
export function writeContract(fixture: Fixture): void {
  creation(fixture);
  validation(fixture);
  replacement(fixture);
  deletion(fixture);
}

function creation(fixture: Fixture): void {
  test('fills in metadata and defaults, and drops a status', async () => {
    const { namespace, vms } = fixture;
    const sent = { ...vm('born', { own: { kept: 1 } }), status: { consoleUser: 'nobody' } };
    const made = await fixture.create(vms, sent);
    const metadata = asObject(made['metadata']);
    assert.deepEqual(
      [metadata['name'], metadata['namespace'], metadata['generation']],
      ['born', namespace, 1],
    );
    assert.match(String(metadata['uid']), /^[0-9a-f-]{36}$/);
    assert.match(String(metadata['creationTimestamp']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.equal(pick(made, 'spec.vm.state'), 'Stopped');
    assert.equal(pick(made, 'spec.own.kept'), 1);
    assert.equal(pick(made, 'status.consoleUser'), undefined);
    const conditions = asArray(pick(made, 'status.conditions')).map(asObject);
    assert.deepEqual(
      conditions.map(({ type, status, reason }) => [type, status, reason]),
      ['Running', 'Booted', 'VmopAgentConnected', 'UserLoggedIn', 'ConsoleConnected'].map((type) => [
        type,
        'False',
        'Creation',
      ]),
    );
    assert.deepEqual(succeeded(await fixture.client.get(`${vms}/born`)), made);
  });

  test('makes names from generateName', async () => {
    const { vms } = fixture;
    const body = { ...vm(''), metadata: { generateName: 'made-' } };
    const [one, two] = [await fixture.create(vms, body), await fixture.create(vms, body)];
    assert.match(String(pick(one, 'metadata.name')), /^made-[a-z0-9]{5}$/);
    assert.notEqual(pick(one, 'metadata.name'), pick(two, 'metadata.name'));
  });

  test('refuses what is there already, and what has no place', async () => {
    const { client, vms } = fixture;
    await fixture.create(vms, vm('twice'));
    const status = refused(await client.post(vms, vm('twice')), 409, 'AlreadyExists');
    assert.equal(status['message'], `vms.${GROUP} "twice" already exists`);
    const missing = refused(
      await client.post(`/apis/${GROUP}/v1/namespaces/missing/vms`, vm('a')),
      404,
      'NotFound',
    );
    assert.equal(missing['message'], 'namespaces "missing" not found');
    refused(await client.post(vms, vm('a', {}, { namespace: 'other' })), 400, 'BadRequest');
  });

  test('refuses bodies that are no such object', async () => {
    const { client, vms, configMaps } = fixture;
    refused(await client.call('POST', vms, { rawBody: '{bad' }), 400, 'BadRequest');
    refused(await client.call('POST', vms, { rawBody: '' }), 400, 'BadRequest');
    refused(await client.post(vms, { metadata: { name: 'a' }, spec: { vm: {} } }), 400, 'BadRequest');
    refused(await client.post(vms, { ...vm('a'), apiVersion: `${GROUP}/v2` }), 400, 'BadRequest');
    refused(await client.post(configMaps, { kind: 'Secret', metadata: { name: 'a' } }), 400, 'BadRequest');
  });

  test('rehearses with dryRun', async () => {
    const { client, vms } = fixture;
    const made = succeeded(await client.post(`${vms}?dryRun=All`, vm('rehearsed')), 201);
    assert.equal(versionOf(made), '');
    refused(await client.get(`${vms}/rehearsed`), 404, 'NotFound');
    refused(await client.post(`${vms}?dryRun=All`, vm('rehearsed', { vm: 5 })), 422, 'Invalid');
    refused(await client.post(`${vms}?dryRun=Some`, vm('rehearsed')), 422, 'Invalid');
    const stored = await fixture.create(vms, vm('kept'));
    const patched = succeeded(await client.merge(`${vms}/kept?dryRun=All`, { spec: { x: 1 } }));
    assert.equal(pick(patched, 'spec.x'), 1);
    succeeded(await client.delete(`${vms}/kept?dryRun=All`));
    succeeded(await client.delete(`${vms}/kept`, { dryRun: ['All'] }));
    assert.deepEqual(succeeded(await client.get(`${vms}/kept`)), stored);
  });
}

/** A choice that is none is told without a field. */
const NO_FIELD: [string, string] = ['<nil>', 'FieldValueInvalid'];

/** What is wrong with a spec, and the causes that the answer names. */
const WRONG_SPECS: [name: string, spec: unknown, causes: [field: string, reason: string][]][] = [
  ['no spec', undefined, [['spec', 'FieldValueRequired']]],
  ['no machine', {}, [['spec.vm', 'FieldValueRequired']]],
  ['a wrong type', { vm: 5 }, [NO_FIELD, ['spec.vm', 'FieldValueTypeInvalid']]],
  ['a wrong number', { vm: { maximumCpus: 'x' } }, [['spec.vm.maximumCpus', 'FieldValueTypeInvalid']]],
  ['a number too small', { vm: { maximumCpus: 0 } }, [['spec.vm.maximumCpus', 'FieldValueInvalid']]],
  [
    'an unknown state',
    { vm: { maximumCpus: 2, state: 'Paused' } },
    [['spec.vm.state', 'FieldValueNotSupported']],
  ],
  [
    'neither maximumCpus nor cpuTopology',
    { vm: {} },
    [NO_FIELD, ['spec.vm.maximumCpus', 'FieldValueRequired']],
  ],
  ['both maximumCpus and cpuTopology', { vm: { maximumCpus: 2, cpuTopology: {} } }, [NO_FIELD]],
  [
    'a wrong type of a field that is not looked into',
    { vm: { maximumCpus: 2 }, image: 'x', cloudInit: { userData: 5 } },
    [
      ['spec.cloudInit.userData', 'FieldValueTypeInvalid'],
      ['spec.image', 'FieldValueTypeInvalid'],
    ],
  ],
  [
    'an unknown permission',
    { vm: { maximumCpus: 2 }, permissions: [{ user: 'a', may: ['fly'] }] },
    [['spec.permissions[0].may[0]', 'FieldValueNotSupported']],
  ],
];

const RETENTIONS = [
  'PT1h',
  'PT90M',
  'P1DT2H3.5S',
  'P2W',
  '2026-01-02T03:04:05Z',
  '2026-01-02T03:04:05.6+01:00',
];
const NO_RETENTIONS = ['', '1h', 'never', '2026-01-02', 'PT1h\n', '2026-01-02T03:04:05'];

function validation(fixture: Fixture): void {
  for (const [name, spec, causes] of WRONG_SPECS) {
    test(`refuses a VM with ${name}`, async () => {
      const { client, vms } = fixture;
      const status = refused(await client.post(vms, { ...vm('wrong'), spec }), 422, 'Invalid');
      const details = asObject(status['details']);
      assert.deepEqual(
        [details['name'], details['group'], details['kind']],
        ['wrong', GROUP, 'VirtualMachine'],
      );
      assert.deepEqual(
        asArray(details['causes'])
          .map((cause) => `${String(asObject(cause)['field'])}: ${String(asObject(cause)['reason'])}`)
          .toSorted((one, other) => (one < other ? -1 : 1)),
        causes.map(([field, reason]) => `${field}: ${reason}`),
      );
    });
  }

  test('wants exactly one of user and role in a permission', async () => {
    const { client, vms, pools } = fixture;
    const text = 'must validate one and only one schema (oneOf)';
    for (const grant of [{}, { user: 'a', role: 'b' }]) {
      const spec = { vm: { maximumCpus: 2 }, permissions: [grant] };
      const status = refused(await client.post(vms, { ...vm('wrong'), spec }), 422, 'Invalid');
      assert(String(status['message']).includes(text), String(status['message']));
      assert.equal(pick(status, 'details.causes.0.field'), '<nil>');
      const pool = { apiVersion: `${GROUP}/v1`, kind: 'VmPool', metadata: { name: 'p' } };
      refused(await client.post(pools, { ...pool, spec: { permissions: [grant] } }), 422, 'Invalid');
    }
  });

  test('fills in the defaults of a pool', async () => {
    const pool = { apiVersion: `${GROUP}/v1`, kind: 'VmPool', metadata: { name: 'desktops' } };
    refused(await fixture.client.post(fixture.pools, { ...pool, spec: {} }), 422, 'Invalid');
    const made = await fixture.create(fixture.pools, { ...pool, spec: { permissions: [{ role: 'staff' }] } });
    assert.deepEqual(made['spec'], {
      retention: 'PT1h',
      loginOnAssignment: false,
      permissions: [{ role: 'staff', may: ['accessConsole'] }],
    });
  });

  test('takes what a pool may have, and refuses the rest', async () => {
    const { client, pools } = fixture;
    const pool = (spec: JsonObject): JsonObject => ({
      apiVersion: `${GROUP}/v1`,
      kind: 'VmPool',
      metadata: { generateName: 'pool-' },
      spec: { permissions: [], ...spec },
    });
    for (const retention of RETENTIONS) await fixture.create(pools, pool({ retention }));
    for (const retention of NO_RETENTIONS) {
      const status = refused(await client.post(pools, pool({ retention })), 422, 'Invalid');
      assert.equal(pick(status, 'details.causes.0.field'), 'spec.retention', retention);
      assert.match(String(status['message']), /spec\.retention in body should match '\^/);
    }
    await fixture.create(pools, pool({ permissions: [{ user: 'a', may: ['*', 'reset'] }] }));
    const taking = pool({ permissions: [{ user: 'a', may: ['takeConsole'] }] });
    const status = refused(await client.post(pools, taking), 422, 'Invalid');
    assert.deepEqual(
      asArray(pick(status, 'details.causes')).map((cause) => asObject(cause)['field']),
      ['spec.permissions[0].may[0]'],
    );
  });

  test('takes a VM with a CPU topology instead of a number', async () => {
    const made = await fixture.create(fixture.vms, vm('topology', { vm: { cpuTopology: { sockets: 2 } } }));
    assert.deepEqual(pick(made, 'spec.vm.cpuTopology'), { sockets: 2 });
  });

  test('refuses bad names and labels', async () => {
    const { client, vms } = fixture;
    const status = refused(await client.post(vms, vm('Bad_Name')), 422, 'Invalid');
    assert.equal(pick(status, 'details.causes.0.field'), 'metadata.name');
    refused(await client.post(vms, vm('')), 422, 'Invalid');
    refused(await client.post(vms, vm('a', {}, { labels: { a: '_' } })), 422, 'Invalid');
    refused(await client.post(vms, vm('a', {}, { labels: { a: 5 } })), 400, 'BadRequest');
  });
}

function replacement(fixture: Fixture): void {
  test('replaces only the version that was read', async () => {
    const { client, vms, configMaps } = fixture;
    const made = await fixture.create(vms, vm('replaced'));
    const path = `${vms}/replaced`;
    const changed = succeeded(await client.put(path, { ...made, spec: { vm: { maximumCpus: 4 } } }));
    assert.equal(pick(changed, 'spec.vm.maximumCpus'), 4);
    const status = refused(await client.put(path, made), 409, 'Conflict');
    assert.match(
      String(status['message']),
      /^Operation cannot be fulfilled on vms\.vmoperator\.jdrupes\.org "replaced": the object has been modified;/,
    );
    refused(await client.put(path, vm('replaced')), 422, 'Invalid');
    refused(await client.put(path, vm('other')), 400, 'BadRequest');
    refused(await client.put(`${vms}/absent`, vm('absent', {}, { resourceVersion: '1' })), 404, 'NotFound');
    await fixture.create(configMaps, { metadata: { name: 'blind' }, data: { a: 'b' } });
    const blind = await client.put(`${configMaps}/blind`, { metadata: { name: 'blind' }, data: { c: 'd' } });
    assert.deepEqual(succeeded(blind)['data'], { c: 'd' });
  });

  test('counts generations by the spec, and keeps spec and status apart', async () => {
    const { client, vms } = fixture;
    await fixture.create(vms, vm('counted'));
    const path = `${vms}/counted`;
    const labelled = succeeded(await client.merge(path, { metadata: { labels: { a: 'b' } } }));
    assert.equal(pick(labelled, 'metadata.generation'), 1);
    const spec = succeeded(await client.merge(path, { spec: { x: 1 }, status: { consoleUser: 'a' } }));
    assert.deepEqual([pick(spec, 'metadata.generation'), pick(spec, 'status.consoleUser')], [2, undefined]);
    const patch = { status: { consoleUser: 'a' }, spec: { x: 2 }, metadata: { labels: { a: 'c' } } };
    const status = succeeded(await client.merge(`${path}/status`, patch));
    assert.deepEqual(
      [pick(status, 'metadata.generation'), pick(status, 'status.consoleUser'), pick(status, 'spec.x')],
      [2, 'a', 1],
    );
    assert.equal(pick(status, 'metadata.labels.a'), 'b');
    const put = succeeded(await client.put(`${path}/status`, { ...status, status: { consoleUser: 'b' } }));
    assert.equal(pick(put, 'status.consoleUser'), 'b');
    assert.equal(pick(succeeded(await client.get(`${path}/status`)), 'status.consoleUser'), 'b');
    refused(await client.merge(`${path}/status`, { status: { conditions: 5 } }), 422, 'Invalid');
  });

  test('does nothing when nothing changes', async () => {
    const { client, vms } = fixture;
    await fixture.create(vms, vm('same'));
    // kube-apiserver stores some defaults with the first change only.
    const made = succeeded(await client.merge(`${vms}/same`, { spec: { x: 1 } }));
    for (const reply of [
      await client.merge(`${vms}/same`, { spec: { vm: { state: 'Stopped' } } }),
      await client.merge(`${vms}/same/status`, {}),
      await client.put(`${vms}/same`, made),
      await client.jsonPatch(`${vms}/same`, []),
    ]) {
      assert.equal(versionOf(succeeded(reply)), versionOf(made));
    }
  });
}

function deletion(fixture: Fixture): void {
  test('deletes, with preconditions', async () => {
    const { client, vms } = fixture;
    const made = await fixture.create(vms, vm('gone'));
    const path = `${vms}/gone`;
    refused(await client.delete(path, { preconditions: { uid: 'another' } }), 409, 'Conflict');
    refused(await client.delete(path, { preconditions: { resourceVersion: '1' } }), 409, 'Conflict');
    const uid = pick(made, 'metadata.uid');
    const status = succeeded(await client.delete(path, { preconditions: { uid }, gracePeriodSeconds: 5 }));
    assert.deepEqual(
      [status['kind'], status['status'], pick(status, 'details.name'), pick(status, 'details.uid')],
      ['Status', 'Success', 'gone', uid],
    );
    const missing = refused(await client.delete(path), 404, 'NotFound');
    assert.equal(missing['message'], `vms.${GROUP} "gone" not found`);
    assert.deepEqual(missing['details'], { name: 'gone', group: GROUP, kind: 'vms' });
  });

  test('waits for finalizers', async () => {
    const { client, vms } = fixture;
    await fixture.create(vms, vm('held', {}, { finalizers: ['example.com/hold'] }));
    const path = `${vms}/held`;
    const deleting = succeeded(await client.delete(path));
    assert.notEqual(pick(deleting, 'metadata.deletionTimestamp'), undefined);
    assert.notEqual(pick(succeeded(await client.get(path)), 'metadata.deletionTimestamp'), undefined);
    succeeded(await client.merge(path, { metadata: { finalizers: null } }));
    refused(await client.get(path), 404, 'NotFound');
  });

  test('deletes many by label', async () => {
    const { client, configMaps } = fixture;
    for (const [name, team] of [
      ['many-1', 'a'],
      ['many-2', 'a'],
      ['many-3', 'b'],
    ] as const) {
      await fixture.create(configMaps, { metadata: { name, labels: { team } } });
    }
    const list = succeeded(await client.delete(`${configMaps}?labelSelector=team%3Da`));
    assert.equal(list['kind'], 'ConfigMapList');
    refused(await client.get(`${configMaps}/many-1`), 404, 'NotFound');
    succeeded(await client.get(`${configMaps}/many-3`));
  });

  test('keeps the default namespace', async () => {
    refused(await fixture.client.delete('/api/v1/namespaces/default'), 403, 'Forbidden');
  });
}
