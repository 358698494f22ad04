import { X509Certificate } from 'node:crypto';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { askConnect } from '../../cluster/connect.ts';
import type { ConsoleProxy, Endpoint } from './address.ts';
import { checkedCertificates, checkedSubject } from './certificates.ts';
import { Attempts, ProxyRefusal } from './reach-error.ts';

/** How long one of several addresses may take before the next is tried; the last has the rest of the time. */
const ATTEMPT_MS = 1_000;

/** A network that is gone shows by itself only then: the system's own time is two hours. */
const KEEP_ALIVE_MS = 15_000;

/** Begins to connect to one of a name's addresses, both families by turns; without any the host is an address. */
export function openSocket(host: string, port: number, addresses?: readonly LookupAddress[]): Socket {
  return connect({
    host,
    port,
    // A viewer's connection is ended in each direction on its own.
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
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

/** The way through a proxy, asked for as the viewer does; its answer. Errors: `ProxyRefusal`, `HungUp`. */
export async function askProxy(
  socket: Socket,
  { host, port }: { host: string; port: number },
  { credentials }: ConsoleProxy,
  signal: AbortSignal,
): Promise<string> {
  const { made, text } = await askConnect(socket, { host, port, credentials, version: '1.0' }, signal);
  if (!made) throw new ProxyRefusal(`it answers ${text}`);
  return text;
}
