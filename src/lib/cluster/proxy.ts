import { STATUS_CODES } from 'node:http';
import net from 'node:net';
import type { ProxyCredentials } from './connect.ts';
import { VmopError } from '../errors.ts';

/** The proxy between here and an API server. */
export interface Proxy {
  url: URL;
  /** Where it is set, for messages: `HTTPS_PROXY`, or the entry and file of the kubeconfig. */
  origin: string;
}

export type ProxyProblem =
  /** There is no connection to the proxy itself. */
  | 'unreachable'
  /** It wants other credentials, or any. */
  | 'credentials'
  /** It does not let this client to this server. */
  | 'refused'
  /** It has no connection to the server. */
  | 'noWay';

/** Why a proxy gives no connection to the API server. */
export class ProxyError extends Error {
  readonly problem: ProxyProblem;
  readonly proxy: Proxy;

  constructor(proxy: Proxy, problem: ProxyProblem, detail: string, cause?: unknown) {
    super(`the proxy ${proxyAddress(proxy)} (${proxy.origin}) ${detail}`, { cause });
    this.name = 'ProxyError';
    this.problem = problem;
    this.proxy = proxy;
  }
}

/** What a proxy's answer means that is no success. */
export function proxyRefusal(proxy: Proxy, status: number): ProxyError {
  const words = `${status} ${STATUS_CODES[status] ?? ''}`.trim();
  if (status === 407) return new ProxyError(proxy, 'credentials', `wants credentials, or others: ${words}`);
  if (status >= 500)
    return new ProxyError(proxy, 'noWay', `has no connection to the API server: it answers ${words}`);
  return new ProxyError(proxy, 'refused', `refuses the connection to the API server: it answers ${words}`);
}

type Env = Record<string, string | undefined>;

const DEFAULT_PORTS: Record<string, string> = { 'http:': '80', 'https:': '443', 'socks5:': '1080' };

/** What can be spoken with a proxy; `socks5h` is the same as `socks5` here: names are always the proxy's to look up. */
const SCHEMES = new Set(Object.keys(DEFAULT_PORTS));

/** The proxy of a kubeconfig's `proxy-url`. Errors: `unreachable` for what is none. */
export function kubeconfigProxy(text: string, origin: string): Proxy {
  return { url: parseProxy(text, origin), origin };
}

/**
 * The proxy that the environment has for an API server, as kubectl chooses it: HTTPS_PROXY or HTTP_PROXY by the server's
 * scheme, in capitals before lower case, except for what NO_PROXY names and for this machine itself.
 * Errors: `unreachable` for one that cannot be used.
 */
export function environmentProxy(server: string, env: Env): Proxy | undefined {
  const { protocol, hostname, port } = new URL(server);
  const names = protocol === 'https:' ? ['HTTPS_PROXY', 'https_proxy'] : ['HTTP_PROXY', 'http_proxy'];
  const origin = names.find((name) => env[name]);
  const text = origin === undefined ? undefined : env[origin];
  if (origin === undefined || text === undefined) return undefined;
  const host = withoutBrackets(hostname).toLowerCase();
  const except = env['NO_PROXY'] || env['no_proxy'] || '';
  if (isThisMachine(host) || isExcepted(host, port || DEFAULT_PORTS[protocol] || '', except))
    return undefined;
  // As everywhere `proxy:3128` is an HTTP proxy.
  return { url: parseProxy(/^[a-z0-9]+:\/\//i.test(text) ? text : `http://${text}`, origin), origin };
}

/** The proxy's address without its credentials. */
export function proxyAddress({ url }: Proxy): string {
  return `${url.protocol}//${url.host}`;
}

/** Where a connection to the proxy goes. */
export function proxyEndpoint({ url }: Proxy): { host: string; port: number } {
  return { host: withoutBrackets(url.hostname), port: Number(url.port || DEFAULT_PORTS[url.protocol]) };
}

/** Name and password in the proxy's URL. */
export function proxyCredentials({ url }: Proxy): ProxyCredentials | undefined {
  if (url.username === '' && url.password === '') return undefined;
  return { name: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
}

function parseProxy(text: string, origin: string): URL {
  const url = URL.canParse(text) ? new URL(text.replace(/^socks5h:/i, 'socks5:')) : undefined;
  const readable = url !== undefined && [url.username, url.password].every(isEscapedRight);
  if (url && readable && SCHEMES.has(url.protocol) && url.hostname !== '') return url;
  const kind = readable
    ? `${url.protocol}//…`
    : url
      ? 'a % in its credentials escapes nothing'
      : 'it is no URL';
  throw new VmopError('unreachable', `the proxy in ${origin} cannot be used: ${kind}`, {
    hint: 'it begins with http://, https:// or socks5://, for example http://proxy.example.org:3128',
  });
}

function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function isThisMachine(host: string): boolean {
  return host === 'localhost' || isIn(host, '127.0.0.0', 8) || isIn(host, '::1', 128);
}

/** What NO_PROXY names: `*`; addresses and networks; names with all below them, or with a leading dot only those; `:port`. */
function isExcepted(host: string, port: string, except: string): boolean {
  return except
    .toLowerCase()
    .split(',')
    .map((entry) => entry.trim())
    .some((entry) => entry !== '' && (entry === '*' || isNamed(host, port, entry)));
}

function isNamed(host: string, port: string, entry: string): boolean {
  const [, network, bits] = /^([^/]+)\/(\d+)$/.exec(entry) ?? [];
  if (network !== undefined) return isIn(host, network, Number(bits));
  const [, bracketed, plain, its] = /^(?:\[(.*)\]|([^:]*)):(\d+)$/.exec(entry) ?? [];
  if (its !== undefined && its !== port) return false;
  const name = withoutBrackets(bracketed ?? plain ?? entry).replace(/^\*\./, '.');
  if (name === '') return false;
  if (net.isIP(name)) return isIn(host, name, net.isIPv4(name) ? 32 : 128);
  return name.startsWith('.') ? host.endsWith(name) : host === name || host.endsWith(`.${name}`);
}

function isIn(host: string, network: string, bits: number): boolean {
  const kind = (address: string) => (net.isIPv4(address) ? 'ipv4' : 'ipv6');
  if (!net.isIP(host) || !net.isIP(network) || bits > (net.isIPv4(network) ? 32 : 128)) return false;
  const list = new net.BlockList();
  list.addSubnet(network, bits, kind(network));
  return list.check(host, kind(host));
}

function isEscapedRight(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
