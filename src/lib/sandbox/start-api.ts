import type { Identity } from '../cluster/types.ts';
import type { VmopError } from '../errors.ts';
import type { PodLog, PolicyRule, RunningApi } from './api/index.ts';

/** What the sandbox asks of an API server, whichever it is. */
export interface ApiOptions {
  /** Objects and certificates survive here (0700); undefined: nothing survives. */
  directory: string | undefined;
  /** undefined: any free one. */
  port: number | undefined;
  /** Bearer token → user; at least one of them in `system:masters`. */
  tokens: Record<string, Identity>;
  /**
   * Who may do what, beside what always holds: the group `system:masters` everything, every user discovery and reviews
   * of their own access.
   */
  rules: PolicyRule[];
  podLog: PodLog | undefined;
  /** Told when it has ended by itself: nothing answers any more then. */
  onFailure: (error: VmopError) => void;
}

/** Rejects when the port is taken (the cause has the code EADDRINUSE) or the directory is unusable. */
export type StartApi = (options: ApiOptions) => Promise<RunningApi>;
