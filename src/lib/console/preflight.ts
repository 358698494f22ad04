import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { VmopError } from '../errors.ts';
import { checkedHost, checkedPort, checkedProxy, hostInUrl, type Endpoint, type Proxy } from './address.ts';
import { checkedCertificates, checkedSubject } from './certificates.ts';
import {
  failureOf,
  PreflightFailure,
  preflightError,
  type PreflightProblem,
  type PreflightStage,
  type PreflightTarget,
} from './preflight-report.ts';
import { linkMessage, LINK_ERROR_NEEDS_TLS, parseLinkReply } from './spice-link.ts';

export type Preflight =
  { reachable: true } | { reachable: false; problem: PreflightProblem; error: VmopError };

export interface PreflightOptions {
  /** For all steps together. */
  timeoutMs: number;
  signal: AbortSignal;
}

/**
 * Calls the SPICE server as a viewer would, up to the point where the password is due, and hangs up. That disturbs
 * nobody who is connected. Rejects only with the signal's reason and for values that `consoleEndpoint` refuses.
 */
export async function preflight(
  endpoint: Endpoint,
  { timeoutMs, signal }: PreflightOptions,
): Promise<Preflight> {
  signal.throwIfAborted();
  const target: PreflightTarget = {
    host: checkedHost(endpoint.host),
    port: checkedPort(endpoint.port),
    proxy: endpoint.proxy && checkedProxy(endpoint.proxy),
  };
  const timeout = AbortSignal.timeout(timeoutMs);
  const call: Call = { stage: 'connect', sockets: [], limit: AbortSignal.any([signal, timeout]) };
  try {
    await callServer(endpoint, target, call);
    return { reachable: true };
  } catch (error) {
    signal.throwIfAborted();
    const failure = failureOf(error, { stage: call.stage, late: timeout.aborted, target });
    return { reachable: false, problem: failure.problem, error: preflightError(failure, target) };
  } finally {
    for (const socket of call.sockets) socket.destroy();
  }
}

interface Call {
  stage: PreflightStage;
  sockets: Socket[];
  limit: AbortSignal;
}

async function callServer(
  { tls }: Endpoint,
  { host, port, proxy }: PreflightTarget,
  call: Call,
): Promise<void> {
  const hold = (socket: Socket): Socket => {
    call.sockets.push(socket);
    // Errors are met where something is awaited; those that come later belong to nobody.
    return socket.on('error', () => {});
  };
  let socket = hold(connect(proxy?.port ?? port, proxy?.host ?? host));
  await once(socket, 'connect', { signal: call.limit });
  if (proxy) {
    call.stage = 'proxy';
    socket.write(connectRequest(host, port, proxy));
    const status = await readUntil(socket, call.limit, proxyStatus);
    if (!/^2\d\d\b/.test(status)) throw new PreflightFailure('proxyRefused', `it answers ${status}`);
  }
  if (tls) {
    call.stage = 'tls';
    const subject = tls.hostSubject && checkedSubject(tls.hostSubject);
    socket = hold(
      connectTls({
        socket,
        host,
        ...(isIP(host) ? {} : { servername: host }),
        ...(tls.ca ? { ca: checkedCertificates(tls.ca) } : {}),
        ...(subject === undefined
          ? {}
          : { checkServerIdentity: (_, { raw }) => subjectProblem(raw, subject) }),
      }),
    );
    await once(socket, 'secureConnect', { signal: call.limit });
  }
  call.stage = 'link';
  socket.write(linkMessage());
  const reply = await readUntil(socket, call.limit, parseLinkReply);
  if (reply === 'notSpice') throw new PreflightFailure('notSpice');
  if (reply.error === LINK_ERROR_NEEDS_TLS) throw new PreflightFailure('needsTls');
  if (reply.error !== 0) throw new PreflightFailure('spiceError', String(reply.error));
}

/** The viewer, too, compares the whole subject, in the certificate's order. */
function subjectProblem(raw: Buffer, wanted: string): Error | undefined {
  const subject = new X509Certificate(raw).subject.split('\n').join(',');
  return subject === wanted ? undefined : new Error(`its certificate is for ${subject}, not for ${wanted}`);
}

function connectRequest(host: string, port: number, { credentials }: Proxy): string {
  const target = `${hostInUrl(host)}:${port}`;
  const lines = [`CONNECT ${target} HTTP/1.0`, `Host: ${target}`];
  if (credentials) {
    const pair = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64');
    lines.push(`Proxy-Authorization: Basic ${pair}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

const LONGEST_PROXY_ANSWER = 16_384;

/** Status and reason of a proxy's answer, once its whole head is there. */
function proxyStatus(bytes: Buffer): string | undefined {
  const text = bytes.toString('latin1');
  if (!text.includes('\r\n\r\n') && bytes.length < LONGEST_PROXY_ANSWER) return undefined;
  return /^HTTP\/1\.\d (\d{3}[^\r\n]*)/.exec(text)?.[1] ?? 'with something that is not HTTP';
}

/** Reads until `parse` makes something of the bytes; then the socket is paused. Rejects when it ends before. */
async function readUntil<T>(
  socket: Socket,
  signal: AbortSignal,
  parse: (bytes: Buffer) => T | undefined,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let bytes = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    const parsed = parse(bytes);
    if (parsed !== undefined) resolve(parsed);
  };
  const onEnd = (): void => reject(new PreflightFailure('closed'));
  const onAbort = (): void => reject(signal.reason);
  socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', reject).resume();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await promise;
  } finally {
    socket.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', reject).pause();
    signal.removeEventListener('abort', onAbort);
  }
}
