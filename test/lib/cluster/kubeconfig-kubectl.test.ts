import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { loadKubeconfig, type Kubeconfig } from '../../../src/lib/cluster/index.ts';
import { asArray, asObject, asString, parseJson } from '../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../src/lib/cluster/types.ts';
import { findKubeBinaries } from '../../helpers/kube-apiserver.ts';
import { temporaryFolder } from './fixture.ts';

const run = promisify(execFile);
const binaries = await findKubeBinaries();
const kubectl = 'reason' in binaries ? '' : binaries.kubectl;
const skip = 'reason' in binaries ? binaries.reason : false;

/** Files by their paths below a folder; those of `KUBECONFIG`, in its order. */
type FileSet = [name: string, files: Record<string, string>, kubeconfig: string[]];

const BASE = `
clusters: [{name: c, cluster: {server: "https://c.example:6443"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
`;

const SETS: FileSet[] = [
  ['one file', { a: `${BASE}current-context: x` }, ['a']],
  [
    'entries of one name: the first file’s, whole, whatever the second adds',
    {
      a: `${BASE}current-context: x`,
      b: `
clusters: [{name: c, cluster: {server: "https://other", tls-server-name: name.example, insecure-skip-tls-verify: true, proxy-url: "http://p:1"}}]
users: [{name: u, user: {token: other, as: bob, as-groups: [g], username: me, password: p}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: desks}}]`,
    },
    ['a', 'b'],
  ],
  [
    'the same in the other order',
    {
      a: `${BASE}current-context: x`,
      b: `
clusters: [{name: c, cluster: {server: "https://other", tls-server-name: name.example, proxy-url: "http://p:1"}}]
users: [{name: u, user: {username: me, password: p, as: bob, as-groups: [g], as-uid: "7", as-user-extra: {k: [v]}}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: desks}}]`,
    },
    ['b', 'a'],
  ],
  [
    'the current context in the second file, of entries in all three',
    {
      a: 'users: [{name: u, user: {token: t}}]',
      b: 'contexts: [{name: x, context: {cluster: c, user: u, namespace: desks}}]\ncurrent-context: x',
      c: 'clusters: [{name: c, cluster: {server: "https://c"}}]\ncurrent-context: other',
    },
    ['a', 'b', 'c'],
  ],
  [
    'a current context that is empty is none',
    { a: `${BASE}current-context: ""`, b: 'current-context: x' },
    ['a', 'b'],
  ],
  [
    'files that are missing, empty, or comments',
    { a: '', b: '# nothing\n', c: `${BASE}current-context: x` },
    ['gone', 'a', 'b', 'c', 'gone2'],
  ],
  ['the same file twice', { a: `${BASE}current-context: x` }, ['a', 'a']],
  [
    'a JSON file and a YAML file',
    { a: '{"current-context": "x", "clusters": null, "users": []}', b: BASE },
    ['a', 'b'],
  ],
  [
    'paths are relative to the file that they stand in',
    {
      'one/config': `
clusters: [{name: c, cluster: {server: "https://c", certificate-authority: ca.crt}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x`,
      'two/config': 'users: [{name: u, user: {client-certificate: ../keys/me.crt, client-key: me.key}}]',
      'one/ca.crt': 'ca of one',
      'two/ca.crt': 'ca of two',
      'keys/me.crt': 'certificate',
      'two/me.key': 'key',
    },
    ['one/config', 'two/config'],
  ],
  [
    'data stay as they are',
    {
      a: `
clusters: [{name: c, cluster: {server: "https://c", certificate-authority-data: Y2E=}}]
users: [{name: u, user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x`,
    },
    ['a'],
  ],
  [
    'token files and plug-ins',
    {
      'one/config': BASE.replace('token: t', 'tokenFile: secrets/token'),
      'two/config': `
users:
  - {name: plugin, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/login, interactiveMode: Never}}}
  - {name: named, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: login, interactiveMode: Never}}}
contexts:
  - {name: x2, context: {cluster: c, user: plugin}}
  - {name: x3, context: {cluster: c, user: named}}
current-context: x`,
    },
    ['one/config', 'two/config'],
  ],
  [
    'an entry that is incomplete disturbs none of the others',
    {
      a: 'clusters: [{name: half, cluster: {}}, {name: none}]\nusers: [{name: nobody}]\ncontexts: [{name: void}]',
      b: `${BASE}current-context: x`,
    },
    ['a', 'b'],
  ],
  [
    'a name twice in one file',
    {
      a: `${BASE}current-context: x`,
      b: 'users: [{name: v, user: {token: a}}, {name: v, user: {token: b}}]',
    },
    ['a', 'b'],
  ],
  [
    'a cluster’s name twice in one file',
    {
      a: `${BASE}current-context: x`,
      b: 'clusters: [{name: v, cluster: {server: "https://v"}}, {name: v, cluster: {server: "https://w"}}]',
    },
    ['a', 'b'],
  ],
  ['a file that is broken', { a: `${BASE}current-context: x`, b: 'clusters: [' }, ['a', 'b']],
  ['a file that is no map', { a: `${BASE}current-context: x`, b: '[1, 2]' }, ['a', 'b']],
];

/** What a set comes to, for one context. */
interface Outcome {
  cluster: JsonObject;
  user: JsonObject;
  namespace: string;
}

async function asKubectl(folder: string, kubeconfig: string): Promise<Map<string, Outcome> | undefined> {
  const args = ['config', 'view', '--merge', '--flatten', '--raw', '-o', 'json'];
  const env = { KUBECONFIG: kubeconfig, HOME: folder };
  const answer = await run(kubectl, args, { cwd: folder, env }).catch(() => undefined);
  if (answer === undefined) return undefined;
  const config = asObject(parseJson(answer.stdout));
  const find = (list: string, name: unknown): JsonObject =>
    asArray(config[list])
      .map(asObject)
      .find((entry) => entry['name'] === name) ?? {};
  const contexts = asArray(config['contexts']).map(asObject);
  const outcomes = contexts.map((entry): [string, Outcome] => {
    const context = asObject(entry['context']);
    const outcome = {
      cluster: asObject(find('clusters', context['cluster'])['cluster']),
      user: asObject(find('users', context['user'])['user']),
      namespace: asString(context['namespace']) ?? 'default',
    };
    return [asString(entry['name']) ?? '', outcome];
  });
  const current = asString(config['current-context']) ?? '';
  return new Map([
    ['', new Map(outcomes).get(current) ?? { cluster: {}, user: {}, namespace: '' }],
    ...outcomes,
  ]);
}

/** In the words of a kubeconfig. */
async function asVmop(kubeconfig: Kubeconfig): Promise<Outcome> {
  const { config, info, userExtras } = kubeconfig;
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  const { tokenFile, groups, uid, extra } = await userExtras();
  const data = (text: string | undefined | null, file: string | undefined | null): string | undefined =>
    text || (file ? readFileSync(file).toString('base64') : undefined);
  return {
    cluster: set({
      server: info.server,
      'certificate-authority-data': data(cluster?.caData, cluster?.caFile),
      'insecure-skip-tls-verify': cluster?.skipTLSVerify,
      'tls-server-name': cluster?.tlsServerName,
      'proxy-url': cluster?.proxyUrl,
    }),
    user: set({
      'client-certificate-data': data(user?.certData, user?.certFile),
      'client-key-data': data(user?.keyData, user?.keyFile),
      token: user?.token,
      tokenFile,
      username: user?.username,
      password: user?.password,
      exec: user?.exec,
      as: user?.impersonateUser,
      'as-uid': uid,
      'as-groups': groups.length === 0 ? undefined : groups,
      'as-user-extra': Object.keys(extra).length === 0 ? undefined : extra,
    }),
    namespace: info.namespace,
  };
}

/** Without what is not there. */
function set(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => Boolean(value)));
}

/** `view` writes defaults of a plug-in out, and leaves the paths that it does not flatten as they were written. */
function comparable({ cluster, user, namespace }: Outcome): Outcome {
  const { exec, tokenFile: file, ...others } = user;
  const rest = { ...others, tokenFile: path.basename(asString(file) ?? '') };
  const { apiVersion, ...plugin } = asObject(exec);
  const command = path.basename(asString(plugin['command']) ?? '');
  return { cluster, user: set({ ...rest, ...(exec ? { exec: { command, apiVersion } } : {}) }), namespace };
}

async function write(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return folder;
}

describe('several kubeconfig files are what they are to kubectl', { skip }, () => {
  for (const [name, files, order] of SETS) {
    test(name, async (t) => {
      const folder = await write(t, files);
      const list = order.map((file) => path.join(folder, file)).join(path.delimiter);
      const load = (context: string): Kubeconfig =>
        loadKubeconfig({ env: { KUBECONFIG: list }, context: context || undefined });
      const wanted = await asKubectl(folder, list);
      if (wanted === undefined) {
        assert.throws(() => load(''), { exitCode: 7, message: /^the kubeconfig .*\/b cannot be read: / });
        return;
      }
      for (const [context, outcome] of wanted) {
        // What names no cluster is no context to work in.
        if (Object.keys(outcome.cluster).length === 0) assert.throws(() => load(context));
        else
          assert.deepEqual(
            [context, comparable(await asVmop(load(context)))],
            [context, comparable(outcome)],
          );
      }
    });
  }
});
