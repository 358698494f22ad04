import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { startFaultProxy, type FaultProxy } from '../helpers/fault-proxy.ts';

/** A sandbox's API behind a proxy that does as it is told, and the administrator's way there, below `folder`. */
export async function startFaultyApi(
  t: TestContext,
  { kubeconfig: own, url }: { kubeconfig: string; url: string },
  folder: string,
): Promise<{ proxy: FaultProxy; kubeconfig: string }> {
  const config = await readFile(own, 'utf8');
  const [, encoded = ''] = /certificate-authority-data"?: *"?([A-Za-z0-9+/=]+)/.exec(config) ?? [];
  const proxy = await startFaultProxy({ url, caPem: Buffer.from(encoded, 'base64').toString() });
  t.after(() => proxy.close());
  const changed = config
    .replace(url, proxy.url)
    .replace(encoded, Buffer.from(proxy.caPem).toString('base64'));
  const kubeconfig = path.join(await mkdtemp(path.join(folder, 'api-')), 'kubeconfig');
  await writeFile(kubeconfig, changed, { mode: 0o600 });
  return { proxy, kubeconfig };
}
