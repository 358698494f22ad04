import { Agent, request } from 'node:https';
import { asArray, asObject, asString, parseJson } from '../../cluster/parse.ts';
import { pause } from '../../cluster/retry.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { VmopError } from '../../errors.ts';

export interface Answer {
  status: number;
  text: string;
}

const CALL_TIMEOUT_MS = 10_000;
const POLL_MS = 50;
const REVIEWS = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
const CONTENT_TYPES: Record<string, string> = { PATCH: 'application/apply-patch+yaml' };

/** What has to be done with a fresh API server before anybody else may use it. */
export class Admin {
  readonly #url: string;
  readonly #token: string;
  readonly #agent: Agent;

  constructor(options: { url: string; caPem: string; token: string }) {
    this.#url = options.url;
    this.#token = options.token;
    this.#agent = new Agent({ ca: options.caPem, keepAlive: true });
  }

  /** Asks until the answer is 200; ends when the signal aborts. */
  async waitFor(path: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      // Nobody listens yet, or somebody else with another certificate: then ours ends by itself.
      const answer = await this.#call('GET', path).catch(() => undefined);
      if (answer?.status === 200) return;
      await pause(POLL_MS, signal);
    }
  }

  /** Server-side apply: makes it so, whatever was there. `path` is the object's own. Rejects with `failed`. */
  async apply(path: string, object: JsonObject): Promise<void> {
    const query = 'fieldManager=vmop-sandbox&force=true';
    accepted(path, await this.#call('PATCH', `${path}?${query}`, object));
  }

  /** Deletes what is of the kind at `path` and has the labels, but for these names. Rejects with `failed`. */
  async prune(path: string, labels: Record<string, string>, kept: ReadonlySet<string>): Promise<void> {
    const labelSelector = Object.entries(labels).map((label) => label.join('='));
    const query = new URLSearchParams({ labelSelector: labelSelector.join(',') });
    const { items } = accepted(path, await this.#call('GET', `${path}?${query.toString()}`));
    const names = asArray(items).map((item) => asString(asObject(asObject(item)['metadata'])['name']) ?? '');
    for (const name of names.filter((found) => !kept.has(found))) {
      accepted(path, await this.#call('DELETE', `${path}/${name}`));
    }
  }

  /** Asks until the API server allows what the review is about; ends when the signal aborts. */
  async waitUntilAllowed(review: JsonObject, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const { status } = accepted(REVIEWS, await this.#call('POST', REVIEWS, review));
      if (asObject(status)['allowed'] === true) return;
      await pause(POLL_MS, signal);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #call(method: string, path: string, body?: JsonObject): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = {
        Authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'Content-Type': CONTENT_TYPES[method] ?? 'application/json' }),
      };
      const sent = request(
        `${this.#url}${path}`,
        { method, headers, agent: this.#agent, timeout: CALL_TIMEOUT_MS },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
          response.on('error', reject);
        },
      );
      sent.on('timeout', () => sent.destroy(new Error('kube-apiserver does not answer')));
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

/** Its body. */
function accepted(path: string, { status, text }: Answer): JsonObject {
  const body = asObject(parseJson(text));
  if (status === 200 || status === 201) return body;
  const why = asString(body['message']) ?? `status ${status}`;
  throw new VmopError('failed', `kube-apiserver refused ${path}: ${why}`);
}
