import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { VmopError, messageOf } from '../../errors.ts';
import { sanitize } from '../../text.ts';
import { Connections } from './connections.ts';
import type { ListenPlan } from './listen.ts';

/** Time for a request's head, and for all of it: who opens connections and says nothing shall not keep them. */
const REQUEST_MS = 10_000;
/** Node looks every 30 s otherwise. */
const LOOK_EVERY_MS = 1000;
const LONGEST_HEAD_BYTES = 8 * 1024;

export interface ListeningServer {
  server: Server;
  connections: Connections;
  /** With the scheme, and the port that it got. */
  origin: string;
  /** What `Host` says of it. */
  hosts: string[];
}

/** Starts a server that answers nothing yet but what `onRequest` does. Errors: `console` when it cannot listen. */
export async function listen(plan: ListenPlan): Promise<ListeningServer> {
  const server = await createServer(plan);
  const connections = new Connections(server);
  try {
    server.listen({ host: plan.host, port: plan.port, exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    throw new VmopError(
      'console',
      `nothing can listen on ${plan.host}, port ${plan.port}: ${messageOf(error)}`,
      { cause: error },
    );
  }
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : plan.port;
  const scheme = plan.tls ? 'https' : 'http';
  const isUsual = port === (plan.tls ? 443 : 80);
  const host = isUsual ? plan.name : `${plan.name}:${port}`;
  return { server, connections, origin: `${scheme}://${host}`, hosts: [host] };
}

async function createServer({ tls }: ListenPlan): Promise<Server> {
  const limits = {
    headersTimeout: REQUEST_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: LOOK_EVERY_MS,
    maxHeaderSize: LONGEST_HEAD_BYTES,
  };
  if (tls === undefined) return http.createServer(limits);
  try {
    const [cert, key, https] = await Promise.all([
      readFile(tls.certFile),
      readFile(tls.keyFile),
      import('node:https'),
    ]);
    return https.createServer({ ...limits, handshakeTimeout: REQUEST_MS, cert, key, minVersion: 'TLSv1.2' });
  } catch (error) {
    throw new VmopError('usage', `the certificate or its key cannot be used: ${sanitize(messageOf(error))}`, {
      hint: '--listen-cert and --listen-key name PEM files',
      cause: error,
    });
  }
}

/** The body as text; undefined when it is longer than `limit` bytes, or ends early. */
export async function readBody(request: IncomingMessage, limit: number): Promise<string | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > limit) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    // The connection stays: the answer is still to be sent.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      if (!Buffer.isBuffer(chunk)) return undefined;
      length += chunk.length;
      if (length > limit) return undefined;
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks).toString('utf8');
}

export interface Answer {
  status: number;
  type: string;
  body: string | Buffer;
}

/** `hangUp`: the rest of the request is not read. */
export function respond(
  response: ServerResponse,
  headers: Record<string, string>,
  { status, type, body }: Answer,
  hangUp = false,
): void {
  const length = String(Buffer.byteLength(body));
  response.writeHead(status, {
    ...headers,
    ...(hangUp ? { connection: 'close' } : {}),
    'content-type': type,
    'content-length': length,
  });
  response.end(body);
}

/** Answers a request for a WebSocket that is not granted, and hangs up: also on who goes on listening, or never does. */
export function respondOnSocket(socket: Duplex, status: number, reason: string): void {
  const body = Buffer.from(reason);
  const late = setTimeout(() => socket.destroy(), REQUEST_MS).unref();
  socket.on('error', () => {}).once('close', () => clearTimeout(late));
  const head =
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}\r\nconnection: close\r\n` +
    `content-type: text/plain; charset=utf-8\r\ncontent-length: ${body.length}\r\n\r\n`;
  socket.end(Buffer.concat([Buffer.from(head), body]), () => socket.destroy());
}
