import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { allowedNames, parseAccessRules, rulesAllow } from '../../../src/lib/cluster/access-rules.ts';
import { isStatus, type Cluster } from '../../../src/lib/cluster/index.ts';
import type { JsonObject } from '../../../src/lib/cluster/types.ts';
import type { PolicyRule } from '../../../src/lib/sandbox/api/index.ts';
import { CONFIG_MAPS, openTestCluster, rejectionOf, startTestApi } from './fixture.ts';
import { kubeStatus, reply, startScriptedServer, type Reply } from './scripted-server.ts';

const rule = (
  verbs: string[],
  resources: string[],
  resourceNames?: string[],
  apiGroups = ['g'],
): JsonObject => ({
  verbs,
  apiGroups,
  resources,
  ...(resourceNames ? { resourceNames } : {}),
});
const of = (...resourceRules: unknown[]) => parseAccessRules({ resourceRules });
const VM = { group: 'g', resource: 'vms' };

describe('names that rules allow', () => {
  const cases: [name: string, rules: unknown[], names: 'any' | string[]][] = [
    ['none', [], []],
    [
      'of several rules, each once',
      [rule(['get'], ['vms'], ['b', 'a']), rule(['*'], ['*'], ['a', 'c'])],
      ['a', 'b', 'c'],
    ],
    ['any, where one rule has no names', [rule(['get'], ['vms'], ['a']), rule(['get'], ['vms'])], 'any'],
    ['an empty list of names restricts nothing', [rule(['get'], ['vms'], [])], 'any'],
    ['not of another verb', [rule(['patch'], ['vms'], ['a'])], []],
    ['not of another group', [rule(['get'], ['vms'], ['a'], ['h'])], []],
    ['of every group', [rule(['get'], ['vms'], ['a'], ['*'])], ['a']],
    ['not of a subresource', [rule(['get'], ['vms/status', '*/status'], ['a'])], []],
    ['not of what is no rule', [7, null, { verbs: 'get', apiGroups: ['g'], resources: ['vms'] }], []],
  ];
  for (const [name, rules, names] of cases) {
    test(name, () => assert.deepEqual(allowedNames(of(...rules), 'get', VM), names));
  }
});

describe('what rules allow', () => {
  const cases: [allowed: boolean, rule: JsonObject, name: string | undefined, subresource?: string][] = [
    [true, rule(['get'], ['vms'], ['a']), 'a'],
    [false, rule(['get'], ['vms'], ['a']), 'b'],
    [false, rule(['get'], ['vms'], ['a']), undefined],
    [true, rule(['get'], ['vms']), undefined],
    [true, rule(['get'], ['vms/status'], ['a']), 'a', 'status'],
    [true, rule(['get'], ['*/status']), 'a', 'status'],
    [false, rule(['get'], ['vms']), 'a', 'status'],
    [true, rule(['get'], ['*']), 'a', 'status'],
  ];
  for (const [allowed, given, name, subresource] of cases) {
    test(`${JSON.stringify(given)}: ${name ?? 'any'} ${subresource ?? ''}`, () => {
      const attributes = { ...VM, verb: 'get', name, ...(subresource === undefined ? {} : { subresource }) };
      assert.equal(rulesAllow(of(given), attributes), allowed);
    });
  }
});

test('incomplete rules say why', () => {
  const status = { resourceRules: [], incomplete: true, evaluationError: 'a webhook' };
  assert.deepEqual(parseAccessRules(status), { rules: [], incomplete: true, problem: 'a webhook' });
  assert.deepEqual(parseAccessRules({}), { rules: [], incomplete: false });
});

/** alice may get and watch the ConfigMap `mine` alone. */
const RULES: PolicyRule[] = [
  {
    subjects: { users: ['alice'] },
    verbs: ['get', 'watch'],
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['mine'],
    namespaces: ['default'],
  },
];

async function aliceAndRoot(t: TestContext): Promise<{ alice: Cluster; root: Cluster }> {
  const tokens = {
    root: { username: 'root', groups: ['system:masters'] },
    alice: { username: 'alice', groups: [] },
  };
  const api = await startTestApi(t, { rules: RULES, tokens });
  return {
    alice: await openTestCluster(t, api, { token: 'alice' }),
    root: await openTestCluster(t, api, { token: 'root' }),
  };
}

test('the API server names the rules', async (t) => {
  const { alice } = await aliceAndRoot(t);
  const rules = await alice.rules('default');
  assert.equal(rules.incomplete, false);
  assert.deepEqual(allowedNames(rules, 'get', { group: '', resource: 'configmaps' }), ['mine']);
  assert.deepEqual(
    allowedNames(await alice.rules('other'), 'get', { group: '', resource: 'configmaps' }),
    [],
  );
});

test('one object is watched without the permission to list', async (t) => {
  const { alice, root } = await aliceAndRoot(t);
  const abort = new AbortController();
  const watch = alice.watch(CONFIG_MAPS, { namespace: 'default', name: 'mine', signal: abort.signal });
  const changes = watch[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value } = await changes.next();
    return value.type === 'synced'
      ? `synced ${value.items.length}`
      : `${value.type} ${value.item.metadata.name}`;
  };
  assert.equal(await next(), 'synced 0');
  const added = next();
  await root.create(CONFIG_MAPS, 'default', { metadata: { name: 'foreign' } });
  await root.create(CONFIG_MAPS, 'default', { metadata: { name: 'mine' } });
  assert.equal(await added, 'added mine');
  await root.delete(CONFIG_MAPS, { namespace: 'default', name: 'mine' });
  assert.equal(await next(), 'deleted mine');
  abort.abort();
  const foreign = alice.watch(CONFIG_MAPS, { namespace: 'default', name: 'foreign', signal: t.signal });
  assert.ok(isStatus(await rejectionOf(foreign[Symbol.asyncIterator]().next()), 403));
});

test('an object whose version the server has forgotten is watched from what there is', async (t) => {
  const object = { metadata: { name: 'old', resourceVersion: '5' } };
  const versions: (string | null)[] = [];
  const server = await startScriptedServer(t, (request) => {
    const query = new URL(request.path, 'http://x').searchParams;
    if (query.get('watch') === null) {
      reply(request, { body: object });
      return;
    }
    assert.equal(query.get('fieldSelector'), 'metadata.name=old');
    versions.push(query.get('resourceVersion'));
    const answer: Reply =
      versions.length === 1
        ? kubeStatus(410, 'too old')
        : {
            body: `${JSON.stringify({ type: 'ADDED', object: { metadata: { name: 'old', resourceVersion: '9' } } })}\n`,
          };
    reply(request, answer);
  });
  const cluster = await openTestCluster(t, server);
  const seen: string[] = [];
  for await (const change of cluster.watch(CONFIG_MAPS, {
    namespace: 'default',
    name: 'old',
    signal: t.signal,
  })) {
    seen.push(change.type);
    if (change.type === 'added') break;
  }
  assert.deepEqual(
    [seen, versions],
    [
      ['synced', 'synced', 'added'],
      ['5', null],
    ],
  );
});
