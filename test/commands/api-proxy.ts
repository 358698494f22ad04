import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { loadKubeconfig } from '../../src/lib/cluster/kubeconfig.ts';

/** What becomes of a request: passed on (undefined), never answered, or answered with a status of its own. */
export type Fate = 'silence' | { status: number; body?: unknown } | undefined;

export interface ApiProxyOptions {
  /** Whose credentials the requests get; absent: nothing can be passed on. */
  kubeconfig?: string;
  /** Asked of each request before it is passed on. */
  meet?: (method: string, path: string) => Fate | Promise<Fate>;
  /** How much the server's clock is ahead, in milliseconds. */
  clockAheadMs?: number;
  /** Changes the answers' JSON, except a watch's. */
  rewrite?: (path: string, text: string) => string;
}

export interface ApiProxy {
  /** For `--server`. */
  url: string;
  /** `METHOD /path?query`, in the order in which they came. */
  requests: string[];
  /** Resolves when so many requests have come. */
  asked(count: number): Promise<void>;
  /** Resolves when no connection is open any more. */
  quiet(): Promise<void>;
  close(): Promise<void>;
}

/** Stands between vmop and the API server: to count requests, to answer late or wrongly, or with another clock. */
export async function startApiProxy(options: ApiProxyOptions = {}): Promise<ApiProxy> {
  const { kubeconfig, meet = () => undefined } = options;
  const target = kubeconfig === undefined ? undefined : loadKubeconfig({ env: {}, file: kubeconfig });
  const credentials: https.RequestOptions = {};
  await target?.config.applyToHTTPSOptions(credentials);
  const requests: string[] = [];
  const { ca, cert, key } = credentials;
  const agent = new https.Agent({
    keepAlive: true,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  });
  const server = http.createServer((incoming, outgoing) => {
    const { method = 'GET', url: path = '/' } = incoming;
    requests.push(`${method} ${path}`);
    const pass = (): void => {
      const { host: _ours, ...headers } = Object.assign({ ...incoming.headers }, credentials.headers);
      const onward = https.request(new URL((target?.info.server ?? '') + path), { method, headers, agent });
      onward.on('response', (answer) => {
        const date = new Date(Date.parse(answer.headers.date ?? '') + (options.clockAheadMs ?? 0));
        const same = { ...answer.headers, date: date.toUTCString() };
        if (options.rewrite === undefined || path.includes('watch=true')) {
          outgoing.writeHead(answer.statusCode ?? 500, same);
          answer.pipe(outgoing);
          return;
        }
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          const text = options.rewrite?.(path, Buffer.concat(chunks).toString('utf8')) ?? '';
          outgoing.writeHead(answer.statusCode ?? 500, {
            ...same,
            'content-length': String(Buffer.byteLength(text)),
          });
          outgoing.end(text);
        });
      });
      onward.on('error', () => outgoing.destroy());
      outgoing.on('close', () => onward.destroy());
      incoming.pipe(onward);
    };
    void (async () => {
      const fate = await meet(method, path);
      if (fate === undefined) pass();
      else if (fate !== 'silence') {
        outgoing.writeHead(fate.status, { 'content-type': 'application/json' });
        outgoing.end(JSON.stringify(fate.body ?? { message: `refused with ${fate.status}` }));
      }
    })();
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the proxy has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    async asked(count) {
      while (requests.length < count) await once(server, 'request');
    },
    async quiet() {
      while (sockets.size > 0) await Promise.all([...sockets].map((socket) => once(socket, 'close')));
    },
    async close() {
      agent.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
