import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pick } from './client.ts';
import { GROUP, refused, succeeded, vm, type Fixture } from './fixture.ts';

const BOB = { headers: { 'Impersonate-User': 'bob', 'Impersonate-Group': ['staff', 'guests'] } };

/** Who is who, and who may do what. bob may do nothing but ask. */
export function accessContract(fixture: Fixture): void {
  test('does not know an unknown token', async () => {
    const headers = { Authorization: 'Bearer unknown' };
    refused(await fixture.client.get(fixture.vms, { headers }), 401, 'Unauthorized');
    refused(await fixture.client.get('/version', { headers }), 401, 'Unauthorized');
  });

  test('says who one is, and as whom one acts', async () => {
    const { client } = fixture;
    const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
    const self = succeeded(await client.post(path, body), 201);
    assert.deepEqual(pick(self, 'status.userInfo.groups'), ['system:masters', 'system:authenticated']);
    const bob = succeeded(await client.post(path, body, BOB), 201);
    assert.equal(pick(bob, 'status.userInfo.username'), 'bob');
    assert.deepEqual(pick(bob, 'status.userInfo.groups'), ['staff', 'guests', 'system:authenticated']);
    refused(await client.get(fixture.vms, { headers: { 'Impersonate-Group': 'staff' } }), 400, 'BadRequest');
    const headers = { 'Impersonate-User': 'bob' };
    succeeded(await client.get('/version', { headers }));
  });

  test('forbids in words that name user, verb, resource and place', async () => {
    const { client, vms, namespace } = fixture;
    const place = `in API group "${GROUP}" in the namespace "${namespace}"`;
    const message = async (reply: ReturnType<typeof client.get>): Promise<unknown> =>
      refused(await reply, 403, 'Forbidden')['message'];
    assert.equal(
      await message(client.get(`${vms}/x`, BOB)),
      `vms.${GROUP} "x" is forbidden: User "bob" cannot get resource "vms" ${place}`,
    );
    assert.equal(
      await message(client.get(vms, BOB)),
      `vms.${GROUP} is forbidden: User "bob" cannot list resource "vms" ${place}`,
    );
    assert.equal(
      await message(client.get(`${vms}?watch=1`, BOB)),
      `vms.${GROUP} is forbidden: User "bob" cannot watch resource "vms" ${place}`,
    );
    assert.equal(
      await message(client.merge(`${vms}/x/status`, {}, BOB)),
      `vms.${GROUP} "x" is forbidden: User "bob" cannot patch resource "vms/status" ${place}`,
    );
    assert.equal(
      await message(client.post(vms, vm('x'), BOB)),
      `vms.${GROUP} is forbidden: User "bob" cannot create resource "vms" ${place}`,
    );
    assert.equal(
      await message(client.get(`/apis/${GROUP}/v1/vms`, BOB)),
      `vms.${GROUP} is forbidden: User "bob" cannot list resource "vms" in API group "${GROUP}" at the cluster scope`,
    );
    assert.equal(
      await message(client.post('/api/v1/namespaces', { metadata: { name: 'x' } }, BOB)),
      'namespaces is forbidden: User "bob" cannot create resource "namespaces" in API group "" at the cluster scope',
    );
    assert.equal(
      await message(client.get('/metrics', BOB)),
      'forbidden: User "bob" cannot get path "/metrics"',
    );
  });

  test('answers reviews of access', async () => {
    const { client, namespace } = fixture;
    const review = (kind: string, spec: unknown, options = {}): ReturnType<typeof client.post> =>
      client.post(
        `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`,
        { apiVersion: 'authorization.k8s.io/v1', kind, spec },
        options,
      );
    const resourceAttributes = { verb: 'patch', group: GROUP, resource: 'vms', namespace };
    const allowed = async (reply: ReturnType<typeof client.post>): Promise<unknown> =>
      pick(succeeded(await reply, 201), 'status.allowed');
    assert.equal(await allowed(review('SelfSubjectAccessReview', { resourceAttributes })), true);
    assert.equal(await allowed(review('SelfSubjectAccessReview', { resourceAttributes }, BOB)), false);
    assert.equal(await allowed(review('SubjectAccessReview', { resourceAttributes, user: 'bob' })), false);
    const master = { resourceAttributes, user: 'x', groups: ['system:masters'] };
    assert.equal(await allowed(review('SubjectAccessReview', master)), true);
    refused(await review('SubjectAccessReview', master, BOB), 403, 'Forbidden');
    const nonResourceAttributes = { verb: 'get', path: '/version' };
    assert.equal(await allowed(review('SelfSubjectAccessReview', { nonResourceAttributes }, BOB)), true);
    refused(await review('SelfSubjectAccessReview', {}), 422, 'Invalid');
    refused(await review('SelfSubjectRulesReview', {}), 400, 'BadRequest');
    const rules = succeeded(await review('SelfSubjectRulesReview', { namespace }), 201);
    assert(JSON.stringify(pick(rules, 'status.resourceRules')).includes('"*"'));
  });
}
