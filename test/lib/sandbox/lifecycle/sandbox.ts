import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadKubeconfig, openCluster, type Cluster } from '../../../../src/lib/cluster/index.ts';
import {
  sandboxStatus,
  startSandbox,
  stopSandbox,
  type SandboxInfo,
  type StartedSandbox,
  type StartSandboxOptions,
  type StoppedSandbox,
} from '../../../../src/lib/sandbox/lifecycle.ts';
import { identifyProcess, waitForProcessEnd } from '../../../../src/lib/sandbox/process-identity.ts';
import { followVm } from '../../../../src/lib/vm/follow.ts';
import { VMS } from '../../../../src/lib/vm/parse.ts';
import type { Vm } from '../../../../src/lib/vm/types.ts';

const ENTRY = fileURLToPath(new URL('../../../fixtures/sandbox-daemon.ts', import.meta.url));
const TIMEOUT_MS = 60_000;

/** A sandbox of its own folder, with real processes; whatever the test leaves of it is ended afterwards. */
export class TestLifecycle {
  readonly env: Record<string, string | undefined>;
  readonly folder: string;
  readonly progress: string[] = [];

  private constructor(folder: string) {
    this.folder = folder;
    this.env = { ...process.env, VMOP_SANDBOX_DIR: folder };
  }

  static async create(t: TestContext): Promise<TestLifecycle> {
    const base = await mkdtemp(path.join(os.tmpdir(), 'vmop-life-'));
    const lifecycle = new TestLifecycle(path.join(base, 'sandbox'));
    t.after(async () => {
      await lifecycle.stop();
      await rm(base, { recursive: true, force: true });
    });
    return lifecycle;
  }

  start(change: Partial<StartSandboxOptions> = {}): Promise<StartedSandbox> {
    return startSandbox({
      env: this.env,
      entry: [ENTRY],
      driver: 'simulated',
      timeoutMs: TIMEOUT_MS,
      signal: new AbortController().signal,
      onProgress: (text) => this.progress.push(text),
      ...change,
    });
  }

  stop(purge = false): Promise<StoppedSandbox> {
    const { signal } = new AbortController();
    return stopSandbox({ env: this.env, purge, timeoutMs: TIMEOUT_MS, signal });
  }

  status(): Promise<SandboxInfo> {
    return sandboxStatus(this.env);
  }

  /** As the person who started it. */
  cluster(t: TestContext): Cluster {
    const file = path.join(this.folder, 'kubeconfig');
    const cluster = openCluster(loadKubeconfig({ env: {}, file }), { userAgent: 'test', timeoutMs: 10_000 });
    t.after(() => cluster.close());
    return cluster;
  }
}

/** Resolves to the VM as soon as it satisfies; rejects after 20 s. */
export async function waitForVm(cluster: Cluster, name: string, satisfies: (vm: Vm) => boolean): Promise<Vm> {
  return await followVm(
    cluster,
    { namespace: 'default', name },
    {
      resource: VMS,
      decide: (vm) => (satisfies(vm) ? { done: vm } : undefined),
      describe: (vm) => ({ state: JSON.stringify(vm?.status) }),
      timeoutMs: 20_000,
      signal: new AbortController().signal,
    },
  );
}

/** As kill -9 does; resolves when it has gone. */
export async function killProcess(pid: number): Promise<void> {
  const identity = await identifyProcess(pid);
  assert.ok(identity);
  process.kill(pid, 'SIGKILL');
  assert.ok(await waitForProcessEnd(identity, 10_000));
}
