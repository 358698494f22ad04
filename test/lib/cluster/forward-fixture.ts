import assert from 'node:assert/strict';
import { request as httpsRequest, createServer, type RequestOptions } from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { Cluster, JsonObject, KubeObject, Resource } from '../../../src/lib/cluster/types.ts';
import { NODE_NAME } from '../../../src/lib/sandbox/operator/objects.ts';
import { testCertificate } from './scripted-server.ts';
import type { Owner } from './fixture.ts';

export const NAMESPACE = 'default';
const PODS: Resource<KubeObject> = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
  parse: (object) => object,
};

/** A pod with host network; without a node where that is '' . */
export async function createPod(
  cluster: Cluster,
  name: string,
  { node = NODE_NAME, phase = 'Running' }: { node?: string; phase?: string } = {},
): Promise<void> {
  const containers = [{ name: 'qemu', image: 'runner' }];
  const spec: JsonObject = { hostNetwork: true, containers, ...(node === '' ? {} : { nodeName: node }) };
  await cluster.create(PODS, NAMESPACE, { metadata: { name }, spec });
  const body = { status: { phase } };
  await cluster.patch(
    PODS,
    { namespace: NAMESPACE, name },
    { type: 'merge', body },
    { subresource: 'status' },
  );
}

/** Listens on loopback as a process in a pod does; connections that are left are torn off after the test. */
export async function startPort(owner: Owner, serve: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  owner.after(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return address.port;
}

/** A port that nothing listens on: it was free a moment ago. */
export async function unusedPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

export interface UpgradeProxy {
  url: string;
  caPem: string;
  /** The headers of the upgrades so far. */
  upgrades: net.Socket[];
  /** Tears off what is connected. */
  disconnect(): void;
}

/** A proxy before an API server that passes on WebSockets, with the subprotocols that it is told to leave. */
export async function startUpgradeProxy(
  owner: Owner,
  target: { url: string; caPem: string } & Pick<RequestOptions, 'cert' | 'key'>,
  protocols?: string,
): Promise<UpgradeProxy> {
  const { keyPem: key, certPem: cert } = await testCertificate();
  const server = createServer({ key, cert });
  const upgrades: net.Socket[] = [];
  server.on('upgrade', (incoming, socket: net.Socket, head: Buffer) => {
    upgrades.push(socket);
    const headers = { ...incoming.headers };
    if (protocols !== undefined) headers['sec-websocket-protocol'] = protocols;
    const { url, caPem: ca } = target;
    const options = {
      ca,
      headers,
      ...(target.cert === undefined ? {} : { cert: target.cert, key: target.key }),
    };
    const sent = httpsRequest(new URL(incoming.url ?? '/', url), options);
    sent.on('error', () => socket.destroy());
    sent.on('upgrade', (answer, inner: Duplex, first: Buffer) => {
      const lines = ['HTTP/1.1 101 Switching Protocols'];
      for (const [name, value] of Object.entries(answer.headers)) lines.push(`${name}: ${String(value)}`);
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      socket.write(first);
      inner.write(head);
      socket.pipe(inner).pipe(socket);
      for (const [one, other] of [
        [socket, inner],
        [inner, socket],
      ] as const) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
      }
    });
    sent.on('response', (answer) => {
      socket.end(`HTTP/1.1 ${answer.statusCode} Refused\r\nconnection: close\r\n\r\n`);
      answer.resume();
    });
    sent.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const disconnect = (): void => upgrades.forEach((socket) => socket.destroy());
  owner.after(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    disconnect();
    await closed;
  });
  return { url: `https://127.0.0.1:${address.port}`, caPem: cert, upgrades, disconnect };
}
