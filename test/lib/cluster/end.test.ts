import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { kubeconfigText } from '../../../src/lib/sandbox/kubeconfig.ts';
import { temporaryFolder } from './fixture.ts';
import { kubeStatus, reply, startScriptedServer, type ScriptedRequest } from './scripted-server.ts';

const SRC = path.join(import.meta.dirname, '../../../src/lib');

/** What a process of its own runs: `cluster`, `VMS` and the rest are there. */
const prelude = (kubeconfig: string): string => `
  import { loadKubeconfig, openCluster } from '${SRC}/cluster/index.ts';
  import { VMS } from '${SRC}/vm/parse.ts';
  import { followVms } from '${SRC}/vm/follow.ts';
  const cluster = openCluster(loadKubeconfig({ env: {}, file: '${kubeconfig}' }), { userAgent: 'x', timeoutMs: 600_000 });
  const ref = { namespace: 'ns', name: 'a' };
  const forever = new AbortController().signal;
  const sync = async (signal) => {
    for await (const change of cluster.watch(VMS, { namespace: 'ns', signal })) if (change.type === 'added') return;
  };
`;

const empty = { metadata: { resourceVersion: '1' }, items: [] };
const added = `${JSON.stringify({ type: 'ADDED', object: { metadata: { name: 'a', namespace: 'ns', resourceVersion: '2' } } })}\n`;

/** Lists are empty, watches tell of one VM and stay open, `busy` is always busy, `silent` says nothing. */
function answer(request: ScriptedRequest): void {
  const { path: asked, response } = request;
  if (asked.includes('silent')) return;
  if (asked.includes('busy')) reply(request, { ...kubeStatus(429), headers: { 'retry-after': '9' } });
  else if (asked.includes('watch=true')) response.writeHead(200).write(added);
  else reply(request, { body: empty });
}

const cases: [name: string, code: string][] = [
  ['a list, closed', `await cluster.list(VMS, { namespace: 'ns' }); cluster.close();`],
  ['a list that nobody closes: what is idle holds nobody', `await cluster.list(VMS, { namespace: 'ns' });`],
  ['a watch that is left, closed', `await sync(forever); cluster.close();`],
  [
    'a watch that is left and aborted, not closed',
    `const a = new AbortController(); await sync(a.signal); a.abort();`,
  ],
  [
    'a watch that is under way, closed',
    `const changes = cluster.watch(VMS, { namespace: 'ns', signal: forever })[Symbol.asyncIterator]();
     await changes.next(); await changes.next(); const next = changes.next(); cluster.close(); await next;`,
  ],
  [
    'a follow that is under way, closed',
    `const following = followVms(cluster, [ref], { resource: VMS, decide: () => { setImmediate(() => cluster.close()); },
       describe: () => ({ state: 'late' }), timeoutMs: 2 ** 40, signal: forever }); await following;`,
  ],
  [
    'a follow that is done, not closed',
    `await followVms(cluster, [ref], { resource: VMS, decide: () => ({ done: 1 }), describe: () => ({ state: 'late' }),
       timeoutMs: 2 ** 40, signal: forever });`,
  ],
  [
    'a call that nobody answers, closed',
    `const call = cluster.get(VMS, { namespace: 'ns', name: 'silent' }).catch(() => {});
     setTimeout(() => cluster.close(), 50); await call;`,
  ],
  [
    'a call that waits to be repeated, closed',
    `const call = cluster.get(VMS, { namespace: 'ns', name: 'busy' }).catch(() => {});
     setTimeout(() => cluster.close(), 200); await call;`,
  ],
];

describe('a process ends by itself after', { concurrency: 2 }, () => {
  for (const [name, code] of cases) {
    test(name, { timeout: 60_000 }, async (t) => {
      const server = await startScriptedServer(t, answer, { tls: true });
      const kubeconfig = path.join(await temporaryFolder(t), 'config');
      await writeFile(kubeconfig, kubeconfigText({ ...server, userName: 'me', token: 't' }));
      const args = ['--input-type=module', '--eval', `${prelude(kubeconfig)}\n${code}\nconsole.log('done');`];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], signal: t.signal });
      const output: string[] = [];
      child.stdout.on('data', (chunk) => output.push(String(chunk)));
      child.stderr.on('data', (chunk) => output.push(String(chunk)));
      const exitCode = await new Promise((resolve, reject) =>
        child.once('close', resolve).once('error', reject),
      );
      assert.deepEqual([exitCode, output.join('')], [0, 'done\n']);
    });
  }
});
