import { chooseApi, type ApiName } from '../../src/lib/sandbox/api-choice.ts';
import type { StartApi } from '../../src/lib/sandbox/start-api.ts';
import { findKubeBinaries, kubeEnvironment, noKubelet } from './kube-apiserver.ts';

/** One of the API servers that the sandbox runs on, to run the same tests on each. */
export interface SandboxApi {
  name: ApiName;
  /** Why it cannot be had on this machine. */
  skip: string | undefined;
  /** Why no logs can be read and no ports forwarded there. */
  noKubelet: string | undefined;
  /** What a `vmop` needs in its environment to find it. */
  env: Record<string, string>;
  startApi: StartApi;
}

/** The embedded one, and kube-apiserver. */
export async function sandboxApis(): Promise<SandboxApi[]> {
  const binaries = await findKubeBinaries();
  const missing = 'reason' in binaries ? binaries.reason : undefined;
  const api = (name: ApiName, skip: string | undefined, env: Record<string, string>): SandboxApi => ({
    name,
    skip,
    noKubelet: name === 'embedded' ? undefined : noKubelet(binaries),
    env,
    startApi: async (options) => (await chooseApi(name, { ...process.env, ...env }))(options),
  });
  return [api('embedded', undefined, {}), api('kube-apiserver', missing, kubeEnvironment(binaries))];
}
