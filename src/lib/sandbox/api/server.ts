import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Authenticator } from './authenticate.ts';
import { PUBLIC_PATHS } from './authorize.ts';
import type { ServerCertificate } from './certificate.ts';
import type { Answer, ApiContext } from './context.ts';
import { dispatch } from './dispatch.ts';
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

/** The API as an HTTPS server that does not listen yet. */
export function createApiServer(context: ApiContext, options: ServerOptions): Server {
  const { keyPem: key, certPem: cert } = options.certificate;
  const server = createServer({ key, cert, minVersion: 'TLSv1.2' }, (message, response) => {
    answer(context, options, message, response).catch(() => response.destroy());
  });
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  return server;
}

async function answer(
  context: ApiContext,
  { authenticate, maxBodyBytes }: ServerOptions,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const target = parseTarget(message.method ?? 'GET', message.url ?? '/');
    const open = PUBLIC_PATHS.includes(target.path) && message.headers.authorization === undefined;
    const identity = open
      ? { username: 'system:anonymous', groups: [] }
      : authenticate(message.headersDistinct);
    const answered = await dispatch(context, { identity, target, message, maxBodyBytes }, response);
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
