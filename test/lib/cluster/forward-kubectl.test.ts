import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { kubeconfigText } from '../../../src/lib/sandbox/kubeconfig.ts';
import { findKubectl } from '../../helpers/kubectl.ts';
import { openTestCluster, startTestApi, temporaryFolder, TOKEN } from './fixture.ts';
import { createPod, startPort, unusedPort } from './forward-fixture.ts';

const kubectl = await findKubectl();
const options = { timeout: 60_000, skip: 'reason' in kubectl && kubectl.reason };

/** `kubectl port-forward` against the embedded API; the local ports, in the order of the pod's. */
async function portForward(t: TestContext, ports: number[]): Promise<number[]> {
  const api = await startTestApi(t);
  await createPod(await openTestCluster(t, api), 'desktop-1');
  const file = path.join(await temporaryFolder(t), 'config');
  await writeFile(file, kubeconfigText({ ...api, userName: 'admin', token: TOKEN }));
  const args = ['port-forward', 'pod/desktop-1', ...ports.map((port) => `:${port}`)];
  const command = 'path' in kubectl ? kubectl.path : '';
  const child = spawn(command, ['--kubeconfig', file, '--address', '127.0.0.1', ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const local: number[] = [];
  for await (const line of createInterface(child.stdout)) {
    local.push(Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]));
    if (local.length === ports.length) break;
  }
  return local;
}

test('kubectl forwards to the embedded API: many connections, each end by itself', options, async (t) => {
  const port = await startPort(t, (socket) => {
    let said = 0;
    socket.on('data', (bytes: Buffer) => (said += bytes.length));
    socket.on('end', () => socket.end(`you said ${said}`));
  });
  const [local = 0] = await portForward(t, [port]);
  await Promise.all(
    [1, 100_000, 2_000_000].map(async (size) => {
      const socket = net.connect({ port: local, host: '127.0.0.1', allowHalfOpen: true });
      socket.end(Buffer.alloc(size, 'x'));
      assert.equal(await text(socket), `you said ${size}`);
    }),
  );
});

test('kubectl’s connection to a port that nothing listens on ends', options, async (t) => {
  const [local = 0] = await portForward(t, [await unusedPort()]);
  const socket = net.connect({ port: local, host: '127.0.0.1' });
  assert.equal(await text(socket), '');
});
