import type { Readable } from 'node:stream';
import type { PolicyRule } from './authorize.ts';
import type { Kind } from './kinds.ts';
import type { ResourceTarget, Target } from './request.ts';
import type { Subject } from './status.ts';
import type { Store } from './store.ts';

/** Which lines of a pod's log a request wants. */
export interface PodLogQuery {
  container?: string;
  tailLines?: number;
  sinceSeconds?: number;
  /** Each line begins with its time. */
  timestamps?: boolean;
  /** What is written from now on as well. */
  follow?: boolean;
}

/** The log's text, a stream of it for whoever follows; undefined: there is none (404). */
export type PodLog = (
  namespace: string,
  name: string,
  query: PodLogQuery,
) => Promise<string | Readable | undefined>;

/** What all requests share. */
export interface ApiContext {
  store: Store;
  rules: readonly PolicyRule[];
  now: () => Date;
  podLog: PodLog | undefined;
  bookmarkIntervalMs: number;
}

/** A request for objects of a kind that exists. */
export interface KindRequest {
  kind: Kind;
  target: Target;
  resource: ResourceTarget;
  accept: string | undefined;
  /** `''`: the client does not say. */
  userAgent: string;
}

/** A whole answer; streams write theirs themselves. */
export interface Answer {
  status: number;
  text: string;
  contentType?: string;
}

export function subjectOf(kind: Kind, name: string): Subject {
  return { group: kind.group, resource: kind.plural, name };
}

/** RFC 3339 to the second, as Kubernetes writes times. */
export function timestamp(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
