import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type net from 'node:net';
import { Readable, type Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { VmopError } from '../../../src/lib/errors.ts';
import type { Cluster } from '../../../src/lib/cluster/types.ts';
import { openTestCluster, startTestApi } from './fixture.ts';
import {
  createPod,
  NAMESPACE,
  startPort,
  startUpgradeProxy,
  unusedPort,
  type UpgradeProxy,
} from './forward-fixture.ts';

const POD = { namespace: NAMESPACE, name: 'desktop-1' };
const MIB = 1024 * 1024;

interface Stage {
  cluster: Cluster;
  proxy: UpgradeProxy;
  /** A connection to the port; gone after the test. */
  forward: (port: number) => Promise<Duplex>;
}

/** The embedded API behind a proxy, with a running pod. */
async function stage(t: TestContext, protocols?: string): Promise<Stage> {
  const api = await startTestApi(t);
  await createPod(await openTestCluster(t, api), POD.name);
  const proxy = await startUpgradeProxy(t, api, protocols);
  const cluster = await openTestCluster(t, proxy);
  const ended = new AbortController();
  t.after(() => ended.abort());
  const forward = async (port: number): Promise<Duplex> => {
    const stream = await cluster.forward(POD, port, { signal: ended.signal });
    // What breaks when the test is over concerns nobody.
    stream.on('error', () => {});
    return stream;
  };
  return { cluster, proxy, forward };
}

/** Bytes that no two connections have in common. */
function* chunks(seed: number, bytes: number): Generator<Buffer> {
  for (let sent = 0, index = 0; sent < bytes; index += 1) {
    const size = Math.min(bytes - sent, 1 + ((seed * 7919 + index * 104_729) % 90_000));
    yield Buffer.alloc(size, (seed + index) % 251);
    sent += size;
  }
}

async function hashOf(stream: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

async function failureOf(stream: Duplex): Promise<VmopError> {
  const [error] = await once(stream, 'error');
  assert.ok(error instanceof VmopError, String(error));
  return error;
}

for (const [name, protocols] of [
  ['SPDY in a WebSocket', undefined],
  ['channels in a WebSocket', 'v4.channel.k8s.io'],
] as const) {
  describe(name, { timeout: 60_000 }, () => {
    test('carries bytes to the port and back', async (t) => {
      const { forward } = await stage(t, protocols);
      const port = await startPort(t, (socket) => socket.pipe(socket));
      const stream = await forward(port);
      stream.write('hello');
      const [answer] = await once(stream, 'data');
      assert.equal(String(answer), 'hello');
    });

    test('many connections at once, megabytes both ways, nothing mixed up', async (t) => {
      const { forward } = await stage(t, protocols);
      const port = await startPort(t, (socket) => socket.pipe(socket));
      await Promise.all(
        Array.from({ length: 12 }, async (_, seed) => {
          const stream = await forward(port);
          const size = 3 * MIB;
          const wanted = hashOf(chunks(seed, size));
          const hash = createHash('sha256');
          let received = 0;
          const all = new Promise<void>((resolve, reject) => {
            stream.on('error', reject);
            stream.on('data', (bytes: Buffer) => {
              hash.update(bytes);
              received += bytes.length;
              if (received === size) resolve();
            });
          });
          Readable.from(chunks(seed, size)).pipe(stream, { end: false });
          await all;
          assert.equal(hash.digest('hex'), await wanted);
        }),
      );
    });

    test('the end of the port comes after all its bytes', async (t) => {
      const { forward } = await stage(t, protocols);
      const port = await startPort(t, (socket) => void Readable.from(chunks(1, 5 * MIB)).pipe(socket));
      const stream = await forward(port);
      assert.equal(await hashOf(stream), await hashOf(chunks(1, 5 * MIB)));
    });

    test('nothing listens on the port', async (t) => {
      const { forward } = await stage(t, protocols);
      const port = await unusedPort();
      const error = await failureOf((await forward(port)).resume());
      assert.equal(error.code, 'console');
      assert.equal(error.message, `nothing listens on port ${port} of pod "desktop-1"`);
    });

    test('the API server goes away', async (t) => {
      const { forward, proxy } = await stage(t, protocols);
      const port = await startPort(t, (socket) => socket.pipe(socket));
      const stream = (await forward(port)).resume();
      const failure = failureOf(stream);
      proxy.disconnect();
      assert.equal((await failure).code, 'unreachable');
      assert.equal(stream.destroyed, true);
      const again = await forward(port);
      again.write('again');
      assert.equal(String((await once(again, 'data'))[0]), 'again');
    });

    test('ends its connection to the port when it is aborted', async (t) => {
      const { cluster } = await stage(t, protocols);
      const closed = Promise.withResolvers<void>();
      const port = await startPort(t, (socket) => socket.resume().once('end', () => closed.resolve()));
      const abort = new AbortController();
      const stream = await cluster.forward(POD, port, { signal: abort.signal });
      const failed = once(stream, 'error');
      abort.abort(new Error('enough'));
      assert.equal(String((await failed)[0]), 'Error: enough');
      await closed.promise;
    });
  });
}

test('the end of what is sent reaches the port, which answers after it', { timeout: 60_000 }, async (t) => {
  const { forward } = await stage(t);
  const port = await startPort(t, (socket: net.Socket) => {
    let said = 0;
    socket.on('data', (bytes: Buffer) => (said += bytes.length));
    socket.on('end', () => socket.end(`you said ${said}`));
  });
  const stream = await forward(port);
  stream.end('x'.repeat(100_000));
  assert.equal(await text(stream), 'you said 100000');
});
