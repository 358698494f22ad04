import { isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';
import { readSome } from '../read-exactly.ts';

/** Name and password as a proxy takes them. */
export interface ProxyCredentials {
  name: string;
  password: string;
}

/** What an HTTP proxy is asked for by CONNECT. */
export interface ConnectRequest {
  /** Without brackets. */
  host: string;
  port: number;
  credentials?: ProxyCredentials | undefined;
  /** Some proxies take only the newer one; remote-viewer speaks the older one. */
  version: '1.0' | '1.1';
}

export interface ConnectAnswer {
  /** The way is there. */
  made: boolean;
  status: number;
  /** Status and reason in the proxy's words, not fit to be shown as they are. */
  text: string;
}

/** What answers is no HTTP proxy. */
export class NoHttpProxy extends Error {}

const LONGEST_ANSWER = 16_384;
const BEGIN = 'HTTP/1.';
const END_OF_HEAD = '\r\n\r\n';

/**
 * Asks the proxy at the other end of a new connection for the way to a host; what comes behind its answer stays in the
 * connection. Errors: `NoHttpProxy`, `HungUp`, the connection's own, the signal's reason.
 */
export async function askConnect(
  connection: Duplex,
  request: ConnectRequest,
  signal: AbortSignal,
): Promise<ConnectAnswer> {
  connection.write(connectHead(request));
  let head = Buffer.alloc(0);
  let end = -1;
  while (end < 0) {
    head = Buffer.concat([head, await readSome(connection, signal)]);
    end = head.indexOf(END_OF_HEAD);
    const begins = BEGIN.startsWith(head.toString('latin1', 0, BEGIN.length));
    if (!begins || (end < 0 && head.length > LONGEST_ANSWER)) throw noProxy();
  }
  const text = /^HTTP\/1\.\d (\d{3}[^\r\n]*)/.exec(head.toString('latin1', 0, end))?.[1];
  if (text === undefined) throw noProxy();
  const rest = head.subarray(end + END_OF_HEAD.length);
  if (rest.length > 0) connection.unshift(rest);
  const status = Number(text.slice(0, 3));
  return { made: status >= 200 && status <= 299, status, text };
}

function noProxy(): NoHttpProxy {
  return new NoHttpProxy('it answers with something that is not HTTP');
}

function connectHead({ host, port, credentials, version }: ConnectRequest): string {
  const target = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const lines = [`CONNECT ${target} HTTP/${version}`, `Host: ${target}`];
  if (credentials) lines.push(`Proxy-Authorization: ${basicAuthorization(credentials)}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** The value of a header. */
export function basicAuthorization({ name, password }: ProxyCredentials): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
}
