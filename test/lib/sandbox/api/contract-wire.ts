import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asArray, asObject } from '../../../../src/lib/cluster/parse.ts';
import { pick, type Reply } from './client.ts';
import { GROUP, refused, succeeded, vm, type Fixture } from './fixture.ts';

/** Discovery, health, and what HTTP itself is refused for. */
export function wireContract(fixture: Fixture): void {
  test('tells its groups, versions and resources', async () => {
    const { client } = fixture;
    assert.deepEqual(pick(succeeded(await client.get('/api')), 'versions'), ['v1']);
    const groups = asArray(succeeded(await client.get('/apis'))['groups']).map(
      (group) => asObject(group)['name'],
    );
    for (const name of [GROUP, 'events.k8s.io', 'authorization.k8s.io', 'authentication.k8s.io']) {
      assert(groups.includes(name), name);
    }
    const group = succeeded(await client.get(`/apis/${GROUP}`));
    assert.equal(pick(group, 'preferredVersion.groupVersion'), `${GROUP}/v1`);
    const list = succeeded(await client.get(`/apis/${GROUP}/v1`));
    assert.equal(list['kind'], 'APIResourceList');
    const resources = asArray(list['resources']).map(asObject);
    const vms = resources.find(({ name }) => name === 'vms');
    assert.deepEqual(
      [vms?.['kind'], vms?.['singularName'], vms?.['namespaced']],
      ['VirtualMachine', 'vm', true],
    );
    for (const verb of ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']) {
      assert(asArray(vms?.['verbs']).includes(verb), verb);
    }
    assert(resources.some(({ name }) => name === 'vms/status'));
    assert(!resources.some(({ name }) => name === 'vmpools/status'));
    const core = asArray(succeeded(await client.get('/api/v1'))['resources']).map(
      (one) => asObject(one)['name'],
    );
    for (const name of ['namespaces', 'pods', 'pods/log', 'pods/status', 'secrets', 'configmaps', 'events']) {
      assert(core.includes(name), name);
    }
  });

  test('tells its version, its health, and the time', async () => {
    const { client } = fixture;
    assert.equal(pick(succeeded(await client.get('/version')), 'major'), '1');
    for (const path of ['/healthz', '/livez', '/readyz']) {
      const reply = await client.get(path);
      assert.deepEqual([reply.status, reply.text], [200, 'ok']);
    }
    const { headers } = await client.get('/version');
    assert(Math.abs(new Date(String(headers.date)).getTime() - Date.now()) < 60_000);
  });

  test('tells where fieldValidation and dryRun are understood', async () => {
    const { client } = fixture;
    const read = async (): Promise<Reply> => {
      const index = succeeded(await client.get('/openapi/v3'));
      const path = pick(asObject(index['paths'])[`apis/${GROUP}/v1`], 'serverRelativeURL');
      return client.get(String(path));
    };
    // kube-apiserver makes the document anew for some time after it has got its kinds: 301, to the new one.
    let reply = await read();
    while (reply.status === 301) reply = await read();
    const document = succeeded(reply);
    const operation = asObject(
      pick(asObject(document['paths'])[`/apis/${GROUP}/v1/namespaces/{namespace}/vms/{name}`], 'patch'),
    );
    const kind = asObject(operation['x-kubernetes-group-version-kind']);
    assert.deepEqual(kind, { group: GROUP, version: 'v1', kind: 'VirtualMachine' });
    const parameters = asArray(operation['parameters']).map((parameter) => asObject(parameter)['name']);
    assert(parameters.includes('fieldValidation'));
    assert(parameters.includes('dryRun'));
  });

  test('answers unknown paths with 404', async () => {
    const { client } = fixture;
    for (const path of [
      '/nowhere',
      '/apis/none.example/v1/things',
      `/apis/${GROUP}/v1/things`,
      '/apis/none.example',
    ]) {
      assert.equal((await client.get(path)).status, 404, path);
    }
    refused(await client.get(`${fixture.pods}/a/nothing`), 404, 'NotFound');
  });

  test('refuses methods, formats and sizes', async () => {
    const { client, vms, configMaps } = fixture;
    refused(await client.delete(`${vms}/a/status`), 405, 'MethodNotAllowed');
    refused(await client.get('/apis/authentication.k8s.io/v1/selfsubjectreviews'), 405, 'MethodNotAllowed');
    refused(await client.get(vms, { headers: { Accept: 'text/html' } }), 406, 'NotAcceptable');
    refused(
      await client.call('POST', vms, { rawBody: 'x', contentType: 'text/plain' }),
      415,
      'UnsupportedMediaType',
    );
    const large = { metadata: { name: 'large' }, data: { a: 'a'.repeat(4 * 1024 * 1024) } };
    refused(await client.post(configMaps, large), 413, 'RequestEntityTooLarge');
  });

  test('takes several media types in Accept, parameters in Content-Type, and YAML', async () => {
    const { client, vms } = fixture;
    succeeded(await client.get(vms, { headers: { Accept: 'text/html, application/json;q=0.5' } }));
    const contentType = 'application/json; charset=utf-8';
    succeeded(await client.post(vms, vm('typed'), { contentType }), 201);
    const rawBody = `apiVersion: ${GROUP}/v1\nkind: VirtualMachine\nmetadata: {name: from-yaml}\nspec: {vm: {maximumCpus: 3}}\n`;
    const made = succeeded(await client.call('POST', vms, { rawBody, contentType: 'application/yaml' }), 201);
    assert.equal(pick(made, 'spec.vm.maximumCpus'), 3);
  });
}
