import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/**
 * `accepts`: answers as a SPICE server does that awaits the password, and then no more; `silent`: takes connections
 * and says nothing; `closes`: hangs up at once; `http`: speaks something else.
 */
export type FakeSpiceManner = 'accepts' | 'silent' | 'closes' | 'http';

export interface FakeSpice {
  port: number;
  close(): Promise<void>;
}

/** A server on loopback that is not what a viewer hopes for. */
export async function startFakeSpice(manner: FakeSpiceManner): Promise<FakeSpice> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    if (manner === 'closes') socket.destroy();
    if (manner === 'http') socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    if (manner === 'accepts') socket.once('data', () => socket.write(linkReply()));
    socket.resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return {
    port: address.port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const BODY_BYTES = 178;

/** No error, a key of zeros, no capabilities. */
function linkReply(): Buffer {
  const reply = Buffer.alloc(16 + BODY_BYTES);
  reply.write('REDQ');
  reply.writeUInt32LE(2, 4);
  reply.writeUInt32LE(2, 8);
  reply.writeUInt32LE(BODY_BYTES, 12);
  return reply;
}
