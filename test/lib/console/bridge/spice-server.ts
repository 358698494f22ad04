import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, privateDecrypt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { readExactly } from '../../../../src/lib/read-exactly.ts';

const FOREVER = new AbortController().signal;
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });

/** AUTH_SELECTION, AUTH_SPICE, AUTH_SASL and MINI_HEADER: SASL, too, as QEMU may be built. */
export const SERVER_CAPABILITIES = 0b1111;

export interface FakeServerOptions {
  passwords: () => readonly string[];
  /** What it does with a channel that was linked. By default it sends back what comes. */
  onLinked?: (stream: Duplex, message: Buffer) => void;
  /** A link error for each message, where it is not 0. */
  linkError?: number;
  capabilities?: number;
  tls?: { key: string; cert: string };
  /** It stops at this point and says no more. */
  silentAt?: 'reply' | 'result';
}

/** A SPICE server up to the point where a channel is linked. */
export interface FakeServer {
  port: number;
  /** The link messages, as they came. */
  messages: Buffer[];
  /** Connections that are open. */
  open: ReadonlySet<Duplex>;
  /** When none is open any more. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

export async function startFakeServer(options: FakeServerOptions): Promise<FakeServer> {
  const open = new Set<Duplex>();
  const messages: Buffer[] = [];
  const onLink = (stream: Socket): void => {
    stream.on('error', () => {});
    talk(stream, messages, options).catch(() => stream.destroy());
  };
  const { tls } = options;
  const server = tls
    ? createTlsServer({ ...tls, allowHalfOpen: true }, onLink)
    : createServer({ allowHalfOpen: true }, onLink);
  // Also those that never get as far as TLS.
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
  });
  server.on('tlsClientError', () => {}).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return {
    port: address.port,
    messages,
    open,
    idle: async () => {
      for (const stream of open) if (!stream.closed) await once(stream, 'close');
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const stream of open) stream.destroy();
      await closed;
    },
  };
}

/** The server's side of one connection. */
export async function talk(stream: Duplex, messages: Buffer[], options: FakeServerOptions): Promise<void> {
  const { capabilities = SERVER_CAPABILITIES, linkError = 0, silentAt } = options;
  const header = await readExactly(stream, 16, FOREVER);
  const body = await readExactly(stream, header.readUInt32LE(12), FOREVER);
  const message = Buffer.concat([header, body]);
  messages.push(message);
  if (silentAt === 'reply') {
    hearOut(stream);
    return;
  }
  stream.write(reply(linkError, capabilities));
  if (linkError !== 0) {
    stream.end();
    return;
  }
  const clients = body.readUInt32LE(6) === 0 ? 0 : body.readUInt32LE(body.readUInt32LE(14));
  if ((clients & capabilities & 1) !== 0) {
    assert.equal((await readExactly(stream, 4, FOREVER)).readUInt32LE(), 1);
  }
  const ticket = await readExactly(stream, 128, FOREVER);
  if (silentAt === 'result') {
    hearOut(stream);
    return;
  }
  const taken = options.passwords().includes(decrypted(ticket));
  const result = Buffer.alloc(4);
  result.writeUInt32LE(taken ? 0 : 7);
  stream.write(result);
  if (!taken) {
    stream.end();
    return;
  }
  const { onLinked = (linked: Duplex) => linked.pipe(linked) } = options;
  onLinked(stream, message);
}

/** Says nothing until the other side has ended. */
export function hearOut(stream: Duplex): void {
  stream.resume().on('end', () => stream.end());
}

function decrypted(ticket: Buffer): string {
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const bytes = privateDecrypt({ key: privateKey, padding, oaepHash: 'sha1' }, ticket);
  return bytes.subarray(0, bytes.indexOf(0)).toString();
}

/** A whole reply, with one word of common capabilities and one of the channel's. */
export function reply(error: number, capabilities: number): Buffer {
  const bytes = Buffer.alloc(16 + 178 + 8);
  bytes.write('REDQ');
  bytes.writeUInt32LE(2, 4);
  bytes.writeUInt32LE(2, 8);
  bytes.writeUInt32LE(178 + 8, 12);
  bytes.writeUInt32LE(error, 16);
  if (error === 0) publicKey.export({ type: 'spki', format: 'der' }).copy(bytes, 20);
  bytes.writeUInt32LE(1, 16 + 166);
  bytes.writeUInt32LE(1, 16 + 170);
  bytes.writeUInt32LE(178, 16 + 174);
  bytes.writeUInt32LE(capabilities, 16 + 178);
  bytes.writeUInt32LE(0xabcd, 16 + 182);
  return bytes;
}
