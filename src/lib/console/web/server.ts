import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { VmopError, messageOf } from '../../errors.ts';
import { sanitize } from '../../text.ts';
import type { ListenPlan } from './listen.ts';

/** Time for a request's head, and for all of it: who opens connections and says nothing shall not keep them. */
const REQUEST_MS = 10_000;
const LONGEST_HEAD_BYTES = 8 * 1024;
const MOST_CONNECTIONS = 256;

export interface ListeningServer {
  server: Server;
  /** With the scheme, and the port that it got. */
  origin: string;
  /** What `Host` says of it. */
  hosts: string[];
}

/** Starts a server that answers nothing yet but what `onRequest` does. Errors: `console` when it cannot listen. */
export async function listen(plan: ListenPlan): Promise<ListeningServer> {
  const server = await createServer(plan);
  server.maxConnections = MOST_CONNECTIONS;
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
  return { server, origin: `${scheme}://${host}`, hosts: [host] };
}

async function createServer({ tls }: ListenPlan): Promise<Server> {
  const limits = {
    headersTimeout: REQUEST_MS,
    requestTimeout: REQUEST_MS,
    maxHeaderSize: LONGEST_HEAD_BYTES,
  };
  if (tls === undefined) return http.createServer(limits);
  try {
    const [cert, key, https] = await Promise.all([
      readFile(tls.certFile),
      readFile(tls.keyFile),
      import('node:https'),
    ]);
    return https.createServer({ ...limits, cert, key, minVersion: 'TLSv1.2' });
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

/** Answers a request for a WebSocket that is not granted. */
export function respondOnSocket(socket: Duplex, status: number, reason: string): void {
  const body = Buffer.from(reason);
  socket.on('error', () => {});
  socket.end(
    Buffer.concat([
      Buffer.from(
        `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}\r\nconnection: close\r\n` +
          `content-type: text/plain; charset=utf-8\r\ncontent-length: ${body.length}\r\n\r\n`,
      ),
      body,
    ]),
  );
}
