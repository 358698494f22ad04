import { X509Certificate } from 'node:crypto';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { hostInUrl, type Endpoint, type Proxy } from './address.ts';
import { checkedCertificates, checkedSubject } from './certificates.ts';
import { Attempts, ProxyRefusal } from './reach-error.ts';
import { readSome } from '../read-exactly.ts';

/** How long one of several addresses may take before the next is tried; the last has the rest of the time. */
const ATTEMPT_MS = 1_000;

/** Begins to connect to one of a name's addresses, both families by turns; without any the host is an address. */
export function openSocket(host: string, port: number, addresses?: readonly LookupAddress[]): Socket {
  return connect({
    host,
    port,
    // A viewer's connection is ended in each direction on its own.
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ATTEMPT_MS,
    ...(addresses && { lookup: (_host, _options, found) => found(null, [...addresses]) }),
  });
}

/** Waits until one address answers. Errors: `Attempts`, also for what had failed when the time was over. */
export async function connectionOf(socket: Socket, signal: AbortSignal): Promise<void> {
  const failed: Error[] = [];
  const onFailed = (_ip: string, _port: number, _family: number, error: Error): void => {
    failed.push(error);
  };
  socket.on('connectionAttemptFailed', onFailed);
  try {
    await once(socket, 'connect', { signal });
  } catch (error) {
    const others = !signal.aborted && error instanceof AggregateError ? error.errors : [];
    const errors = others.length > 0 ? others : failed;
    throw errors.length > 0 ? new Attempts(errors.filter((one) => one instanceof Error)) : error;
  } finally {
    socket.off('connectionAttemptFailed', onFailed);
  }
}

/** Begins TLS; what the endpoint says of it decides whose certificate is taken. Errors: see `refusal`. */
export function tlsOver(
  socket: Duplex,
  host: string,
  { ca, hostSubject }: NonNullable<Endpoint['tls']>,
): TLSSocket {
  const subject = hostSubject && checkedSubject(hostSubject);
  return connectTls({
    socket,
    host,
    ...(isIP(host) ? {} : { servername: host }),
    ...(ca ? { ca: checkedCertificates(ca) } : {}),
    ...(subject === undefined ? {} : { checkServerIdentity: (_, { raw }) => subjectProblem(raw, subject) }),
  });
}

/** The viewer, too, compares the whole subject, in the certificate's order. */
function subjectProblem(raw: Buffer, wanted: string): Error | undefined {
  const subject = new X509Certificate(raw).subject.split('\n').join(',');
  return subject === wanted ? undefined : new Error(`its certificate is for ${subject}, not for ${wanted}`);
}

/** Asks a proxy for the way to a host and port. */
export function connectRequest(host: string, port: number, { credentials }: Proxy): string {
  const target = `${hostInUrl(host)}:${port}`;
  const lines = [`CONNECT ${target} HTTP/1.0`, `Host: ${target}`];
  if (credentials) {
    const pair = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64');
    lines.push(`Proxy-Authorization: Basic ${pair}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

const LONGEST_PROXY_ANSWER = 16_384;
const END_OF_HEAD = '\r\n\r\n';

/** Status and reason of the proxy's answer. Errors: `ProxyRefusal`, `HungUp`. */
export async function askProxy(socket: Socket, request: string, signal: AbortSignal): Promise<string> {
  socket.write(request);
  let head = Buffer.alloc(0);
  let end = -1;
  while (end < 0 && head.length < LONGEST_PROXY_ANSWER) {
    head = Buffer.concat([head, await readSome(socket, signal)]);
    end = head.indexOf(END_OF_HEAD);
  }
  const status = /^HTTP\/1\.\d (\d{3}[^\r\n]*)/.exec(head.toString('latin1'))?.[1];
  if (status === undefined || end < 0) throw new ProxyRefusal('it answers with something that is not HTTP');
  if (!/^2\d\d\b/.test(status)) throw new ProxyRefusal(`it answers ${status}`);
  const rest = head.subarray(end + END_OF_HEAD.length);
  if (rest.length > 0) socket.unshift(rest);
  return status;
}
