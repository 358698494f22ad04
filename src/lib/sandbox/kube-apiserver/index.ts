import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Identity } from '../../cluster/types.ts';
import { messageOf, VmopError } from '../../errors.ts';
import { startKillGuard } from '../../kill-guard.ts';
import type { ApiOptions } from '../start-api.ts';
import type { RunningApi } from '../api/index.ts';
import { writePrivate } from '../private-file.ts';
import { Admin } from './admin.ts';
import { apiserverArguments, etcdArguments, kubeletArguments, TOKEN_FILE } from './arguments.ts';
import type { KubeBinaries } from './binaries.ts';
import { fillCluster } from './bootstrap.ts';
import { loadCertificates } from './certificates.ts';
import { startLogServer, type LogServer } from './log-server.ts';
import { reapServers } from './processes.ts';
import { ServerGroup } from './server-group.ts';
import { tokenFile } from './token-file.ts';

export interface KubeApiserverOptions extends ApiOptions {
  binaries: KubeBinaries;
  /** More arguments of kube-apiserver. */
  args?: readonly string[];
}

/** With all of the machine's processors busy with something else. */
const START_TIMEOUT_MS = 120_000;
/** How often another port is tried when somebody took the free one that was found. */
const PORT_ATTEMPTS = 3;

/**
 * Starts etcd, kube-apiserver and, where there is one, a kubelet, with VM-Operator's kinds; ends what an earlier start
 * in the same folder has left. Rejects with `failed` or `timeout` and leaves nothing running; when the port is taken,
 * the cause has the code EADDRINUSE.
 */
export async function startKubeApiserver(options: KubeApiserverOptions): Promise<RunningApi> {
  const kept = options.directory;
  const directory = kept ?? (await mkdtemp(path.join(os.tmpdir(), 'vmop-kube-')));
  const forget = async (): Promise<void> => {
    if (kept === undefined) await rm(directory, { recursive: true, force: true });
  };
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await reapServers(directory);
    const running = await startOnPort(directory, options);
    const close = async (): Promise<void> => {
      await running.close();
      await forget();
    };
    return { ...running, close };
  } catch (error) {
    await forget();
    throw error;
  }
}

async function startOnPort(directory: string, options: KubeApiserverOptions): Promise<RunningApi> {
  if (options.port !== undefined) return await start(directory, options, await freePort(options.port));
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(directory, options, await freePort(0));
    } catch (error) {
      if (attempt === PORT_ATTEMPTS || !messageOf(error).includes('address already in use')) throw error;
    }
  }
}

/** The port, or any for 0; rejects when somebody listens on it. */
async function freePort(wanted: number): Promise<number> {
  const server = createServer();
  return await new Promise<number>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `kube-apiserver cannot listen on 127.0.0.1:${wanted}: ${cause.message}`;
      reject(new VmopError('failed', message, { cause }));
    });
    server.listen(wanted, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : wanted;
      server.close(() => resolve(port));
    });
  });
}

async function start(directory: string, options: KubeApiserverOptions, port: number): Promise<RunningApi> {
  const { binaries, tokens, rules, podLog, onFailure } = options;
  const caPem = await loadCertificates(directory);
  await writePrivate(path.join(directory, TOKEN_FILE), tokenFile(tokens));
  const url = `https://127.0.0.1:${port}`;
  const durable = options.directory !== undefined;
  const guard = startKillGuard();
  if (!durable) guard.watchFolder(directory);
  const servers = new ServerGroup(directory, guard, onFailure);
  const admin = new Admin({ url, caPem, token: masterOf(tokens) });
  let logs: LogServer | undefined;
  const close = async (): Promise<void> => {
    await servers.close();
    guard.dismiss();
    await logs?.close();
  };
  try {
    await servers.begin({ name: 'etcd', program: binaries.etcd, args: etcdArguments({ durable }) });
    const args = [...apiserverArguments({ port }), ...(options.args ?? [])];
    await servers.begin({ name: 'kube-apiserver', program: binaries.kubeApiserver, args });
    let kubeletPort: Promise<string> | undefined;
    if (binaries.kubelet !== undefined) {
      logs = await startLogServer(directory, podLog);
      const args = kubeletArguments(logs.socket);
      kubeletPort = (await servers.begin({ name: 'kubelet', program: binaries.kubelet, args })).firstLine;
    }
    await servers.ready(async (signal) => {
      await admin.waitFor('/readyz', signal);
      await fillCluster(admin, { rules, kubeletPort: kubeletPort && Number(await kubeletPort) }, signal);
    }, START_TIMEOUT_MS);
    return { url, port, caPem, close };
  } catch (error) {
    await close();
    throw error;
  } finally {
    admin.close();
  }
}

function masterOf(tokens: Record<string, Identity>): string {
  const [token] = Object.entries(tokens).find(([, { groups }]) => groups.includes('system:masters')) ?? [];
  if (token === undefined) throw new VmopError('failed', 'kube-apiserver needs a token of system:masters');
  return token;
}
