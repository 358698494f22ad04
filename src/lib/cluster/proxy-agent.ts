import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import type { Duplex } from 'node:stream';
import { messageOf } from '../errors.ts';
import { HungUp } from '../read-exactly.ts';
import { askConnect, NoHttpProxy } from './connect.ts';
import { proxyCredentials, proxyEndpoint, ProxyError, proxyRefusal, type Proxy } from './proxy.ts';
import { askSocks } from './socks.ts';

/** How long a proxy may take to make the way. */
const LIMIT_MS = 30_000;

type Made = (error: Error | null, stream: Duplex) => void;
interface Target {
  host?: string | null | undefined;
  port?: number | string | null | undefined;
}

/** Ways through one proxy; all that are under way end with `close`. */
class Ways {
  readonly #proxy: Proxy;
  readonly #closed = new AbortController();

  constructor(proxy: Proxy) {
    this.#proxy = proxy;
  }

  /** `target` undefined: to the proxy itself. */
  make(target: Target | undefined, use: (socket: net.Socket) => void, fail: (error: Error) => void): void {
    this.#make(target, use).catch(fail);
  }

  async #make(target: Target | undefined, use: (socket: net.Socket) => void): Promise<void> {
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(LIMIT_MS)]);
    const socket = await dial(this.#proxy, target, signal);
    try {
      use(socket);
    } catch (error) {
      // A client certificate that is none.
      socket.destroy();
      throw error;
    }
  }

  close(): void {
    this.#closed.abort(new Error('closed'));
  }
}

/** TLS to a server through a proxy. */
export class HttpsProxyAgent extends https.Agent {
  readonly #ways: Ways;

  constructor(proxy: Proxy, options: https.AgentOptions) {
    super(options);
    this.#ways = new Ways(proxy);
  }

  override createConnection(options: https.RequestOptions, callback?: Made): undefined {
    this.#ways.make(
      options,
      (socket) => {
        // Node's own; it takes the socket that is there.
        const over = { ...options, socket };
        const secure = super.createConnection(over);
        if (secure) callback?.(null, secure);
      },
      (error) => fail(callback, error),
    );
  }

  override destroy(): void {
    this.#ways.close();
    super.destroy();
  }
}

/** A server without TLS through a proxy: by a way to it, or `carried`, where the proxy gets the requests themselves. */
export class HttpProxyAgent extends http.Agent {
  readonly #ways: Ways;
  readonly #carried: boolean;

  constructor(proxy: Proxy, options: http.AgentOptions, { carried }: { carried: boolean }) {
    super(options);
    this.#ways = new Ways(proxy);
    this.#carried = carried;
  }

  override createConnection(options: http.ClientRequestArgs, callback?: Made): undefined {
    this.#ways.make(
      this.#carried ? undefined : options,
      (socket) => callback?.(null, socket),
      (error) => fail(callback, error),
    );
  }

  override destroy(): void {
    this.#ways.close();
    super.destroy();
  }
}

/** Node looks at the error alone; its types want a stream as well. */
function fail(callback: Made | undefined, error: Error): void {
  callback?.(error, new net.Socket());
}

/** A connection to a server by way of the proxy, or to the proxy itself. Errors: `ProxyError`. */
async function dial(proxy: Proxy, target: Target | undefined, signal: AbortSignal): Promise<net.Socket> {
  const secure = proxy.url.protocol === 'https:';
  const socket = openSocket(proxy, secure);
  // What breaks shows where something is awaited.
  socket.on('error', () => {});
  try {
    await once(socket, secure ? 'secureConnect' : 'connect', { signal });
    if (target === undefined) return socket;
    const [host, port] = [target.host ?? '', Number(target.port)];
    if (proxy.url.protocol === 'socks5:') await askSocks(proxy, socket, host, port, signal);
    else await askHttp(proxy, socket, host, port, signal);
    return socket;
  } catch (error) {
    socket.destroy();
    if (error instanceof ProxyError) throw error;
    if (signal.aborted) throw new ProxyError(proxy, 'unreachable', 'does not answer', error);
    if (error instanceof HungUp) throw new ProxyError(proxy, 'refused', 'hangs up', error);
    throw new ProxyError(proxy, 'unreachable', `cannot be reached: ${messageOf(error)}`, error);
  }
}

function openSocket(proxy: Proxy, secure: boolean): net.Socket {
  const { host, port } = proxyEndpoint(proxy);
  return secure
    ? tls.connect({ host, port, servername: net.isIP(host) ? '' : host })
    : net.connect({ host, port });
}

async function askHttp(
  proxy: Proxy,
  socket: net.Socket,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<void> {
  const request = { host, port, credentials: proxyCredentials(proxy), version: '1.1' } as const;
  const { made, status } = await askConnect(socket, request, signal).catch((error: unknown) => {
    if (!(error instanceof NoHttpProxy)) throw error;
    throw new ProxyError(proxy, 'refused', 'answers with something that is not HTTP', error);
  });
  if (!made) throw proxyRefusal(proxy, status);
}
