import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';

/** What cleans up after a test or a suite: a `TestContext` is one. */
interface Owner {
  after(end: () => void | Promise<void>): void;
}

export interface TestProxy {
  port: number;
  /** `host:port` of each way that was asked for, and the URL of each request that it carried. */
  asked: string[];
  /** The `Proxy-Authorization`, or `name:password`, that came with each. */
  credentials: (string | undefined)[];
}

/**
 * An HTTP proxy on loopback, with `tls` one that speaks TLS; one with another `status` gives no way. Ends every
 * connection after the test.
 */
export async function startHttpProxy(
  owner: Owner,
  status = 200,
  tls?: { key: string; cert: string },
): Promise<TestProxy> {
  const server = tls ? https.createServer(tls) : http.createServer();
  const proxy = await listen(owner, server);
  server.on('request', (request, response) => {
    const { url = '', method = '', headers } = request;
    proxy.asked.push(url);
    proxy.credentials.push(headers['proxy-authorization']);
    if (status !== 200) {
      response.writeHead(status).end();
      return;
    }
    const sent = http.request(url, { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    sent.on('error', () => response.destroy());
    request.pipe(sent);
  });
  server.on('connect', ({ url = '', headers }, client: net.Socket) => {
    proxy.asked.push(url);
    proxy.credentials.push(headers['proxy-authorization']);
    const answer = `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n\r\n`;
    if (status !== 200) return client.end(answer);
    const [, host = '', port] = /^\[?(.*?)\]?:(\d+)$/.exec(url) ?? [];
    return join(client, host, Number(port), () => client.write(answer));
  });
  return proxy;
}

/** A SOCKS 5 proxy on loopback, for clients that write each message at once; `refusal`: the code that it answers. */
export async function startSocksProxy(
  owner: Owner,
  { refusal = 0, wantsPassword = false } = {},
): Promise<TestProxy> {
  const server = net.createServer((client) => void serve(client).catch(() => client.destroy()));
  const proxy = await listen(owner, server);
  const serve = async (client: net.Socket): Promise<void> => {
    const next = () => new Promise<Buffer>((resolve) => client.once('data', resolve));
    const methods = [...(await next()).subarray(2)];
    const method = wantsPassword ? 2 : 0;
    if (!methods.includes(method)) {
      client.end(Buffer.from([5, 0xff]));
      return;
    }
    client.write(Buffer.from([5, method]));
    let request = await next();
    if (method === 2) {
      const length = request[1] ?? 0;
      const name = request.subarray(2, 2 + length).toString();
      proxy.credentials.push(`${name}:${request.subarray(3 + length).toString()}`);
      client.write(Buffer.from([1, 0]));
      request = await next();
    }
    const { host, port } = destination(request);
    proxy.asked.push(`${host}:${port}`);
    const answer = Buffer.from([5, refusal, 0, 1, 0, 0, 0, 0, 0, 0]);
    if (refusal !== 0) client.end(answer);
    else join(client, host, port, () => client.write(answer));
  };
  return proxy;
}

function destination(request: Buffer): { host: string; port: number } {
  const named = request[3] === 3;
  const end = named ? 5 + (request[4] ?? 0) : 8;
  const host = named ? request.subarray(5, end).toString() : [...request.subarray(4, end)].join('.');
  return { host, port: request.readUInt16BE(end) };
}

async function listen(owner: Owner, server: net.Server): Promise<TestProxy> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  });
  owner.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { port: address.port, asked: [], credentials: [] };
}

/** Both ways until either side is gone. */
function join(client: net.Socket, host: string, port: number, ready: () => void): void {
  const upstream = net.connect(port, host, ready);
  upstream.on('error', () => {}).once('close', () => client.destroy());
  client.once('close', () => upstream.destroy());
  client.pipe(upstream).pipe(client);
}
