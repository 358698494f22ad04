import type { Duplex } from 'node:stream';

/** A JSON object as it came over the wire. */
export type JsonObject = { [key: string]: unknown };

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  /** When it was last written, by the API server's clock; absent where the server keeps no `managedFields`. */
  writtenAt?: string;
  /** When somebody last wrote `status.conditions`, by the API server's clock. */
  conditionsWrittenAt?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
}

/** Any Kubernetes object; everything but the metadata is unparsed. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

/** A kind of object and how its untrusted form becomes a typed one. `parse` never throws: a broken object is still a row. */
export interface Resource<T> {
  /** `''` for the core group. */
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
  /** `home` is the namespace in which commands look for a bare name; absent: `default`. */
  parse(object: KubeObject, home?: string): T;
}

/** Names one object; `namespace` is ignored for cluster-scoped resources. */
export interface ObjectRef {
  namespace: string;
  name: string;
}

export interface Selection {
  /** `undefined`: all namespaces. */
  namespace: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface Listing<T> {
  items: T[];
  /** Where a watch continues. */
  resourceVersion: string;
}

/** RFC 6902. */
export interface JsonPatchOperation {
  op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  path: string;
  from?: string;
  value?: unknown;
}

export type Patch =
  /** RFC 7396. A `metadata.resourceVersion` in the body makes the server answer 409 when the object has changed. */
  | { type: 'merge'; body: JsonObject }
  /** RFC 6902. A failed `test` is answered with 422. */
  | { type: 'json'; operations: JsonPatchOperation[] }
  /**
   * Server-side apply: the fields of `object` become the manager's, those that it no longer names are removed, and the
   * object is made when it is not there. `force` takes over the fields of other managers; without it they are a 409.
   */
  | { type: 'apply'; object: JsonObject; fieldManager: string; force: boolean };

export interface WriteOptions {
  /** Validated by the server, stored nowhere. */
  dryRun?: boolean | undefined;
  subresource?: 'status' | undefined;
  signal?: AbortSignal | undefined;
}

export interface DeleteOptions extends WriteOptions {
  /** 0: by force, now. */
  graceSeconds?: number | undefined;
  /** Only this one: 409 for another of its name. */
  uid?: string | undefined;
}

export type Change<T> =
  /** The whole selection, first and again after the server has forgotten where the watch stood (410). */
  { type: 'synced'; items: T[] } | { type: 'added' | 'modified' | 'deleted'; item: T };

export interface WatchOptions extends Selection {
  signal: AbortSignal;
  /**
   * This object alone, read with `get` before it is watched by a field selector for its name: RBAC's rules with
   * `resourceNames` allow that without `list`. In place of the selectors, together with `namespace`.
   */
  name?: string | undefined;
  /** Told of each interruption, before the watch resumes by itself. */
  onInterruption?: ((reason: string) => void) | undefined;
}

export interface AccessAttributes {
  group: string;
  resource: string;
  subresource?: string;
  verb: string;
  namespace?: string | undefined;
  name?: string | undefined;
}

export interface Verdict {
  allowed: boolean;
  reason: string;
}

/** What one rule of a namespace allows me; `*` among verbs, groups and resources is all. */
export interface AccessRule {
  verbs: string[];
  groups: string[];
  /** `vms`, `vms/status`. */
  resources: string[];
  /** Absent: objects of any name. */
  names?: string[];
}

/** All that I may do in a namespace, cluster-wide rules included. */
export interface AccessRules {
  rules: AccessRule[];
  /** The API server cannot name all rules (an authorizer that is asked case by case): others may hold as well. */
  incomplete: boolean;
  /** Why it is incomplete. */
  problem?: string;
}

export interface Identity {
  username: string;
  groups: string[];
  uid?: string;
  extra?: Record<string, string[]>;
}

export interface ContextInfo {
  /** Name of the kubeconfig's context. */
  name: string;
  cluster: string;
  server: string;
  /** The namespace used when none is named. */
  namespace: string;
}

export interface LogOptions {
  container?: string | undefined;
  tailLines?: number | undefined;
  /** Each line begins with its time, RFC 3339 with nanoseconds. */
  timestamps?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * The Kubernetes API, as far as vmop uses it. Every call rejects with an `ApiError` (the server answered) or with
 * a `VmopError` of code `unreachable` (nobody did). Calls have a timeout; reads are tried again on 429, 503 and
 * dropped connections, writes only where the server surely did not carry them out.
 */
export interface Cluster {
  readonly context: ContextInfo;
  get<T>(resource: Resource<T>, ref: ObjectRef): Promise<T>;
  /** All pages. */
  list<T>(resource: Resource<T>, selection: Selection): Promise<Listing<T>>;
  create<T>(resource: Resource<T>, namespace: string, object: JsonObject, options?: WriteOptions): Promise<T>;
  replace<T>(resource: Resource<T>, ref: ObjectRef, object: JsonObject, options?: WriteOptions): Promise<T>;
  patch<T>(resource: Resource<T>, ref: ObjectRef, patch: Patch, options?: WriteOptions): Promise<T>;
  delete(resource: Resource<unknown>, ref: ObjectRef, options?: DeleteOptions): Promise<void>;
  /** Lists, then follows; resumes by itself after whatever ends a stream until `signal` aborts, then returns. */
  watch<T>(resource: Resource<T>, options: WatchOptions): AsyncIterable<Change<T>>;
  /** SelfSubjectAccessReview. */
  canI(attributes: AccessAttributes): Promise<Verdict>;
  /** SelfSubjectRulesReview: what I may do in the namespace, admission policies aside. */
  rules(namespace: string): Promise<AccessRules>;
  /** SelfSubjectReview. */
  self(): Promise<Identity>;
  /** The API server's clock now, from the `Date` header of its answers (granularity 1 s). */
  now(): Promise<Date>;
  /** A pod's log as text. */
  log(ref: ObjectRef, options?: LogOptions): Promise<string>;
  /**
   * One two-way connection to a port of a pod, through the API server's port-forward. Rejects with `forbidden`
   * (pods/portforward), `notFound`, `state` (the pod does not run) or `unreachable`. What goes wrong later destroys the
   * stream: `console` where nothing listens on the port (a quick node makes it reject with that), `unreachable` where
   * the connection to the API server broke off. Aborting `signal` ends the attempt, with its reason, and the connection.
   */
  forward(pod: ObjectRef, port: number, options: { signal: AbortSignal }): Promise<Duplex>;
  /** Ends open connections; safe to call twice. */
  close(): void;
}
