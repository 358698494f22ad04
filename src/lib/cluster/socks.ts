import net from 'node:net';
import { readExactly } from '../read-exactly.ts';
import { proxyCredentials, ProxyError, type Proxy } from './proxy.ts';

const VERSION = 5;
const WITHOUT = 0;
const WITH_PASSWORD = 2;
const CONNECT = 1;
const ADDRESS = { ipv4: 1, name: 3, ipv6: 4 } as const;

/** What RFC 1928 says with a reply's code. */
const REPLIES = [
  'succeeded',
  'general failure',
  'not allowed by its rules',
  'network unreachable',
  'host unreachable',
  'connection refused',
  'time to live expired',
  'command not supported',
  'address type not supported',
];
const NOT_ALLOWED = 2;

/**
 * Asks a SOCKS 5 proxy for the way to a host, whose name it looks up; what comes behind its answer stays in the socket.
 * Errors: `ProxyError`, `HungUp`, the socket's own, the signal's reason.
 */
export async function askSocks(
  proxy: Proxy,
  socket: net.Socket,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<void> {
  const read = (count: number): Promise<Buffer> => readExactly(socket, count, signal);
  await introduce(proxy, socket, read);
  socket.write(Buffer.concat([Buffer.from([VERSION, CONNECT, 0]), addressOf(host), portOf(port)]));
  await readReply(proxy, read);
}

type Read = (count: number) => Promise<Buffer>;

async function introduce(proxy: Proxy, socket: net.Socket, read: Read): Promise<void> {
  const credentials = proxyCredentials(proxy);
  const methods = credentials ? [WITHOUT, WITH_PASSWORD] : [WITHOUT];
  socket.write(Buffer.from([VERSION, methods.length, ...methods]));
  const [version, method] = await read(2);
  if (version !== VERSION) throw noSocks(proxy);
  if (method === WITHOUT) return;
  if (method !== WITH_PASSWORD || !credentials)
    throw new ProxyError(proxy, 'credentials', 'wants credentials, or others');
  const [name, password] = [Buffer.from(credentials.name), Buffer.from(credentials.password)];
  socket.write(
    Buffer.concat([Buffer.from([1, name.length]), name, Buffer.from([password.length]), password]),
  );
  const [, status] = await read(2);
  if (status !== 0) throw new ProxyError(proxy, 'credentials', 'does not take the name and the password');
}

function addressOf(host: string): Buffer {
  if (net.isIPv4(host)) return Buffer.from([ADDRESS.ipv4, ...host.split('.').map(Number)]);
  if (net.isIPv6(host)) return Buffer.concat([Buffer.from([ADDRESS.ipv6]), ipv6Bytes(host)]);
  const name = Buffer.from(host);
  return Buffer.concat([Buffer.from([ADDRESS.name, name.length]), name]);
}

/** `host` as URL has written it: without an IPv4 part, with at most one `::`. */
function ipv6Bytes(host: string): Buffer {
  const [head = [], tail = []] = host
    .split('::')
    .map((part) => part.split(':').filter((word) => word !== ''));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return Buffer.from([...head, ...zeros, ...tail].map((word) => word.padStart(4, '0')).join(''), 'hex');
}

function portOf(port: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(port);
  return bytes;
}

async function readReply(proxy: Proxy, read: Read): Promise<void> {
  const [version, code = 1, , type] = await read(4);
  if (version !== VERSION) throw noSocks(proxy);
  if (code === NOT_ALLOWED)
    throw new ProxyError(
      proxy,
      'refused',
      'refuses the connection to the API server: not allowed by its rules',
    );
  if (code !== 0)
    throw new ProxyError(
      proxy,
      'noWay',
      `has no connection to the API server: ${REPLIES[code] ?? `error ${code}`}`,
    );
  const length = type === ADDRESS.name ? ((await read(1))[0] ?? 0) : type === ADDRESS.ipv6 ? 16 : 4;
  await read(length + 2);
}

function noSocks(proxy: Proxy): ProxyError {
  return new ProxyError(proxy, 'refused', 'does not speak SOCKS 5');
}
