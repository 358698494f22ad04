import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ageText } from '../../../../src/lib/sandbox/api/age.ts';
import { isAllowed, type PolicyRule } from '../../../../src/lib/sandbox/api/authorize.ts';
import { customResourceDefinitions } from '../../../../src/lib/sandbox/api/crd.ts';
import { sameJson } from '../../../../src/lib/sandbox/api/json.ts';
import { lastLines } from '../../../../src/lib/sandbox/api/logs.ts';
import { decodeProtobuf } from '../../../../src/lib/sandbox/api/protobuf.ts';
import { negotiate, parseTarget } from '../../../../src/lib/sandbox/api/request.ts';
import { validate, withDefaults, type Schema } from '../../../../src/lib/sandbox/api/schema.ts';
import { normalizeSecret } from '../../../../src/lib/sandbox/api/secrets.ts';
import { ApiFailure } from '../../../../src/lib/sandbox/api/status.ts';
import { pick } from './client.ts';

describe('age', () => {
  const cases: [seconds: number, text: string][] = [
    [-5, '0s'],
    [0, '0s'],
    [119, '119s'],
    [120, '2m'],
    [310, '5m10s'],
    [599, '9m59s'],
    [600, '10m'],
    [3 * 3600 - 1, '179m'],
    [3 * 3600, '3h'],
    [5 * 3600 + 1860, '5h31m'],
    [8 * 3600, '8h'],
    [47 * 3600, '47h'],
    [76 * 3600, '3d4h'],
    [9 * 86400, '9d'],
    [800 * 86400, '2y70d'],
    [3650 * 86400, '10y'],
  ];
  const now = new Date('2026-06-01T00:00:00Z');
  for (const [seconds, text] of cases) {
    test(`${seconds} s is ${text}`, () => {
      assert.equal(ageText(new Date(now.getTime() - seconds * 1000).toISOString(), now), text);
    });
  }

  test('of nothing is unknown', () => {
    assert.equal(ageText(undefined, now), '<unknown>');
    assert.equal(ageText('yesterday', now), '<unknown>');
  });
});

test('JSON values are the same whatever the order of their keys', () => {
  assert(sameJson({ a: 1, b: [{ c: null }] }, { b: [{ c: null }], a: 1 }));
  assert(!sameJson({ a: 1 }, { a: 1, b: undefined }));
  assert(!sameJson([1, 2], [2, 1]));
  assert(!sameJson({}, []));
  assert(!sameJson({ constructor: 1 }, { a: 1 }));
});

describe('rules', () => {
  const identity = { username: 'alice', groups: ['staff'] };
  const rule: PolicyRule = {
    subjects: { users: ['alice'] },
    verbs: ['get', 'patch'],
    apiGroups: ['g'],
    resources: ['vms'],
  };
  const wanted = { group: 'g', resource: 'vms', verb: 'get', namespace: 'n', name: 'x' };
  const cases: [
    name: string,
    rule: Partial<PolicyRule>,
    attributes: Partial<typeof wanted> & { subresource?: string },
    allowed: boolean,
  ][] = [
    ['what they name', {}, {}, true],
    ['by group', { subjects: { groups: ['staff'] } }, {}, true],
    ['others', { subjects: { users: ['bob'], groups: ['guests'] } }, {}, false],
    ['another verb', {}, { verb: 'list' }, false],
    ['all verbs', { verbs: ['*'] }, { verb: 'list' }, true],
    ['another group', {}, { group: '' }, false],
    ['no subresource', {}, { subresource: 'status' }, false],
    ['a subresource', { resources: ['vms/status'] }, { subresource: 'status' }, true],
    ['a subresource of all', { resources: ['*/status'] }, { subresource: 'status' }, true],
    ['all resources with their subresources', { resources: ['*'] }, { subresource: 'status' }, true],
    ['the names', { resourceNames: ['x'] }, {}, true],
    ['no other names', { resourceNames: ['y'] }, {}, false],
    ['no list of names', { resourceNames: ['x'], verbs: ['list'] }, { verb: 'list', name: '' }, false],
    ['the namespaces', { namespaces: ['n'] }, {}, true],
    ['no other namespace', { namespaces: ['m'] }, {}, false],
  ];
  for (const [name, change, attributes, allowed] of cases) {
    test(`${allowed ? 'grant' : 'do not grant'} ${name}`, () => {
      assert.equal(isAllowed([{ ...rule, ...change }], identity, { ...wanted, ...attributes }), allowed);
    });
  }
});

describe('paths', () => {
  const cases: [method: string, url: string, verb: string, resource: string][] = [
    ['GET', '/api/v1/pods', 'list', '|v1|pods||'],
    ['GET', '/api/v1/pods?watch=true', 'watch', '|v1|pods||'],
    ['GET', '/api/v1/namespaces/n/pods/p', 'get', '|v1|pods|n|p'],
    ['GET', '/api/v1/namespaces/n/pods/p?watch=1', 'get', '|v1|pods|n|p'],
    ['GET', '/api/v1/namespaces/n/pods/p/log', 'get', '|v1|pods|n|p/log'],
    ['GET', '/api/v1/namespaces', 'list', '|v1|namespaces||'],
    ['DELETE', '/api/v1/namespaces/n', 'delete', '|v1|namespaces|n|n'],
    ['PUT', '/api/v1/namespaces/n/status', 'update', '|v1|namespaces|n|n/status'],
    ['POST', '/apis/g/v1/namespaces/n/vms', 'create', 'g|v1|vms|n|'],
    ['DELETE', '/apis/g/v1/namespaces/n/vms', 'deletecollection', 'g|v1|vms|n|'],
    ['PATCH', '/apis/g/v1/namespaces/n/vms/a%2Fb', 'patch', 'g|v1|vms|n|a/b'],
    ['GET', '/apis/g/v1', 'get', 'none'],
    ['GET', '/api', 'get', 'none'],
    ['GET', '/api/v1/', 'get', 'none'],
    ['GET', '/api/v1/namespaces/n/pods/p/log/more', 'get', 'none'],
    ['POST', '/elsewhere', 'post', 'none'],
  ];
  for (const [method, url, verb, expected] of cases) {
    test(`${method} ${url}`, () => {
      const target = parseTarget(method, url);
      const { resource } = target;
      const found = resource
        ? [
            resource.group,
            resource.version,
            resource.plural,
            resource.namespace ?? '',
            resource.name ?? '',
          ].join('|') + (resource.subresource ? `/${resource.subresource}` : '')
        : 'none';
      assert.deepEqual([target.verb, found], [verb, expected]);
    });
  }

  test('that are badly encoded are refused', () => {
    assert.throws(() => parseTarget('GET', '/api/v1/%zz'), ApiFailure);
  });
});

describe('Accept', () => {
  const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  const cases: [accept: string | undefined, tables: boolean, found: string | undefined][] = [
    [undefined, true, 'object'],
    ['*/*', true, 'object'],
    ['application/json', true, 'object'],
    [`${table},application/json`, true, 'table'],
    [`${table},application/json`, false, 'object'],
    [
      'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json',
      false,
      'object',
    ],
    ['application/vnd.kubernetes.protobuf,application/json', true, 'object'],
    [table, false, undefined],
    ['text/html', true, undefined],
  ];
  for (const [accept, tables, found] of cases) {
    test(`${accept} is answered with ${found ?? '406'}`, () => {
      if (found === undefined) assert.throws(() => negotiate(accept, tables), ApiFailure);
      else assert.equal(negotiate(accept, tables), found);
    });
  }
});

describe('schema', () => {
  const schema: Schema = {
    type: 'object',
    required: ['a'],
    properties: {
      a: { type: 'object', properties: { n: { type: 'integer', minimum: 1, default: 7 } } },
      list: { type: 'array', items: { type: 'string', enum: ['x', 'y'] } },
      size: { type: 'intOrString' },
      on: { type: 'boolean', default: false },
    },
  };

  test('fills defaults in where the object that holds them is there', () => {
    assert.deepEqual(withDefaults(schema, { a: { n: null } }), { a: { n: 7 }, on: false });
    assert.deepEqual(withDefaults(schema, { other: 1, on: true }), { other: 1, on: true });
  });

  const cases: [value: unknown, errors: string[]][] = [
    [{ a: {} }, []],
    [{ a: {}, size: 1 }, []],
    [{ a: {}, size: '1G' }, []],
    [{}, ['a FieldValueRequired']],
    [{ a: 5 }, ['a FieldValueTypeInvalid']],
    [{ a: { n: 1.5 } }, ['a.n FieldValueTypeInvalid']],
    [{ a: { n: 0 } }, ['a.n FieldValueInvalid']],
    [{ a: {}, list: ['x', 'z', 1] }, ['list[1] FieldValueNotSupported', 'list[2] FieldValueTypeInvalid']],
    [{ a: {}, size: true, on: null }, ['size FieldValueTypeInvalid', 'on FieldValueTypeInvalid']],
    [[], [' FieldValueTypeInvalid']],
  ];
  for (const [value, errors] of cases) {
    test(`finds ${errors.join(', ') || 'nothing wrong'} in ${JSON.stringify(value)}`, () => {
      assert.deepEqual(
        validate(schema, value, '').map(({ field, reason }) => `${field} ${reason}`),
        errors,
      );
    });
  }
});

test('a refused secret does not tell what was in it', () => {
  assert.throws(
    () => normalizeSecret({ data: { password: 'hunter 2' } }),
    (error) => error instanceof ApiFailure && !error.message.includes('hunter'),
  );
});

test('a log is cut to its last lines', () => {
  assert.equal(lastLines('a\nb\nc\n', 2), 'b\nc\n');
  assert.equal(lastLines('a\nb', 1), 'b');
  assert.equal(lastLines('a\nb', 9), 'a\nb');
  assert.equal(lastLines('a\nb', 0), '');
  assert.equal(lastLines('a\nb', undefined), 'a\nb');
});

describe('binary form', () => {
  const field = (number: number, content: Buffer | string): Buffer => {
    const bytes = Buffer.from(content);
    return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  };
  const envelope = (kind: string, raw: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from('k8s\0'),
      field(1, Buffer.concat([field(1, 'v1'), field(2, kind)])),
      field(2, raw),
      field(3, ''),
    ]);
  const metadata = field(1, Buffer.concat([field(1, 'name'), field(2, ''), field(5, '')]));

  test('of a secret', () => {
    const entry = Buffer.concat([field(1, 'a'), field(2, Buffer.from([0, 255]))]);
    assert.deepEqual(
      decodeProtobuf(envelope('Secret', Buffer.concat([metadata, field(2, entry), field(3, 'Opaque')]))),
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'name' },
        data: { a: 'AP8=' },
        type: 'Opaque',
      },
    );
  });

  const refused: [name: string, bytes: Buffer][] = [
    ['no magic', Buffer.from('{}')],
    ['another kind', envelope('Pod', metadata)],
    ['a field that is not understood', envelope('Namespace', Buffer.concat([metadata, field(9, 'x')]))],
    ['a field that ends too early', envelope('Namespace', metadata.subarray(0, 5))],
    ['a number without an end', envelope('Namespace', Buffer.from([255, 255]))],
  ];
  for (const [name, bytes] of refused) {
    test(`with ${name} is not read`, () => {
      assert.equal(decodeProtobuf(bytes), undefined);
    });
  }
});

test('the definitions for a real API server say what is checked here', () => {
  const [vms, pools, ...rest] = customResourceDefinitions();
  assert.deepEqual(rest, []);
  assert.deepEqual(
    [pick(vms, 'metadata.name'), pick(pools, 'metadata.name')],
    ['vms.vmoperator.jdrupes.org', 'vmpools.vmoperator.jdrupes.org'],
  );
  assert.deepEqual(
    [pick(vms, 'spec.versions.0.subresources'), pick(pools, 'spec.versions.0.subresources')],
    [{ status: {} }, undefined],
  );
  const spec = pick(vms, 'spec.versions.0.schema.openAPIV3Schema.properties.spec');
  assert.deepEqual(pick(spec, 'properties.vm.properties.state'), {
    type: 'string',
    enum: ['Stopped', 'Running'],
    default: 'Stopped',
  });
  assert.deepEqual(pick(spec, 'properties.vm.properties.currentRam'), { 'x-kubernetes-int-or-string': true });
  assert.equal(pick(spec, 'x-kubernetes-preserve-unknown-fields'), true);
  assert.deepEqual(pick(spec, 'properties.permissions.items.oneOf'), [
    { required: ['user'] },
    { required: ['role'] },
  ]);
});
