/**
 * Bytes through the API server: `Cluster.forward` behind a local listener against `kubectl port-forward`, in turns, on
 * a real API server with a kubelet's own streaming. Says for each direction and number of connections how fast it was
 * and what it cost in the forwarding process. `npm run bench:tunnel [MEGABYTES] [ROUNDS]`.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { rolldown } from 'rolldown';
import { findKubeBinaries, noKubelet, startKubeApiserver } from '../test/helpers/kube-apiserver.ts';
import { loadKubeconfig, openCluster } from '../src/lib/cluster/index.ts';
import { createPod } from '../test/lib/cluster/forward-fixture.ts';
import { median } from './lib.ts';

const MIB = 1024 * 1024;
/** Linux counts CPU time in these. */
const TICKS_PER_SECOND = 100;
const POD = { namespace: 'default', name: 'bench' };

interface Forwarder {
  name: string;
  process: ChildProcess;
  port: number;
}

interface Measurement {
  mibPerSecond: number;
  /** User and system. */
  cpuSecondsPerGib: number;
}

/** The forwarder as it is installed: one file, no types. */
async function bundleForwarder(folder: string): Promise<string> {
  const input = path.join(import.meta.dirname, 'tunnel-forwarder.ts');
  const build = await rolldown({ input, platform: 'node', logLevel: 'silent' });
  await build.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: '[name].mjs',
  });
  await build.close();
  return path.join(folder, 'tunnel-forwarder.mjs');
}

/** Both print a line with the local port. */
async function startForwarder(name: string, command: string, args: string[]): Promise<Forwarder> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout);
  const [line] = await once(lines, 'line');
  child.stdout.resume();
  const port = Number(/(?:"port":|127\.0\.0\.1:)(\d+)/.exec(String(line))?.[1]);
  assert.ok(port > 0, `${name} says: ${line}`);
  return { name, process: child, port };
}

function cpuSeconds(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (user + system) / TICKS_PER_SECOND;
}

/** What the pod's port does: the first byte says how. */
function servePort(socket: net.Socket): void {
  const block = Buffer.alloc(64 * 1024, 'vmop');
  socket.on('error', () => {});
  socket.once('data', (first: Buffer) => {
    const [direction = '', bytes = '0'] = String(first).split(' ');
    let left = Number(bytes);
    if (direction === 'down') {
      const push = (): void => {
        while (left > 0) {
          left -= block.length;
          if (!socket.write(block)) return void socket.once('drain', push);
        }
        socket.end();
      };
      push();
    } else {
      socket.write('go');
      socket.on('data', (chunk: Buffer) => {
        left -= chunk.length;
        if (left <= 0) socket.end('done');
      });
    }
  });
}

async function transfer(port: number, direction: 'down' | 'up', bytes: number): Promise<void> {
  const socket = net.connect(port, '127.0.0.1');
  socket.write(`${direction} ${bytes} `);
  if (direction === 'down') {
    let received = 0;
    socket.on('data', (chunk: Buffer) => (received += chunk.length));
    await once(socket, 'close');
    assert.equal(received, bytes);
    return;
  }
  await once(socket, 'data');
  const block = Buffer.alloc(64 * 1024, 'vmop');
  const done = once(socket, 'data');
  for (let left = bytes; left > 0; left -= block.length)
    if (!socket.write(block)) await once(socket, 'drain');
  await done;
  socket.destroy();
}

async function measure(
  { process: child, port }: Forwarder,
  direction: 'down' | 'up',
  connections: number,
  bytes: number,
): Promise<Measurement> {
  const cpu = cpuSeconds(child.pid);
  const started = performance.now();
  await Promise.all(
    Array.from({ length: connections }, () => transfer(port, direction, bytes / connections)),
  );
  const seconds = (performance.now() - started) / 1000;
  return {
    mibPerSecond: bytes / MIB / seconds,
    cpuSecondsPerGib: ((cpuSeconds(child.pid) - cpu) / bytes) * 1024 * MIB,
  };
}

async function bench(bytes: number, rounds: number): Promise<void> {
  const binaries = await findKubeBinaries();
  const missing = noKubelet(binaries);
  if ('reason' in binaries || missing !== undefined) throw new Error(missing);
  const server = await startKubeApiserver();
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-bench-'));
  const podPort = net.createServer({ allowHalfOpen: false }, servePort);
  const forwarders: Forwarder[] = [];
  const kubeconfig = loadKubeconfig({ env: {}, file: server.adminKubeconfig });
  const cluster = openCluster(kubeconfig, { userAgent: 'bench', timeoutMs: 30_000 });
  try {
    await createPod(cluster, POD.name);
    await new Promise<void>((resolve) => podPort.listen(0, '127.0.0.1', resolve));
    const address = podPort.address();
    assert.ok(typeof address === 'object' && address !== null);
    const port = String(address.port);
    const own = [await bundleForwarder(folder), server.adminKubeconfig, POD.name, port];
    forwarders.push(await startForwarder('vmop', process.execPath, own));
    const args = ['--kubeconfig', server.adminKubeconfig, 'port-forward', `pod/${POD.name}`, `:${port}`];
    forwarders.push(await startForwarder('kubectl', binaries.kubectl, args));
    for (const forwarder of forwarders) await measure(forwarder, 'down', 1, 16 * MIB);
    for (const direction of ['down', 'up'] as const) {
      for (const connections of [1, 8]) {
        const results = forwarders.map((): Measurement[] => []);
        for (let round = 0; round < rounds; round += 1) {
          for (const [index, forwarder] of forwarders.entries()) {
            results[index]?.push(await measure(forwarder, direction, connections, bytes));
          }
        }
        for (const [index, { name }] of forwarders.entries()) {
          const measured = results[index] ?? [];
          const speed = median(measured.map(({ mibPerSecond }) => mibPerSecond)).toFixed(0);
          const cpu = median(measured.map(({ cpuSecondsPerGib }) => cpuSecondsPerGib)).toFixed(2);
          console.log(`${direction} ${connections} ${name}: ${speed} MiB/s, ${cpu} CPU s/GiB`);
        }
      }
    }
  } finally {
    for (const { process: child } of forwarders) child.kill();
    cluster.close();
    podPort.close();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const [megabytes = '256', rounds = '5'] = process.argv.slice(2);
await bench(Number(megabytes) * MIB, Number(rounds));
