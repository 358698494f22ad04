import { mkdir } from 'node:fs/promises';
import type { Server } from 'node:https';
import { messageOf, VmopError } from '../../errors.ts';
import type { Identity } from '../../cluster/types.ts';
import { authenticator } from './authenticate.ts';
import type { PolicyRule } from './authorize.ts';
import { loadCertificate, type ServerCertificate } from './certificate.ts';
import { timestamp, type ApiContext, type PodLog } from './context.ts';
import { startExpiry } from './expiry.ts';
import { openJournal, type Journal } from './journal.ts';
import { NAMESPACES } from './kinds.ts';
import { newObject } from './objects.ts';
import { createApiServer } from './server.ts';
import { Store } from './store.ts';

export type { PolicyRule } from './authorize.ts';
export type { PodLog, PodLogQuery } from './context.ts';

export interface ApiOptions {
  /** Objects, certificate and key survive here (folder 0700, files 0600); undefined: nothing survives. */
  directory?: string;
  /** 0 or undefined: any free one. */
  port?: number;
  host?: '127.0.0.1';
  /** Bearer token → user. */
  tokens: Record<string, Identity>;
  /**
   * Who may do what, beside what always holds: the group `system:masters` everything, every user discovery and reviews
   * of their own access.
   */
  rules?: PolicyRule[];
  now?: () => Date;
  /** Changes kept per kind; watches and pages from before them are answered with 410. 2,000. */
  watchHistory?: number;
  /** 60,000. */
  bookmarkIntervalMs?: number;
  /** Larger bodies are answered with 413. 3 MiB, as kube-apiserver. */
  maxBodyBytes?: number;
  podLog?: PodLog;
}

export interface RunningApi {
  url: string;
  port: number;
  /** The certificate of its certificate authority. */
  caPem: string;
  /** Ends watches and connections; resolves when the port is free and the state is on disk. */
  close(): Promise<void>;
}

/** Starts the sandbox's Kubernetes API on loopback. Rejects when the port is taken or the directory is unusable. */
export async function startApi(options: ApiOptions): Promise<RunningApi> {
  const { directory, host = '127.0.0.1', rules = [], now = () => new Date() } = options;
  const { certificate, journal } = await openDirectory(directory).catch((cause: unknown) => {
    const message = `the sandbox's API cannot keep its state in ${directory}: ${messageOf(cause)}`;
    throw new VmopError('failed', message, { cause });
  });
  const store = new Store({
    history: options.watchHistory ?? 2000,
    append: journal && ((record) => journal.append(record)),
    ...journal?.state,
  });
  const context: ApiContext = {
    store,
    rules,
    now,
    podLog: options.podLog,
    bookmarkIntervalMs: options.bookmarkIntervalMs ?? 60_000,
  };
  addDefaultNamespace(context);
  const { server, endConnections } = createApiServer(context, {
    certificate,
    authenticate: authenticator(options.tokens, rules),
    maxBodyBytes: options.maxBodyBytes ?? 3 * 1024 * 1024,
  });
  const port = await listen(server, host, options.port ?? 0).catch((error: unknown) => {
    journal?.close();
    throw error;
  });
  const stopExpiry = startExpiry(context);
  return {
    url: `https://${host}:${port}`,
    port,
    caPem: certificate.certPem,
    async close() {
      stopExpiry();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        endConnections();
      });
      journal?.close();
    },
  };
}

async function openDirectory(
  directory: string | undefined,
): Promise<{ certificate: ServerCertificate; journal: Journal | undefined }> {
  if (directory !== undefined) await mkdir(directory, { recursive: true, mode: 0o700 });
  const certificate = await loadCertificate(directory);
  return { certificate, journal: directory === undefined ? undefined : openJournal(directory) };
}

function addDefaultNamespace({ store, now }: ApiContext): void {
  if (store.get(NAMESPACES.collection, '', 'default')) return;
  const body = { metadata: { name: 'default' } };
  const creation = { namespace: undefined, now: timestamp(now()), uid: crypto.randomUUID(), suffix: '' };
  store.put(NAMESPACES.collection, newObject(NAMESPACES, body, creation));
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new VmopError('failed', `the sandbox's API cannot listen on ${host}:${port}: ${cause.message}`, {
          cause,
        }),
      );
    });
    server.listen(port, host, () => {
      const address = server.address();
      if (typeof address === 'object' && address !== null) resolve(address.port);
      else reject(new VmopError('failed', "the sandbox's API has no port"));
    });
  });
}
