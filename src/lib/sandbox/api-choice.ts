import { VmopError } from '../errors.ts';
import type { StartApi } from './start-api.ts';

/** The sandbox's own Kubernetes API, or the real one. */
export const API_NAMES = ['embedded', 'kube-apiserver'] as const;
export type ApiName = (typeof API_NAMES)[number];

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
