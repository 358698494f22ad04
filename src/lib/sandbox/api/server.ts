import { ServerResponse, type IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Authenticator } from './authenticate.ts';
import { PUBLIC_PATHS } from './authorize.ts';
import type { ServerCertificate } from './certificate.ts';
import type { Answer, ApiContext } from './context.ts';
import { dispatch } from './dispatch.ts';
import type { UpgradeRequest } from './port-forward.ts';
import { parseTarget } from './request.ts';
import { ApiFailure } from './status.ts';

export interface ServerOptions {
  certificate: ServerCertificate;
  authenticate: Authenticator;
  maxBodyBytes: number;
}

/** Nobody takes longer than this over sending a request. */
const REQUEST_TIMEOUT_MS = 60_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** Longer than clients keep an idle connection, so that theirs is the end that closes it. */
const KEEP_ALIVE_MS = 120_000;

export interface ApiServer {
  /** Does not listen yet. */
  server: Server;
  /** Ends all connections, those that have become something else, too. */
  endConnections: () => void;
}

/** The API as an HTTPS server. */
export function createApiServer(context: ApiContext, options: ServerOptions): ApiServer {
  const { keyPem: key, certPem: cert } = options.certificate;
  const server = createServer({ key, cert, minVersion: 'TLSv1.2' }, (message, response) => {
    answer(context, options, message, response).catch(() => response.destroy());
  });
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  const upgraded = new Set<Duplex>();
  server.on('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    answerUpgrade(context, options, message, socket, head);
  });
  return {
    server,
    endConnections() {
      server.closeAllConnections();
      for (const socket of upgraded) socket.destroy();
    },
  };
}

/** Node leaves such a connection to us: as long as it is not taken over it is answered like any other. */
function answerUpgrade(
  context: ApiContext,
  options: ServerOptions,
  message: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  if (!(socket instanceof Socket)) {
    socket.destroy();
    return;
  }
  const response = new ServerResponse(message);
  const upgrade = { message, socket, head, detach: () => response.detachSocket(socket) };
  response.shouldKeepAlive = false;
  const broken = (): void => void socket.destroy();
  socket.on('error', broken);
  response.assignSocket(socket);
  response.once('finish', () => socket.destroySoon());
  answer(context, options, message, response, upgrade).catch(broken);
}

async function answer(
  context: ApiContext,
  { authenticate, maxBodyBytes }: ServerOptions,
  message: IncomingMessage,
  response: ServerResponse,
  upgrade?: UpgradeRequest,
): Promise<void> {
  try {
    const target = parseTarget(message.method ?? 'GET', message.url ?? '/');
    const open = PUBLIC_PATHS.includes(target.path) && message.headers.authorization === undefined;
    const identity = open
      ? { username: 'system:anonymous', groups: [] }
      : authenticate(message.headersDistinct);
    const answered = await dispatch(context, { identity, target, message, maxBodyBytes, upgrade }, response);
    if (answered) send(response, answered);
  } catch (error) {
    if (response.headersSent) throw error;
    fail(message, response, error);
  }
}

function send(response: ServerResponse, { status, text, contentType = 'application/json' }: Answer): void {
  const body = Buffer.from(text);
  response.writeHead(status, { 'Content-Type': contentType, 'Content-Length': body.length });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

function fail(message: IncomingMessage, response: ServerResponse, error: unknown): void {
  const failure =
    error instanceof ApiFailure
      ? error
      : new ApiFailure(500, 'InternalError', `Internal error occurred: ${String(error)}`);
  for (const [name, value] of Object.entries(failure.details.headers ?? {})) response.setHeader(name, value);
  const { retryAfterSeconds } = failure.details;
  if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', retryAfterSeconds);
  // Read to its end, but not kept: a client that is still sending would not see the answer otherwise.
  message.resume();
  send(response, { status: failure.code, text: JSON.stringify(failure.toStatus()) });
}
