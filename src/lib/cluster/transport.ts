import http from 'node:http';
import https from 'node:https';
import { setImmediate as turn } from 'node:timers/promises';
import { messageOf, VmopError } from '../errors.ts';
import { unlessAborted } from '../within.ts';
import { ApiError, type ApiStatus } from './api-error.ts';
import { Agents } from './agents.ts';
import { certificateEnd, ConnectionError } from './connection-error.ts';
import { basicAuthorization } from './connect.ts';
import { Credentials, type CredentialOptions, type RequestCredentials } from './credentials.ts';
import { flagsImpersonation, type Impersonated } from './impersonation.ts';
import type { Kubeconfig } from './kubeconfig.ts';
import { proxyCredentials, proxyRefusal } from './proxy.ts';

export interface TransportOptions extends CredentialOptions {
  kubeconfig: Kubeconfig;
  userAgent: string;
  /** Milliseconds one request may take until its whole answer is here (a watch: until it begins). 0: any. */
  timeoutMs: number;
  impersonate?: Impersonated | undefined;
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
  /** What the request was sent with. */
  credentials: RequestCredentials;
}

/** What a connection to the API server is made with, for what is no request (a WebSocket). */
export interface ConnectionOptions {
  /** The kubeconfig's server, without a slash at its end: `https://…` or `http://…`. */
  server: string;
  /** Knows authority, client certificate, server name and proxy; an option `agent` of https.request, or of `ws`. */
  agent: http.Agent;
  /** User agent, credentials, impersonation. */
  headers: http.OutgoingHttpHeaders;
  /** To be called when the server answers 401: true when it is worth another try with new `ConnectionOptions`. */
  refused: () => Promise<boolean>;
  /** A 401 that stays, as the error to throw. */
  unauthorized: (status: ApiStatus) => ApiError;
  /** What broke before the server answered, as the error to throw. */
  explain: (error: unknown) => VmopError;
}

/** An answer that has begun. The time-out goes on until `done`; `explain` is for what breaks before. */
interface Opened {
  head: TransportResponse;
  body: http.IncomingMessage;
  done: () => void;
  explain: (error: unknown) => unknown;
}

const PROXY_WANTS_CREDENTIALS = 407;

/** HTTPS requests to one API server with the credentials of one kubeconfig user. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #credentials: Credentials;
  readonly #agents: Agents;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#agents = new Agents(options.kubeconfig);
    this.#credentials = new Credentials(options.kubeconfig, options);
  }

  /** One exchange with its whole body as text. Rejects with `ConnectionError`, or `timeout`, or the signal's reason. */
  async send(request: TransportRequest): Promise<TransportResponse & { text: string }> {
    return finish(await this.#open(request));
  }

  /** An answer whose body is read as it comes; the time-out covers only its beginning. A refusal is read at once. */
  async stream(
    request: TransportRequest,
  ): Promise<TransportResponse & { text: string; body: http.IncomingMessage }> {
    const opened = await this.#open(request, true);
    const { head, body, done } = opened;
    if (head.status >= 300) return { ...(await finish(opened)), body };
    done();
    return { ...head, text: '', body };
  }

  /** For connections that others make (port-forward). Errors: `unreachable` without credentials, the signal's reason. */
  async connection(signal?: AbortSignal): Promise<ConnectionOptions> {
    const credentials = await this.#awaitCredentials(signal);
    let repeated = false;
    return {
      server: this.#server,
      agent: await this.#agents.forUpgrades(credentials.tls),
      headers: this.#headers(credentials),
      refused: async () => {
        if (repeated) return false;
        repeated = true;
        await this.#credentials.refused(credentials);
        return true;
      },
      unauthorized: (status) => this.#unauthorized(credentials, status),
      explain: (error) => this.#lost(error, credentials, false),
    };
  }

  /** The server answered 401: the next request asks for other credentials. */
  async refused({ credentials }: TransportResponse): Promise<void> {
    await this.#credentials.refused(credentials);
  }

  /** What a 401 says that new credentials did not change. */
  unauthorized({ credentials }: TransportResponse, status: ApiStatus): ApiError {
    return this.#unauthorized(credentials, status);
  }

  #unauthorized(credentials: RequestCredentials, status: ApiStatus): ApiError {
    const { user } = this.#options.kubeconfig.places;
    const { tokenFile } = credentials;
    if (tokenFile !== undefined) {
      const message = `${this.#where} does not take the token in ${tokenFile}: ${status.message}`;
      return new ApiError({ ...status, message }, `put a new one there, or correct ${user}`);
    }
    const ended = certificateEnd(credentials.tls.cert);
    const why = ended === undefined ? status.message : `the client certificate has expired (${ended})`;
    const message = `${this.#where} does not take the credentials of ${user}: ${why}`;
    const hint = ended === undefined ? `log in again, or correct ${user}` : `put a new one into ${user}`;
    return new ApiError({ ...status, message }, hint);
  }

  close(): void {
    this.#credentials.close();
    this.#agents.close();
  }

  /** What a plug-in waits for may take long; whoever does not want to wait any more need not. */
  async #awaitCredentials(signal: AbortSignal | undefined): Promise<RequestCredentials> {
    const credentials = this.#credentials.get();
    return signal ? unlessAborted(credentials, signal) : credentials;
  }

  async #open(request: TransportRequest, lasting = false): Promise<Opened> {
    const { method, path, body, signal } = request;
    const { timeoutMs } = this.#options;
    const credentials = await this.#awaitCredentials(signal);
    const agent = await this.#agents.forRequests(credentials.tls);
    // Connections that the server has closed meanwhile are dropped in this turn.
    if (method !== 'GET') await turn();
    const started = Date.now();
    return new Promise((resolve, reject) => {
      // Whoever keeps a connection for long takes none of the others'.
      if (lasting) agent.maxSockets += 1;
      const outgoing = this.#request(new URL(this.#server + path), request, credentials, agent);
      if (lasting) outgoing.once('close', () => (agent.maxSockets -= 1));
      let late: TimeoutError | undefined;
      const end = (): void => {
        late = new TimeoutError();
        outgoing.destroy(late);
      };
      const timer = timeoutMs > 0 ? setTimeout(end, timeoutMs) : undefined;
      const done = () => clearTimeout(timer);
      let begun = false;
      const explain = (error: unknown): unknown =>
        this.#explain(late ?? error, credentials, outgoing.reusedSocket && !begun, signal);
      const fail = (error: Error): void => {
        done();
        reject(explain(error));
      };
      outgoing.once('error', fail);
      outgoing.once('response', (response) => {
        begun = true;
        outgoing.off('error', fail);
        // From here on the error reaches whoever reads the body.
        outgoing.on('error', () => {});
        const { statusCode: status = 0, headers } = response;
        const { carrier } = this.#agents;
        if (carrier && status === PROXY_WANTS_CREDENTIALS) {
          outgoing.destroy();
          fail(proxyRefusal(carrier, status));
          return;
        }
        const head = { status, headers, at: (started + Date.now()) / 2, credentials };
        resolve({ head, body: response, done, explain });
      });
      outgoing.once('socket', (socket) => {
        // A watch whose server vanished without a word is noticed by the kernel.
        socket.setKeepAlive(true, 15_000);
      });
      // Node would send the headers before a text as UTF-8, too: what is in them would be encoded twice.
      outgoing.end(body === undefined ? undefined : Buffer.from(body));
    });
  }

  #request(
    url: URL,
    { method, body, contentType = 'application/json', signal }: TransportRequest,
    credentials: RequestCredentials,
    agent: http.Agent,
  ): http.ClientRequest {
    const headers = { ...this.#headers(credentials), accept: 'application/json' };
    if (body !== undefined) {
      headers['content-type'] = contentType;
      headers['content-length'] = Buffer.byteLength(body);
    }
    const { carrier } = this.#agents;
    const known = carrier && proxyCredentials(carrier);
    if (known) headers['proxy-authorization'] = basicAuthorization(known);
    const client = url.protocol === 'http:' ? http : https;
    try {
      return client.request(url, {
        method,
        headers,
        agent,
        // A proxy that carries a request has to be told where to.
        ...(carrier ? { path: `${url.origin}${url.pathname}${url.search}` } : {}),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      // Node refuses what is in the kubeconfig or in a flag: a broken certificate, a control character.
      throw new VmopError('unreachable', `${this.#where} cannot be asked: ${messageOf(error)}`, {
        hint: `correct ${this.#options.kubeconfig.places.user}`,
        cause: error,
      });
    }
  }

  #headers({ headers }: RequestCredentials): http.OutgoingHttpHeaders {
    // The flags come last: they win over the kubeconfig's `as`.
    return {
      'user-agent': this.#options.userAgent,
      ...headers,
      ...flagsImpersonation(this.#options.impersonate),
    };
  }

  get #server(): string {
    return this.#options.kubeconfig.info.server;
  }

  #explain(
    error: unknown,
    credentials: RequestCredentials,
    reused: boolean,
    signal: AbortSignal | undefined,
  ): unknown {
    if (signal?.aborted === true) return signal.reason;
    if (!(error instanceof TimeoutError)) return this.#lost(error, credentials, reused);
    const seconds = Math.round(this.#options.timeoutMs / 100) / 10;
    return new VmopError('unreachable', `${this.#where} did not answer within ${seconds} s`, {
      hint: 'is it up and reachable from here? --request-timeout allows more time',
    });
  }

  get #where(): string {
    const { cluster, server } = this.#options.kubeconfig.info;
    return `cluster "${cluster}" (${server})`;
  }

  #lost(error: unknown, { tls }: RequestCredentials, reused: boolean): ConnectionError {
    const { places } = this.#options.kubeconfig;
    return new ConnectionError({ where: this.#where, places, certificate: tls.cert }, error, reused);
  }
}

class TimeoutError extends Error {}

async function finish({ head, body, done, explain }: Opened): Promise<TransportResponse & { text: string }> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(Buffer.from(chunk));
    const text = (chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)).toString('utf8');
    return { ...head, text };
  } catch (error) {
    throw explain(error);
  } finally {
    done();
  }
}
