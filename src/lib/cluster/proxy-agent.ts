import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf } from '../errors.ts';
import { proxyCredentials, proxyEndpoint, ProxyError, type Proxy } from './proxy.ts';
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

  make({ host, port }: Target, use: (socket: net.Socket) => void, fail: (error: Error) => void): void {
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(LIMIT_MS)]);
    // `use` throws for a client certificate that is none.
    dial(this.#proxy, host ?? '', Number(port), signal)
      .then(use)
      .catch(fail);
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

/** A server without TLS through a proxy, which has to allow CONNECT to it. */
export class HttpProxyAgent extends http.Agent {
  readonly #ways: Ways;

  constructor(proxy: Proxy, options: http.AgentOptions) {
    super(options);
    this.#ways = new Ways(proxy);
  }

  override createConnection(options: http.ClientRequestArgs, callback?: Made): undefined {
    this.#ways.make(
      options,
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

/** A connection to `host`:`port` by way of the proxy. Errors: `ProxyError`, the signal's reason. */
async function dial(proxy: Proxy, host: string, port: number, signal: AbortSignal): Promise<net.Socket> {
  try {
    return await (proxy.url.protocol === 'socks5:'
      ? askSocks(proxy, host, port, signal)
      : askConnect(proxy, host, port, signal));
  } catch (error) {
    if (error instanceof ProxyError) throw error;
    if (signal.aborted) throw new ProxyError(proxy, 'unreachable', 'does not answer', error);
    throw new ProxyError(proxy, 'unreachable', `cannot be reached: ${messageOf(error)}`, error);
  }
}

function askConnect(proxy: Proxy, host: string, port: number, signal: AbortSignal): Promise<net.Socket> {
  const authority = `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
  const credentials = proxyCredentials(proxy);
  const basic = credentials && Buffer.from(`${credentials.name}:${credentials.password}`).toString('base64');
  const secure = proxy.url.protocol === 'https:';
  const to = proxyEndpoint(proxy);
  const options: https.RequestOptions = {
    ...to,
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...(basic === undefined ? {} : { 'proxy-authorization': `Basic ${basic}` }) },
    agent: false,
    signal,
    // Otherwise Node takes the name that the header names.
    ...(secure ? { servername: net.isIP(to.host) ? '' : to.host } : {}),
  };
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request(options);
    request.once('error', reject);
    const refuse = (status = 0): void => {
      request.destroy();
      reject(refusal(proxy, status));
    };
    // An answer to CONNECT comes as this event whatever it is; some proxies' refusals look like any answer.
    request.once('response', ({ statusCode }) => refuse(statusCode));
    request.once('connect', ({ statusCode = 0 }, socket: net.Socket, head) => {
      if (statusCode < 200 || statusCode > 299) {
        socket.destroy();
        refuse(statusCode);
        return;
      }
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.end();
  });
}

function refusal(proxy: Proxy, status: number): ProxyError {
  const words = `${status} ${http.STATUS_CODES[status] ?? ''}`.trim();
  if (status === 407) return new ProxyError(proxy, 'credentials', `wants credentials, or others: ${words}`);
  if (status >= 500)
    return new ProxyError(proxy, 'noWay', `has no connection to the API server: it answers ${words}`);
  return new ProxyError(proxy, 'refused', `refuses the connection to the API server: it answers ${words}`);
}
