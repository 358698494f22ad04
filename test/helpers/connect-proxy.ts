import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface ConnectProxy {
  /** `http://127.0.0.1:port` */
  url: string;
  /** What was asked for by CONNECT, such as `[fd00::7]:5900`. */
  targets: string[];
  close(): Promise<void>;
}

/** An HTTP proxy that leads to one port of this machine, whatever it is asked for. */
export async function startConnectProxy(port: number): Promise<ConnectProxy> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    keep(client);
    let head = '';
    const read = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      client.off('data', read);
      targets.push(/^CONNECT (\S+)/.exec(head)?.[1] ?? head);
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      const onward = keep(connect(port, '127.0.0.1'));
      client.pipe(onward).pipe(client);
      client.on('close', () => onward.destroy());
    };
    client.on('data', read);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    targets,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
