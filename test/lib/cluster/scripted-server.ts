import assert from 'node:assert/strict';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { loadCertificate, type ServerCertificate } from '../../../src/lib/sandbox/api/certificate.ts';
import type { Owner } from './fixture.ts';

export interface ScriptedRequest {
  method: string;
  /** With its query. */
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** Counts the connections, from 0. */
  connection: number;
  /** The subject's name in the client's certificate. */
  clientName: string | undefined;
  response: ServerResponse;
  socket: Socket;
}

export interface ScriptedServer {
  url: string;
  /** '' for HTTP. */
  caPem: string;
  /** Whatever arrived so far. */
  requests: ScriptedRequest[];
  connections: number;
  /** Ends the connections that no request is on; resolves when they are closed. */
  closeIdle(): Promise<void>;
}

export interface ScriptedOptions {
  tls?: boolean;
  certificate?: ServerCertificate;
  /** PEM of the authority that a client's certificate has to be from; otherwise any is taken, and none. */
  clientAuthority?: string;
}

let shared: Promise<ServerCertificate> | undefined;

/** For 127.0.0.1 and localhost; one for all tests of a file. */
export function testCertificate(): Promise<ServerCertificate> {
  shared ??= loadCertificate(undefined);
  return shared;
}

/** A server on loopback that answers each request as the script says, whatever the request is. */
export async function startScriptedServer(
  owner: Owner,
  script: (request: ScriptedRequest) => void,
  { tls = false, certificate, clientAuthority }: ScriptedOptions = {},
): Promise<ScriptedServer> {
  const { keyPem: key, certPem: cert } = tls
    ? (certificate ?? (await testCertificate()))
    : { keyPem: '', certPem: '' };
  const numbers = new Map<Socket, number>();
  const handle = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(Buffer.from(chunk));
    const { method = '', url: path = '', headers, socket } = message;
    const body = Buffer.concat(chunks).toString('utf8');
    const connection = numbers.get(socket) ?? -1;
    const clientName = clientNameOf(socket);
    const request = { method, path, headers, body, connection, clientName, response, socket };
    scripted.requests.push(request);
    script(request);
  };
  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    handle(message, response).catch(() => response.destroy());
  };
  const server = tls
    ? createHttpsServer(
        {
          key,
          cert,
          requestCert: true,
          ...(clientAuthority === undefined ? { rejectUnauthorized: false } : { ca: clientAuthority }),
        },
        listener,
      )
    : createHttpServer(listener);
  server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    numbers.set(socket, scripted.connections);
    scripted.connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const scripted: ScriptedServer = {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${address.port}`,
    caPem: cert,
    requests: [],
    connections: 0,
    async closeIdle() {
      const closed = [...numbers.keys()].map(
        (socket) => new Promise((resolve) => socket.once('close', resolve)),
      );
      server.closeIdleConnections();
      await Promise.all(closed);
    },
  };
  owner.after(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return scripted;
}

function clientNameOf(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  return typeof name === 'string' ? name : undefined;
}

export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  /** Sent as it is; objects as JSON. */
  body?: unknown;
}

export function reply(
  { response }: ScriptedRequest,
  { status = 200, headers = {}, body = {} }: Reply = {},
): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, headers).end(text);
}

/** Replies one after the other, the last one again and again. */
export function inTurn(...replies: Reply[]): (request: ScriptedRequest) => void {
  let index = 0;
  return (request) => {
    reply(request, replies[Math.min(index, replies.length - 1)]);
    index += 1;
  };
}

export const kubeStatus = (code: number, message = 'scripted', reason = ''): Reply => ({
  status: code,
  body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message, reason },
});
