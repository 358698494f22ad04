import type { Identity } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import type { PodLog, PolicyRule, RunningApi } from './api/index.ts';

/** The sandbox's own Kubernetes API, or the real one. */
export const API_NAMES = ['embedded', 'kube-apiserver'] as const;
export type ApiName = (typeof API_NAMES)[number];

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

/** Errors: `failed` when the real one is asked for and is not there. */
export async function chooseApi(name: ApiName, env: Record<string, string | undefined>): Promise<StartApi> {
  if (name === 'embedded') return startEmbeddedApi;
  const { findKubeBinaries } = await import('./kube-apiserver/binaries.ts');
  const binaries = await findKubeBinaries(env);
  if ('missing' in binaries) {
    throw new VmopError('failed', binaries.missing, {
      hint:
        'name a folder with kube-apiserver and etcd in KUBEBUILDER_ASSETS (setup-envtest fetches them), ' +
        'or build them in a checkout of vmop: npm run kube-binaries',
    });
  }
  const { startKubeApiserver } = await import('./kube-apiserver/index.ts');
  return (options) => startKubeApiserver({ ...options, binaries });
}

/** It ends with this process only. */
export const startEmbeddedApi: StartApi = async ({ directory, port, tokens, rules, podLog }) => {
  const { startApi } = await import('./api/index.ts');
  return await startApi({
    ...(directory === undefined ? {} : { directory }),
    ...(port === undefined ? {} : { port }),
    ...(podLog === undefined ? {} : { podLog }),
    tokens,
    rules,
  });
};
