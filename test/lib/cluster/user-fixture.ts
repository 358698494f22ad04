import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import {
  loadKubeconfig,
  openCluster,
  type Cluster,
  type ClusterOptions,
} from '../../../src/lib/cluster/index.ts';
import { temporaryFolder } from './fixture.ts';
import { reply, startScriptedServer, type ScriptedRequest, type ScriptedServer } from './scripted-server.ts';

export const ref = { namespace: 'default', name: 'a' };

export interface Parts {
  user?: object;
  cluster?: object;
  options?: Partial<ClusterOptions>;
  env?: Record<string, string>;
  /** Files beside the kubeconfig. */
  files?: Record<string, string>;
  script?: (request: ScriptedRequest) => void;
}

export interface Opened {
  server: ScriptedServer;
  cluster: Cluster;
  folder: string;
  /** The header that each request bore. */
  sent: (header?: string) => unknown[];
}

/** A client whose kubeconfig has this user, and a server that tells what it was sent. */
export async function open(
  t: TestContext,
  { user = {}, cluster = {}, options, env = {}, files = {}, script = reply }: Parts,
): Promise<Opened> {
  const server = await startScriptedServer(t, (request) => script(request), { tls: true });
  const folder = await temporaryFolder(t);
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
  const file = path.join(folder, 'config');
  const authority = { 'certificate-authority-data': Buffer.from(server.caPem).toString('base64') };
  await writeFile(
    file,
    stringify({
      clusters: [{ name: 'c', cluster: { server: server.url, ...authority, ...cluster } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  const opened = openCluster(loadKubeconfig({ env, file }), {
    userAgent: 'vmop-test',
    timeoutMs: 20_000,
    ...options,
  });
  t.after(() => opened.close());
  return {
    server,
    cluster: opened,
    folder,
    sent: (header = 'authorization') => server.requests.map(({ headers }) => headers[header]),
  };
}

/** A plug-in that counts its calls in a file and prints this as its answer. */
export function plugin(folder: string, status: string, more: object = {}): object {
  const code = [
    `const fs = require('node:fs');`,
    `fs.appendFileSync(${JSON.stringify(path.join(folder, 'calls'))}, 'x');`,
    `const calls = fs.readFileSync(${JSON.stringify(path.join(folder, 'calls'))}, 'utf8').length;`,
    `const info = JSON.parse(process.env.KUBERNETES_EXEC_INFO ?? 'null');`,
    `console.log(JSON.stringify({ apiVersion: info?.apiVersion, kind: 'ExecCredential', status: ${status} }));`,
  ].join('\n');
  const apiVersion = 'client.authentication.k8s.io/v1';
  return {
    exec: {
      apiVersion,
      command: process.execPath,
      args: ['-e', code],
      env: null,
      interactiveMode: 'Never',
      ...more,
    },
  };
}

export const callsOf = async (folder: string): Promise<number> =>
  (await readFile(path.join(folder, 'calls'), 'utf8')).length;
