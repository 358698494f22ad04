import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asArray, asObject } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { pick, type CallOptions, type Reply } from './client.ts';
import { GROUP, refused, succeeded, vm, type Fixture } from './fixture.ts';

const SELF = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
const REVIEWS = '/apis/authentication.k8s.io/v1/selfsubjectreviews';

/** What rules grant, to whom they are for and to whoever may act as them. See contract-users.ts. */
export function ruleContract(fixture: Fixture): void {
  const as = (user: string, headers: CallOptions['headers'] = {}): CallOptions => ({
    headers: { Authorization: `Bearer ${fixture.client.target.userTokens?.[user] ?? ''}`, ...headers },
  });

  test('grants what is named, and nothing else', async () => {
    const { client, vms, pools, configMaps } = fixture;
    await fixture.create(vms, vm('hers'));
    await fixture.create(vms, vm('others'));
    const alice = as('alice');
    const denied = async (reply: Promise<Reply>): Promise<unknown> =>
      refused(await reply, 403, 'Forbidden')['message'];
    succeeded(await client.get(`${vms}/hers`, alice));
    succeeded(await client.merge(`${vms}/hers`, { spec: { x: 1 } }, alice));
    succeeded(await client.merge(`${vms}/hers/status`, { status: { consoleUser: 'alice' } }, alice));
    const status = await denied(client.get(`${vms}/others`, alice));
    assert.match(String(status), /^vms\.vmoperator\.jdrupes\.org "others" is forbidden: User "alice"/);
    await denied(client.get(vms, alice));
    await denied(client.delete(`${vms}/hers`, undefined, alice));
    await denied(client.put(`${vms}/hers`, vm('hers'), alice));
    // Naming the one object makes a list of it allowed, and a watch.
    const one = `${vms}?fieldSelector=metadata.name%3Dhers`;
    assert.equal(asArray(succeeded(await client.get(one, alice))['items']).length, 1);
    const watch = await client.watch(one, alice);
    assert.equal((await watch.next()).name, 'hers');
    watch.close();
    await denied(client.get(`${vms}?fieldSelector=metadata.name%3Dothers`, alice));
    succeeded(await client.get(pools, alice));
    succeeded(await client.get('/api/v1/namespaces/default/configmaps', alice));
    await denied(client.get(configMaps, alice));
    await denied(client.get('/api/v1/configmaps', alice));
    // Also for what is not there: nobody learns that.
    await denied(client.get(`${vms}/missing`, alice));
  });

  test('tells one’s rules in a namespace', async () => {
    const { client, namespace } = fixture;
    const path = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews';
    const review = async (spec: unknown): Promise<unknown> => {
      const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec };
      return pick(succeeded(await client.post(path, body, as('alice')), 201), 'status');
    };
    const here = await review({ namespace });
    assert.equal(pick(here, 'incomplete'), false);
    const rules = asArray(pick(here, 'resourceRules')).map(asObject);
    const about = (resource: string): unknown[] =>
      rules.filter(({ resources }) => asArray(resources).includes(resource));
    assert.deepEqual(about('vms'), [
      {
        verbs: ['get', 'list', 'watch', 'patch'],
        apiGroups: [GROUP],
        resources: ['vms', 'vms/status'],
        resourceNames: ['hers'],
      },
    ]);
    assert.deepEqual(about('vmpools'), [{ verbs: ['*'], apiGroups: [GROUP], resources: ['vmpools'] }]);
    assert.deepEqual(about('configmaps'), []);
    assert.equal(about('selfsubjectreviews').length, 1);
    const paths = asArray(pick(here, 'nonResourceRules')).flatMap((rule) =>
      asArray(asObject(rule)['nonResourceURLs']),
    );
    for (const expected of ['/version', '/apis/*', '/readyz']) assert(paths.includes(expected), expected);
    const there = await review({ namespace: 'default' });
    assert(JSON.stringify(there).includes('configmaps'));
  });

  test('answers what a client asks of one object and its subresources', async () => {
    const { client, namespace } = fixture;
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    const may = async (attributes: JsonObject): Promise<unknown> => {
      const resourceAttributes = { namespace, ...attributes };
      const body = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes },
      };
      const answer = succeeded(await client.post(path, body, as('alice')), 201);
      const told = Object.entries(resourceAttributes).filter(([, text]) => text !== '');
      assert.deepEqual(pick(answer, 'spec.resourceAttributes'), Object.fromEntries(told));
      return pick(answer, 'status.allowed');
    };
    const vms = { group: GROUP, resource: 'vms' };
    const cases: [attributes: JsonObject, allowed: boolean][] = [
      [{ ...vms, verb: 'get', name: 'hers' }, true],
      [{ ...vms, verb: 'get', name: 'others' }, false],
      [{ ...vms, verb: 'get' }, false],
      [{ ...vms, verb: 'list', name: 'hers' }, true],
      [{ ...vms, verb: 'delete', name: 'hers' }, false],
      [{ ...vms, verb: '*', name: 'hers' }, false],
      [{ ...vms, verb: 'patch', name: 'hers', subresource: 'status' }, true],
      [{ ...vms, verb: 'patch', name: 'others', subresource: 'status' }, false],
      [{ ...vms, verb: 'patch', name: 'hers', subresource: 'scale' }, false],
      [{ ...vms, verb: 'get', name: 'hers', version: 'v1' }, true],
      [{ group: '', resource: 'vms', verb: 'get', name: 'hers' }, false],
      [{ group: GROUP, resource: 'vmpools', verb: 'delete', name: 'any' }, true],
      [{ group: GROUP, resource: 'vmpools', verb: '*' }, true],
      [{ group: GROUP, resource: 'vmpools', verb: 'get', subresource: 'status' }, false],
      [{ group: '', resource: 'configmaps', verb: 'list' }, false],
      [{ group: '', resource: 'configmaps', verb: 'list', namespace: 'default' }, true],
      [{ group: '', resource: 'configmaps', verb: 'list', namespace: 'default', subresource: 'x' }, false],
      [{ group: '', resource: 'pods', verb: 'create', name: 'hers', subresource: 'portforward' }, false],
      [{ group: '', resource: 'secrets', verb: 'patch', name: 'hers-display-secret' }, false],
    ];
    for (const [attributes, allowed] of cases) {
      assert.equal(await may(attributes), allowed, JSON.stringify(attributes));
    }
  });

  test('lets act with a uid and with extra only whom the rules let', async () => {
    const { client } = fixture;
    const who = (headers: CallOptions['headers'], options: CallOptions = {}): Promise<Reply> =>
      client.post(REVIEWS, SELF, { headers: { ...options.headers, ...headers } });
    const alice = { 'Impersonate-User': 'alice' };
    const uid = { 'Impersonate-Uid': 'u-1' };
    const extra = {
      'Impersonate-Extra-Scopes': ['view', 'edit'],
      'Impersonate-Extra-Acme.com%2Fteam': 'blue',
    };
    const seen = succeeded(await who({ ...alice, ...uid, ...extra }), 201);
    const info = asObject(pick(seen, 'status.userInfo'));
    assert.deepEqual(
      [info['username'], info['uid'], info['extra']],
      ['alice', 'u-1', { scopes: ['view', 'edit'], 'acme.com/team': ['blue'] }],
    );
    const plain = asObject(pick(succeeded(await who(alice), 201), 'status.userInfo'));
    assert.deepEqual([plain['uid'], plain['extra']], [undefined, undefined]);
    for (const headers of [uid, { 'Impersonate-Extra-Scopes': 'view' }]) {
      refused(await who(headers), 400, 'BadRequest');
    }
    for (const more of [uid, { 'Impersonate-Extra-Scopes': 'view' }]) {
      refused(await who({ ...alice, ...more }, as('helpdesk')), 403, 'Forbidden');
    }
    const helpful = as('operator');
    const allowed = { ...alice, ...uid, 'Impersonate-Extra-Scopes': 'view' };
    assert.equal(pick(succeeded(await who(allowed, helpful), 201), 'status.userInfo.uid'), 'u-1');
    const denied = [
      { ...alice, 'Impersonate-Uid': 'u-2' },
      { ...alice, 'Impersonate-Extra-Scopes': ['view', 'edit'] },
    ];
    for (const headers of denied) refused(await who(headers, helpful), 403, 'Forbidden');
  });

  test('lets act as others only whom the rules let', async () => {
    const { client, vms } = fixture;
    const who = (headers: CallOptions['headers'], user = 'helpdesk'): Promise<Reply> =>
      client.post(REVIEWS, SELF, as(user, headers));
    const alice = succeeded(await who({ 'Impersonate-User': 'alice' }), 201);
    assert.deepEqual(pick(alice, 'status.userInfo.username'), 'alice');
    // The groups are those that are asked for, not those that she has.
    assert.deepEqual(pick(alice, 'status.userInfo.groups'), ['system:authenticated']);
    const message = async (headers: CallOptions['headers'], user?: string): Promise<unknown> =>
      refused(await who(headers, user), 403, 'Forbidden')['message'];
    const scope = 'in API group "" at the cluster scope';
    assert.equal(
      await message({ 'Impersonate-User': 'bob' }),
      `users "bob" is forbidden: User "helpdesk" cannot impersonate resource "users" ${scope}`,
    );
    assert.equal(
      await message({ 'Impersonate-User': 'alice', 'Impersonate-Group': 'system:masters' }),
      `groups "system:masters" is forbidden: User "helpdesk" cannot impersonate resource "groups" ${scope}`,
    );
    await message({ 'Impersonate-User': 'helpdesk' }, 'alice');
    await fixture.create(vms, vm('unseen'));
    const options = as('helpdesk', { 'Impersonate-User': 'alice' });
    refused(await client.get(`${vms}/unseen`, options), 403, 'Forbidden');
    const account = { 'Impersonate-User': 'system:serviceaccount:default:robot' };
    const robot = succeeded(await client.post(REVIEWS, SELF, { headers: account }), 201);
    assert.deepEqual(pick(robot, 'status.userInfo.groups'), [
      'system:serviceaccounts',
      'system:serviceaccounts:default',
      'system:authenticated',
    ]);
  });
}
