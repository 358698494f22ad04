import { isIPv4, isIPv6 } from 'node:net';
import type { ProxyCredentials } from '../../cluster/connect.ts';
import { VmopError } from '../../errors.ts';
import { sanitize, truncate } from '../../text.ts';

/** A value and who gave it: `--host`, `config.yaml`, `spec.vm.display.spice.server`. */
export interface Given<T = string> {
  value: T;
  source: string;
}

/** How the SPICE server is reached over the network. */
export interface Endpoint {
  host: Given;
  /** The plain port, or with `tls` the one that speaks TLS. */
  port: Given<number>;
  /** Present: every channel is encrypted. */
  tls?: {
    /** PEM; certificates only are taken from it. */
    ca?: Given;
    /** The subject that the server's certificate must have, such as `O=vm,CN=desktop`. */
    hostSubject?: Given;
  };
  proxy?: Given;
}

/** A SPICE server on this machine, behind a socket that only this user reaches. */
export interface LocalEndpoint {
  unixPath: string;
}

/** What the address of a unix socket holds on every system, in bytes. */
export const LONGEST_SOCKET_PATH = 103;

/** An HTTP proxy that carries SPICE channels by CONNECT. */
export interface ConsoleProxy {
  /** Without brackets. */
  host: string;
  port: number;
  credentials?: ProxyCredentials;
}

const LABEL = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/;
const LONGEST_NAME = 253;
/** Resolvers read `1.2.3`, `0x7f.1` and `2130706433` as addresses; nobody who writes a name means that. */
const NUMERIC = /^(\d+|0x[0-9a-f]*)$/i;
const LONGEST_SHOWN = 100;

/** A value in quotes, fit to be shown. */
export function quoted(value: string): string {
  return `"${truncate(sanitize(value), LONGEST_SHOWN)}"`;
}

/**
 * The error for a value that must not reach the viewer: the object's fault (`console`), or that of whoever set a
 * flag, a variable or the configuration (`usage`).
 */
export function refusal({ source }: Given<unknown>, why: string, hint?: string): VmopError {
  const fromObject = source.startsWith('spec.') || source.startsWith('status.');
  return new VmopError(fromObject ? 'console' : 'usage', `${source}: ${why}`, { hint });
}

function hostProblem(host: string): string | undefined {
  if (isIPv4(host)) return host === '0.0.0.0' ? 'names no machine' : undefined;
  if (host.includes('%')) return 'carries a zone, which means something on one machine only';
  if (isIPv6(host)) return /^[0:]+$/.test(host) ? 'names no machine' : undefined;
  if (/^[^:]*:\d+$/.test(host)) return 'carries a port, which is given on its own';
  const labels = host.replace(/\.$/, '').split('.');
  if (host.length > LONGEST_NAME || !labels.every((label) => LABEL.test(label))) {
    return 'is neither an IP address nor a DNS name';
  }
  return NUMERIC.test(labels.at(-1) ?? '') ? 'looks like an IP address and is none' : undefined;
}

/** An IP address (IPv6 without brackets) or a DNS name. Errors: see `refusal`. */
export function checkedHost(given: Given): string {
  const bracketed = /^\[(.*)\]$/.exec(given.value)?.[1];
  const host = bracketed ?? given.value;
  const problem =
    bracketed !== undefined && !isIPv6(bracketed)
      ? 'has brackets, which belong around an IPv6 address only'
      : hostProblem(host);
  if (problem !== undefined) throw refusal(given, `${quoted(given.value)} ${problem}`);
  return host;
}

/** A TCP port that can be connected to. Errors: see `refusal`. */
export function checkedPort(given: Given<number>): number {
  const { value } = given;
  if (Number.isInteger(value) && value >= 1 && value <= 65535) return value;
  throw refusal(given, `${value} is not a port (1 to 65535)`);
}

/** A host as it stands in a URL, in front of `:port`. */
export function hostInUrl(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}

const PROXY = /^(?:(?<scheme>[a-z][a-z0-9+.-]*):\/\/)?(?:(?<auth>.*)@)?(?<address>[^@]*?)(?<path>\/.*)?$/i;
const PROXY_FORM = 'a proxy is written host:port or http://user:password@host:port';

/**
 * `http://[user:password@]host:port` or `host:port`. The viewer ignores whatever else it finds and connects directly,
 * so that is refused. Errors: see `refusal`; they do not show the credentials.
 */
export function checkedProxy(given: Given): ConsoleProxy {
  const { scheme, auth, address = '', path } = PROXY.exec(given.value)?.groups ?? {};
  const shown = quoted(given.value.replace(/^([a-z+.-]*:\/\/)?.*@/is, '$1…@'));
  const refuse = (why: string): VmopError => refusal(given, `${shown} ${why}`, PROXY_FORM);
  if (scheme !== undefined && scheme.toLowerCase() !== 'http') {
    throw refuse(`is of the kind ${scheme}:, and a console goes through http: only`);
  }
  if (path !== undefined && path !== '/') throw refuse('has a path');
  const parts = /^(?<host>\[.*\]|[^:]*):(?<port>\d{1,5})$/.exec(address)?.groups;
  if (parts === undefined) throw refuse('names no host with a port');
  const { host = '', port } = parts;
  return {
    host: checkedHost({ value: host, source: given.source }),
    port: checkedPort({ value: Number(port), source: given.source }),
    ...(auth === undefined ? {} : { credentials: checkedCredentials(auth, refuse) }),
  };
}

function checkedCredentials(auth: string, refuse: (why: string) => VmopError): ProxyCredentials {
  const [name = '', ...rest] = auth.split(':');
  const password = rest.join(':');
  if (name === '' || rest.length === 0) throw refuse('has credentials that are not user:password');
  if (!/^[!-~]*$/.test(auth) || /[@/?#[\]\\]/.test(auth)) {
    throw refuse('has credentials with characters that the viewer cannot hand on');
  }
  if (/%[0-9a-f]{2}/i.test(auth))
    throw refuse('has %-escapes in its credentials, which the viewer sends as they are');
  return { name, password };
}

/** As it may be shown: without its credentials. Errors: see `refusal`. */
export function publicProxy(given: Given): string {
  const { host, port } = checkedProxy(given);
  return proxyUrl({ host, port });
}

/** The form in which the viewer understands a proxy. */
export function proxyUrl({ host, port, credentials }: ConsoleProxy): string {
  const auth = credentials === undefined ? '' : `${credentials.name}:${credentials.password}@`;
  return `http://${auth}${hostInUrl(host)}:${port}`;
}
