import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type net from 'node:net';
import { Readable, type Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, describe, test, type TestContext } from 'node:test';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { VmopError } from '../../../src/lib/errors.ts';
import type { Cluster, ObjectRef } from '../../../src/lib/cluster/types.ts';
import {
  findKubeBinaries,
  noKubelet,
  startKubeApiserver,
  type KubeApiserver,
} from '../../helpers/kube-apiserver.ts';
import { openTestCluster, startTestApi, TOKEN } from './fixture.ts';
import {
  createPod,
  NAMESPACE,
  startPort,
  startUpgradeProxy,
  unusedPort,
  type UpgradeProxy,
} from './forward-fixture.ts';

const MIB = 1024 * 1024;

interface ServerUnderTest {
  url: string;
  caPem: string;
  /** Of an administrator. */
  token: string;
}

type Start = (t: TestContext) => Promise<ServerUnderTest>;

const embedded: Start = async (t) => ({ ...(await startTestApi(t)), token: TOKEN });

let shared: Promise<KubeApiserver> | undefined;
after(async () => (await shared)?.close());

/** One for all tests: it takes seconds to start. */
const kubeApiserver: Start = async () => {
  shared ??= startKubeApiserver();
  const { url, caPem, adminToken } = await shared;
  return { url, caPem, token: adminToken };
};

interface Stage {
  cluster: Cluster;
  pod: ObjectRef;
  proxy: UpgradeProxy;
  /** A connection to the port; gone after the test. */
  forward: (port: number) => Promise<Duplex>;
}

/** A running pod, and an API server behind a proxy. */
async function stage(t: TestContext, start: Start, protocols?: string): Promise<Stage> {
  const server = await start(t);
  const { token } = server;
  const pod = { namespace: NAMESPACE, name: `desktop-${randomUUID()}` };
  await createPod(await openTestCluster(t, server, { token }), pod.name);
  const proxy = await startUpgradeProxy(t, server, protocols);
  const cluster = await openTestCluster(t, proxy, { token });
  const ended = new AbortController();
  t.after(() => ended.abort());
  const forward = async (port: number): Promise<Duplex> => {
    const stream = await cluster.forward(pod, port, { signal: ended.signal });
    // What breaks when the test is over concerns nobody.
    stream.on('error', () => {});
    return stream;
  };
  return { cluster, pod, proxy, forward };
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

/** More than all buffers between the two ends hold; far less than what is sent. */
const BOUND = 80 * MIB;

/** Resolves when a number has stopped growing. */
async function standstill(read: () => number): Promise<void> {
  for (let last = -1; last !== read() || last === 0; await sleep(500)) last = read();
}

function suite(start: Start, protocols?: string): void {
  test('carries bytes to the port and back', async (t) => {
    const { forward } = await stage(t, start, protocols);
    const port = await startPort(t, (socket) => socket.pipe(socket));
    const stream = await forward(port);
    stream.write('hello');
    const [answer] = await once(stream, 'data');
    assert.equal(String(answer), 'hello');
  });

  test('many connections at once, megabytes both ways, nothing mixed up', async (t) => {
    const { forward } = await stage(t, start, protocols);
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
    const { forward } = await stage(t, start, protocols);
    const port = await startPort(t, (socket) => void Readable.from(chunks(1, 5 * MIB)).pipe(socket));
    const stream = await forward(port);
    assert.equal(await hashOf(stream), await hashOf(chunks(1, 5 * MIB)));
  });

  test('nothing listens on the port', async (t) => {
    const { forward, pod } = await stage(t, start, protocols);
    const port = await unusedPort();
    const error = await forward(port).then(
      (stream) => failureOf(stream.resume()),
      (early: unknown) => early,
    );
    assert.ok(error instanceof VmopError);
    assert.equal(error.code, 'console');
    assert.equal(error.message, `nothing listens on port ${port} of pod "${pod.name}"`);
  });

  test('the API server goes away', async (t) => {
    const { forward, proxy } = await stage(t, start, protocols);
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

  test('an idle connection is spoken on, and given up when nothing comes back', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { forward, proxy } = await stage(t, start, protocols);
    const port = await startPort(t, (socket) => socket.pipe(socket));
    const stream = (await forward(port)).resume();
    const [wire] = proxy.upgrades;
    assert.ok(wire);
    const spoken = once(wire, 'data');
    t.mock.timers.tick(15_000);
    await spoken;
    const failure = failureOf(stream);
    wire.pause();
    while (!stream.destroyed) {
      t.mock.timers.tick(15_000);
      await turn();
    }
    assert.match((await failure).message, /broke off: it does not answer any more$/);
  });

  test('ends its connection to the port when it is aborted', async (t) => {
    const { cluster, pod } = await stage(t, start, protocols);
    const closed = Promise.withResolvers<void>();
    const port = await startPort(t, (socket) => socket.resume().once('end', () => closed.resolve()));
    const abort = new AbortController();
    const stream = await cluster.forward(pod, port, { signal: abort.signal });
    const failed = once(stream, 'error');
    abort.abort(new Error('enough'));
    assert.equal(String((await failed)[0]), 'Error: enough');
    await closed.promise;
  });

  test('whoever does not read stops the port, and goes on where it stood', async (t) => {
    const { forward } = await stage(t, start, protocols);
    const total = 200 * MIB;
    let accepted = 0;
    const port = await startPort(t, (socket) => {
      const block = Buffer.alloc(MIB / 4, 'x');
      const push = (): void => {
        while (accepted < total) {
          accepted += block.length;
          if (!socket.write(block)) return void socket.once('drain', push);
        }
        socket.end();
      };
      push();
    });
    const stream = await forward(port);
    const before = process.memoryUsage().arrayBuffers;
    await standstill(() => accepted);
    assert.ok(accepted < BOUND, `${accepted} bytes are on their way to somebody who does not read`);
    assert.ok(process.memoryUsage().arrayBuffers - before < BOUND);
    const stood = accepted;
    let received = 0;
    for await (const chunk of stream) {
      received += Buffer.byteLength(chunk);
      if (received > stood + MIB) return;
    }
    assert.fail('it ended before everything was sent');
  });

  test('a port that does not read stops whoever writes, who goes on when it reads', async (t) => {
    const { forward } = await stage(t, start, protocols);
    const total = 200 * MIB;
    const sockets: net.Socket[] = [];
    const port = await startPort(t, (socket) => sockets.push(socket.pause()));
    const stream = await forward(port);
    const before = process.memoryUsage().arrayBuffers;
    let accepted = 0;
    const block = Buffer.alloc(MIB / 4, 'x');
    const push = (): void => {
      while (accepted < total) {
        accepted += block.length;
        if (!stream.write(block)) return void stream.once('drain', push);
      }
    };
    push();
    await standstill(() => accepted);
    assert.ok(accepted < BOUND, `${accepted} bytes are on their way to a port that does not read`);
    assert.ok(process.memoryUsage().arrayBuffers - before < BOUND);
    const [socket] = sockets;
    assert.ok(socket);
    const stood = accepted;
    let received = 0;
    await new Promise<void>((resolve) => {
      socket.on('data', (bytes: Buffer) => {
        received += bytes.length;
        if (received > stood + MIB) resolve();
      });
      socket.resume();
    });
  });
}

function halfCloseSuite(start: Start): void {
  test('the end of what is sent reaches the port, which answers after it', async (t) => {
    const { forward } = await stage(t, start);
    const port = await startPort(t, (socket) => {
      let said = 0;
      socket.on('data', (bytes: Buffer) => (said += bytes.length));
      socket.on('end', () => socket.end(`you said ${said}`));
    });
    const stream = await forward(port);
    stream.end('x'.repeat(100_000));
    assert.equal(await text(stream), 'you said 100000');
  });
}

const CHANNELS = 'v4.channel.k8s.io';
const timeout = 120_000;

describe('the embedded API', { timeout }, () => {
  describe('SPDY', () => {
    suite(embedded);
    halfCloseSuite(embedded);
  });
  describe('channels', () => suite(embedded, CHANNELS));
});

const binaries = await findKubeBinaries();
describe('kube-apiserver', { timeout, skip: noKubelet(binaries) }, () => {
  describe('SPDY', () => {
    suite(kubeApiserver);
    halfCloseSuite(kubeApiserver);
  });
  describe('channels', () => suite(kubeApiserver, CHANNELS));
});
