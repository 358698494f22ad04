import { Agent, request } from 'node:https';
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { asObject, asString, parseJson } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';

/** An API server to test against, and a token of a member of `system:masters`. */
export interface ApiTarget {
  url: string;
  caPem: string;
  token: string;
  /** Tokens of the contract’s users, by their names. */
  userTokens?: Record<string, string>;
}

export interface CallOptions {
  body?: unknown;
  /** Sent as it is, instead of `body`. */
  rawBody?: string | Buffer;
  contentType?: string;
  /** `undefined` leaves one out that is sent otherwise. */
  headers?: OutgoingHttpHeaders;
}

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The answer's JSON; `{}` when it is no object. */
  json: JsonObject;
}

export interface WatchEvent {
  type: string;
  object: JsonObject;
  name: string;
}

export interface Watch {
  /** The next event; rejects when the stream ends before it. */
  next(): Promise<WatchEvent>;
  /** All events until the server ends the stream; rejects when it is torn off. */
  rest(): Promise<WatchEvent[]>;
  close(): void;
}

export const MERGE_PATCH = 'application/merge-patch+json';
export const JSON_PATCH = 'application/json-patch+json';

/** As small a client as can be, so that what a test sees is what the server sent. */
export class TestClient {
  readonly target: ApiTarget;
  readonly #agent: Agent;

  constructor(target: ApiTarget) {
    this.target = target;
    this.#agent = new Agent({ ca: target.caPem, keepAlive: true });
  }

  async call(method: string, path: string, options: CallOptions = {}): Promise<Reply> {
    const message = await this.#open(method, path, options);
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(Buffer.from(chunk));
    const text = Buffer.concat(chunks).toString('utf8');
    return {
      status: message.statusCode ?? 0,
      headers: message.headers,
      text,
      json: asObject(parseJson(text)),
    };
  }

  get = (path: string, options?: CallOptions): Promise<Reply> => this.call('GET', path, options);
  post = (path: string, body: unknown, options?: CallOptions): Promise<Reply> =>
    this.call('POST', path, { body, ...options });
  put = (path: string, body: unknown, options?: CallOptions): Promise<Reply> =>
    this.call('PUT', path, { body, ...options });
  delete = (path: string, body?: unknown, options?: CallOptions): Promise<Reply> =>
    this.call('DELETE', path, { body, ...options });
  merge = (path: string, body: unknown, options?: CallOptions): Promise<Reply> =>
    this.call('PATCH', path, { body, contentType: MERGE_PATCH, ...options });
  jsonPatch = (path: string, body: unknown, options?: CallOptions): Promise<Reply> =>
    this.call('PATCH', path, { body, contentType: JSON_PATCH, ...options });

  /** `path` with its query; `watch=1` is added. */
  async watch(path: string, options?: CallOptions): Promise<Watch> {
    const message = await this.#open('GET', `${path}${path.includes('?') ? '&' : '?'}watch=1`, options ?? {});
    if (message.statusCode !== 200) {
      message.destroy();
      throw new Error(`the watch was answered with ${message.statusCode}`);
    }
    let closed = false;
    const events = readEvents(message, () => closed);
    return {
      async next() {
        const { value, done } = await events.next();
        if (done) throw new Error('the watch has ended');
        return value;
      },
      async rest() {
        const all: WatchEvent[] = [];
        for await (const event of events) all.push(event);
        return all;
      },
      close() {
        closed = true;
        message.destroy();
      },
    };
  }

  close(): void {
    this.#agent.destroy();
  }

  #open(method: string, path: string, options: CallOptions): Promise<IncomingMessage> {
    const { body, rawBody, contentType = 'application/json', headers } = options;
    const payload = rawBody ?? (body === undefined ? undefined : JSON.stringify(body));
    const all: OutgoingHttpHeaders = {
      Authorization: `Bearer ${this.target.token}`,
      ...(payload === undefined
        ? {}
        : { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(payload) }),
      ...headers,
    };
    const present = Object.entries(all).filter(([, value]) => value !== undefined);
    return new Promise((resolve, reject) => {
      const sent = request(`${this.target.url}${path}`, {
        method,
        agent: this.#agent,
        headers: Object.fromEntries(present),
      });
      sent.on('response', resolve);
      sent.on('error', reject);
      sent.end(payload);
    });
  }
}

async function* readEvents(
  message: IncomingMessage,
  closed: () => boolean,
): AsyncGenerator<WatchEvent, undefined> {
  let rest = '';
  try {
    for await (const chunk of message.setEncoding('utf8')) {
      const lines = `${rest}${String(chunk)}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const event = asObject(parseJson(line));
        const object = asObject(event['object']);
        const name = asString(asObject(object['metadata'])['name']) ?? '';
        yield { type: asString(event['type']) ?? '', object, name };
      }
    }
  } catch (error) {
    if (!closed()) throw error;
  }
  return undefined;
}

/** A value deep in an answer: `pick(json, 'metadata.name')`, `pick(json, 'items.0.metadata')`. */
export function pick(value: unknown, path: string): unknown {
  let found: unknown = value;
  for (const name of path.split('.')) {
    found = Array.isArray(found) ? found[Number(name)] : asObject(found)[name];
  }
  return found;
}

export function versionOf(object: JsonObject): string {
  return asString(pick(object, 'metadata.resourceVersion')) ?? '';
}
