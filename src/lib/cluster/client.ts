import type { Duplex } from 'node:stream';
import { VmopError } from '../errors.ts';
import { parseAccessRules } from './access-rules.ts';
import { untilAnswered, type Answer } from './attempts.ts';
import type { CredentialOptions } from './credentials.ts';
import type { Impersonated } from './impersonation.ts';
import type { Kubeconfig } from './kubeconfig.ts';
import { asArray, asDate, asObject, asString, isObject, parseJson, parseObject } from './parse.ts';
import { apiVersionOf, collectionPath, objectPath, type Query } from './paths.ts';
import { namedListing } from './named-listing.ts';
import { listPages } from './pages.ts';
import { Transport, type TransportRequest, type TransportResponse } from './transport.ts';
import type {
  AccessAttributes,
  AccessRules,
  Change,
  Cluster,
  ContextInfo,
  DeleteOptions,
  Identity,
  JsonObject,
  KubeObject,
  Listing,
  LogOptions,
  ObjectRef,
  Patch,
  Resource,
  Selection,
  Verdict,
  WatchOptions,
  WriteOptions,
} from './types.ts';
import { followWatch } from './watch.ts';
import { deleteBody, patchBody, patchQuery, writeQuery } from './write-request.ts';

export interface ClusterOptions extends CredentialOptions {
  userAgent: string;
  /** How long one call may take; 0: as long as it likes, as kubectl's `--request-timeout=0`. */
  timeoutMs: number;
  impersonate?: Impersonated | undefined;
  /** For `Resource.parse`; absent: the namespace of the kubeconfig's context. */
  home?: string | undefined;
  /** Ends every call and every watch when it aborts. */
  signal?: AbortSignal | undefined;
}

/** The cluster of a kubeconfig. No connection is made before the first call. */
export function openCluster(kubeconfig: Kubeconfig, options: ClusterOptions): Cluster {
  return new HttpCluster(kubeconfig, options);
}

class HttpCluster implements Cluster {
  readonly context: ContextInfo;
  readonly #transport: Transport;
  readonly #closed = new AbortController();
  readonly #ended: AbortSignal;
  readonly #timeoutMs: number;
  readonly #home: string;
  /** Server time minus local time in milliseconds, as of the last answer. */
  #clockOffset: number | undefined;

  constructor(kubeconfig: Kubeconfig, { signal, home, ...options }: ClusterOptions) {
    this.context = kubeconfig.info;
    this.#ended = either(this.#closed.signal, signal);
    this.#timeoutMs = options.timeoutMs;
    this.#home = home ?? kubeconfig.info.namespace;
    this.#transport = new Transport({ kubeconfig, ...options });
  }

  async get<T>(resource: Resource<T>, ref: ObjectRef): Promise<T> {
    return this.#parse(resource, await this.#send({ method: 'GET', path: objectPath(resource, ref) }));
  }

  async list<T>(resource: Resource<T>, selection: Selection): Promise<Listing<T>> {
    const { namespace, signal } = selection;
    return listPages({
      fetch: async (query) => {
        const path = collectionPath(resource, namespace, { ...selectionQuery(selection), ...query });
        return (await this.#send({ method: 'GET', path, signal })).text;
      },
      parsePage: (text) => this.#json(text),
      parseItem: (item) => this.#typed(resource, this.#object(resource, item)),
    });
  }

  async create<T>(
    resource: Resource<T>,
    namespace: string,
    object: JsonObject,
    options: WriteOptions = {},
  ): Promise<T> {
    const body = JSON.stringify({ apiVersion: apiVersionOf(resource), kind: resource.kind, ...object });
    const path = collectionPath(resource, namespace, writeQuery(options));
    return this.#parse(resource, await this.#send({ method: 'POST', path, body, signal: options.signal }));
  }

  async replace<T>(
    resource: Resource<T>,
    ref: ObjectRef,
    object: JsonObject,
    options: WriteOptions = {},
  ): Promise<T> {
    const path = objectPath(resource, ref, options.subresource, writeQuery(options));
    const body = JSON.stringify(object);
    return this.#parse(resource, await this.#send({ method: 'PUT', path, body, signal: options.signal }));
  }

  async patch<T>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: Patch,
    options: WriteOptions = {},
  ): Promise<T> {
    const path = objectPath(resource, ref, options.subresource, patchQuery(patch, options));
    const { contentType, body } = patchBody(resource, patch);
    const answer = await this.#send({ method: 'PATCH', path, body, contentType, signal: options.signal });
    return this.#parse(resource, answer);
  }

  async delete(resource: Resource<unknown>, ref: ObjectRef, options: DeleteOptions = {}): Promise<void> {
    const path = objectPath(resource, ref, undefined, writeQuery(options));
    await this.#send({ method: 'DELETE', path, body: deleteBody(options), signal: options.signal });
  }

  watch<T>(resource: Resource<T>, watchOptions: WatchOptions): AsyncIterable<Change<T>> {
    const options = { ...watchOptions, signal: either(watchOptions.signal, this.#ended) };
    const { name } = options;
    return followWatch({
      list:
        name === undefined
          ? () => this.list(resource, options)
          : namedListing(
              () => this.#readNamed(resource, name, options),
              (object) => this.#typed(resource, object),
            ),
      open: (resourceVersion, timeoutSeconds, signal) =>
        this.#stream({
          method: 'GET',
          path: collectionPath(resource, options.namespace, {
            ...(name === undefined ? selectionQuery(options) : { fieldSelector: `metadata.name=${name}` }),
            watch: true,
            allowWatchBookmarks: true,
            resourceVersion,
            timeoutSeconds,
          }),
          signal,
        }),
      parse: (object) => this.#typed(resource, this.#object(resource, object)),
      options,
    });
  }

  async #readNamed(
    resource: Resource<unknown>,
    name: string,
    { namespace = '', signal }: Selection,
  ): Promise<KubeObject> {
    const answer = await this.#send({
      method: 'GET',
      path: objectPath(resource, { namespace, name }),
      signal,
    });
    return this.#object(resource, this.#json(answer.text));
  }

  async canI(attributes: AccessAttributes): Promise<Verdict> {
    const { group, resource, subresource, verb, namespace, name } = attributes;
    const resourceAttributes = { group, resource, subresource, verb, namespace, name };
    const status = await this.#review('authorization.k8s.io', 'SelfSubjectAccessReview', {
      resourceAttributes,
    });
    return { allowed: status['allowed'] === true, reason: asString(status['reason']) ?? '' };
  }

  async rules(namespace: string): Promise<AccessRules> {
    return parseAccessRules(
      await this.#review('authorization.k8s.io', 'SelfSubjectRulesReview', { namespace }),
    );
  }

  async self(): Promise<Identity> {
    const user = asObject(
      (await this.#review('authentication.k8s.io', 'SelfSubjectReview', undefined))['userInfo'],
    );
    const groups = asArray(user['groups']).filter((group) => typeof group === 'string');
    return { username: asString(user['username']) ?? '', groups };
  }

  async now(): Promise<Date> {
    if (this.#clockOffset === undefined) {
      try {
        await this.#send({ method: 'GET', path: '/version' });
      } catch (error) {
        // Also a refusal tells the time.
        if (this.#clockOffset === undefined) throw error;
      }
    }
    return new Date(Date.now() + (this.#clockOffset ?? 0));
  }

  async log(ref: ObjectRef, options: LogOptions = {}): Promise<string> {
    const pods = { group: '', version: 'v1', plural: 'pods', namespaced: true };
    const { container, tailLines, timestamps, signal } = options;
    const path = objectPath(pods, ref, 'log', { container, tailLines, timestamps });
    return (await this.#send({ method: 'GET', path, signal })).text;
  }

  async forward(pod: ObjectRef, port: number, { signal }: { signal: AbortSignal }): Promise<Duplex> {
    const { forwardPort } = await import('./forward/index.ts');
    return forwardPort({
      connect: (attempt) => this.#transport.connection(attempt),
      pod,
      port,
      signal: either(this.#ended, signal),
      timeoutMs: this.#timeoutMs,
    });
  }

  close(): void {
    this.#closed.abort(
      new VmopError('failed', `the connection to cluster "${this.context.cluster}" was closed`),
    );
    this.#transport.close();
  }

  async #review(group: string, kind: string, spec: JsonObject | undefined): Promise<JsonObject> {
    const path = `/apis/${group}/v1/${kind.toLowerCase()}s`;
    const body = JSON.stringify({ apiVersion: `${group}/v1`, kind, ...(spec ? { spec } : {}) });
    // A review changes nothing, so it is repeated like a read.
    const answer = await this.#send({ method: 'POST', path, body }, true);
    return asObject(this.#json(answer.text)['status']);
  }

  /** A login page, or a proxy's greeting, is no answer. */
  #json(text: string): JsonObject {
    const value = parseJson(text);
    if (isObject(value)) return value;
    const { cluster, server } = this.context;
    throw new VmopError(
      'unreachable',
      `cluster "${cluster}" (${server}) does not answer as an API server does`,
      {
        hint: 'is a proxy or a login page between? check the server address in your kubeconfig',
      },
    );
  }

  #object(resource: Resource<unknown>, value: unknown): KubeObject {
    return parseObject(value, { apiVersion: apiVersionOf(resource), kind: resource.kind });
  }

  #parse<T>(resource: Resource<T>, answer: Answer): T {
    return this.#typed(resource, this.#object(resource, this.#json(answer.text)));
  }

  #typed<T>(resource: Resource<T>, object: KubeObject): T {
    return resource.parse(object, this.#home);
  }

  async #send(request: TransportRequest, repeatable = request.method === 'GET'): Promise<Answer> {
    const signal = either(this.#ended, request.signal);
    return this.#attempt(() => this.#transport.send({ ...request, signal }), !repeatable, signal);
  }

  async #stream(request: TransportRequest): Promise<AsyncIterable<Buffer> & { destroy(): unknown }> {
    return (await this.#attempt(() => this.#transport.stream(request), false, request.signal)).body;
  }

  #attempt<A extends Answer>(
    attempt: () => Promise<A>,
    write: boolean,
    signal: AbortSignal | undefined,
  ): Promise<A> {
    const onAnswer = (answer: A): void => this.#noteClock(answer);
    return untilAnswered(this.#transport, { attempt, write, signal, onAnswer });
  }

  #noteClock({ headers, at }: TransportResponse): void {
    const date = asDate(headers.date);
    // The header's granularity is one second: the middle of it is the best guess.
    if (date) this.#clockOffset = date.getTime() + 500 - at;
  }
}

/** Aborts with whichever comes first. */
function either(first: AbortSignal, second: AbortSignal | undefined): AbortSignal {
  return second === undefined ? first : AbortSignal.any([first, second]);
}

function selectionQuery({ labelSelector, fieldSelector }: Selection): Query {
  return { labelSelector, fieldSelector };
}
