import http from 'node:http';
import https from 'node:https';
import { setImmediate as turn } from 'node:timers/promises';
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { VmopError, messageOf } from '../errors.ts';

export interface TransportOptions {
  config: KubeConfig;
  server: string;
  clusterName: string;
  userAgent: string;
  /** Milliseconds one request may take until its whole answer is here (a watch: until it begins). */
  timeoutMs: number;
  impersonate?: { user?: string | undefined; groups?: string[] | undefined } | undefined;
}

export interface TransportRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  path: string;
  body?: string | undefined;
  contentType?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface TransportResponse {
  status: number;
  headers: http.IncomingHttpHeaders;
  /** Local time in the middle of the exchange, epoch milliseconds: what the `Date` header corresponds to. */
  at: number;
}

/** The connection was lost or never made; nobody answered. */
export class ConnectionError extends VmopError {
  readonly systemCode: string;
  /** A kept-alive connection that the server, by all appearances, had closed meanwhile. */
  readonly stale: boolean;

  constructor(message: string, systemCode: string, stale: boolean, hint: string, cause: unknown) {
    super('unreachable', message, { hint, cause });
    this.name = 'ConnectionError';
    this.systemCode = systemCode;
    this.stale = stale;
  }
}

/** An answer that has begun. The time-out goes on until `done`; `explain` is for what breaks before. */
interface Opened {
  response: http.IncomingMessage;
  at: number;
  done: () => void;
  explain: (error: unknown) => unknown;
}

/**
 * Idle connections are closed after this, before any server does: a write that met such an end could not be repeated,
 * because nobody could tell whether it was carried out.
 */
const IDLE_MS = 4000;

/** How long credentials from files and plug-ins are used before they are asked for again. */
const AUTH_LIFETIME_MS = 30_000;

/** HTTPS requests to one API server with the credentials of one kubeconfig user. */
export class Transport {
  readonly #options: TransportOptions;
  #agent: http.Agent | undefined;
  #auth: { options: https.RequestOptions; at: number } | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** One exchange with its whole body as text. Rejects with `ConnectionError`, or `timeout`, or the signal's reason. */
  async send(request: TransportRequest): Promise<TransportResponse & { text: string }> {
    return this.#finish(await this.#open(request));
  }

  /** An answer whose body is read as it comes; the time-out covers only its beginning. A refusal is read at once. */
  async stream(
    request: TransportRequest,
  ): Promise<TransportResponse & { text: string; body: http.IncomingMessage }> {
    const opened = await this.#open(request);
    const { response, at, done } = opened;
    if ((response.statusCode ?? 0) >= 300) return { ...(await this.#finish(opened)), body: response };
    done();
    return { status: response.statusCode ?? 0, headers: response.headers, at, text: '', body: response };
  }

  async #finish({ response, at, done, explain }: Opened): Promise<TransportResponse & { text: string }> {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(Buffer.from(chunk));
      const text = (chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)).toString('utf8');
      return { status: response.statusCode ?? 0, headers: response.headers, at, text };
    } catch (error) {
      throw explain(error);
    } finally {
      done();
    }
  }

  /** Forgets the credentials: the next request asks for them again (after a 401). */
  forgetCredentials(): void {
    this.#auth = undefined;
  }

  close(): void {
    this.#agent?.destroy();
  }

  async #open(request: TransportRequest): Promise<Opened> {
    request.signal?.throwIfAborted();
    const { server, timeoutMs, userAgent } = this.#options;
    const auth = await this.#credentials();
    const url = new URL(server + request.path);
    const headers: http.OutgoingHttpHeaders = {
      accept: 'application/json',
      'user-agent': userAgent,
      ...this.#impersonation(),
    };
    Object.assign(headers, auth.headers);
    if (request.body !== undefined) {
      headers['content-type'] = request.contentType ?? 'application/json';
      headers['content-length'] = Buffer.byteLength(request.body);
    }
    // Connections that the server has closed meanwhile are dropped in this turn.
    if (request.method !== 'GET') await turn();
    const started = Date.now();
    return new Promise((resolve, reject) => {
      const options = { method: request.method, headers, agent: this.#agent, auth: auth.auth ?? undefined };
      const client = url.protocol === 'http:' ? http : https;
      const outgoing = client.request(url, {
        ...options,
        ...(request.signal ? { signal: request.signal } : {}),
      });
      let late: TimeoutError | undefined;
      const timer = setTimeout(() => {
        late = new TimeoutError();
        outgoing.destroy(late);
      }, timeoutMs);
      const done = () => clearTimeout(timer);
      const explain = (error: unknown): unknown =>
        this.#explain(late ?? error, outgoing.reusedSocket && answer === undefined, request.signal);
      let answer: http.IncomingMessage | undefined;
      outgoing.once('response', (response) => {
        outgoing.off('error', fail);
        // From here on the error reaches whoever reads the body.
        outgoing.on('error', () => {});
        answer = response;
        resolve({ response, at: (started + Date.now()) / 2, done, explain });
      });
      const fail = (error: Error): void => {
        done();
        reject(explain(error));
      };
      outgoing.once('error', fail);
      outgoing.once('socket', (socket) => {
        // A watch whose server vanished without a word is noticed by the kernel.
        socket.setKeepAlive(true, 15_000);
      });
      outgoing.end(request.body);
    });
  }

  #impersonation(): http.OutgoingHttpHeaders {
    const { user, groups = [] } = this.#options.impersonate ?? {};
    if (user === undefined) return {};
    return { 'impersonate-user': user, ...(groups.length > 0 ? { 'impersonate-group': groups } : {}) };
  }

  async #credentials(): Promise<https.RequestOptions> {
    if (this.#auth && Date.now() - this.#auth.at < AUTH_LIFETIME_MS) return this.#auth.options;
    const { config, server, clusterName } = this.#options;
    const options: https.RequestOptions = {};
    try {
      if (server.startsWith('https:')) await config.applyToHTTPSOptions(options);
    } catch (error) {
      throw new VmopError('unreachable', `no credentials for cluster "${clusterName}": ${messageOf(error)}`, {
        hint: 'check the user of this context in your kubeconfig, or log in again',
        cause: error,
      });
    }
    this.#agent ??= makeAgent(server, options, config.getCurrentCluster()?.proxyUrl !== undefined);
    this.#auth = { options, at: Date.now() };
    return options;
  }

  #explain(error: unknown, reused: boolean, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true) return signal.reason;
    const { server, clusterName, timeoutMs } = this.#options;
    if (error instanceof TimeoutError) {
      const seconds = Math.round(timeoutMs / 100) / 10;
      return new VmopError(
        'unreachable',
        `cluster "${clusterName}" (${server}) did not answer within ${seconds} s`,
        {
          hint: 'is it up and reachable from here? --request-timeout allows more time',
        },
      );
    }
    const systemCode = systemCodeOf(error);
    const { why, hint } = explanation(systemCode, error);
    return new ConnectionError(
      `cluster "${clusterName}" (${server}) cannot be reached: ${why}`,
      systemCode,
      reused && (systemCode === 'ECONNRESET' || systemCode === 'EPIPE'),
      hint,
      error,
    );
  }
}

class TimeoutError extends Error {}

function makeAgent(server: string, options: https.RequestOptions, proxied: boolean): http.Agent {
  if (server.startsWith('http:')) return new http.Agent({ keepAlive: true, timeout: IDLE_MS });
  // client-node's own agent only where it does more than ours: it knows proxies, but keeps no connection.
  if (proxied && options.agent instanceof http.Agent) return options.agent;
  const { ca, cert, key, rejectUnauthorized, servername } = options;
  return new https.Agent({
    keepAlive: true,
    timeout: IDLE_MS,
    maxSockets: 64,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    ...(servername === undefined ? {} : { servername }),
  });
}

function systemCodeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return systemCodeOf(error.errors[0]);
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return '';
}

function explanation(systemCode: string, error: unknown): { why: string; hint: string } {
  switch (systemCode) {
    case 'ECONNREFUSED':
      return {
        why: 'nothing listens there',
        hint: 'is the API server running, and is the address in the kubeconfig right?',
      };
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return {
        why: 'its name is not known',
        hint: 'check the server address in your kubeconfig, the network and the VPN',
      };
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return { why: 'there is no route to it', hint: 'check the network and the VPN' };
    case 'ECONNRESET':
    case 'EPIPE':
      return {
        why: 'the connection was dropped',
        hint: 'try again; a proxy or load balancer between may be at fault',
      };
    case 'CERT_HAS_EXPIRED':
      return {
        why: 'its certificate has expired',
        hint: 'the cluster needs a new certificate: ask its administrator',
      };
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return {
        why: 'its certificate is not trusted',
        hint: 'put the right certificate-authority into the kubeconfig; the cluster may have been set up anew',
      };
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return {
        why: 'its certificate is for another name',
        hint: 'use the name in the certificate, or set tls-server-name in the kubeconfig',
      };
    default:
      return { why: messageOf(error) || systemCode, hint: 'check the server address in your kubeconfig' };
  }
}
