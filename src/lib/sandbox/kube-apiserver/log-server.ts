import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import type { PodLog } from '../api/index.ts';
import { sendLog } from '../api/logs.ts';
import { ApiFailure } from '../api/status.ts';

export interface LogServer {
  /** The unix socket that it listens on; nobody else can reach it. */
  socket: string;
  close(): Promise<void>;
}

/** Some systems allow no longer path for a socket. */
const LONGEST_SOCKET = 100;

/** Answers what a kubelet is asked for logs: `/containerLogs/NAMESPACE/POD/CONTAINER?query`. */
export async function startLogServer(directory: string, podLog: PodLog | undefined): Promise<LogServer> {
  const own = path.join(directory, 'logs.sock');
  const short = Buffer.byteLength(own) <= LONGEST_SOCKET;
  const folder = short ? directory : await mkdtemp(path.join(os.tmpdir(), 'vmop-'));
  const socket = path.join(folder, 'logs.sock');
  await rm(socket, { force: true });
  const server = createServer((request, response) => {
    answer(podLog, request.url ?? '/', response).catch((error: unknown) => refuse(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  return {
    socket,
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      if (!short) await rm(folder, { recursive: true, force: true });
    },
  };
}

async function answer(podLog: PodLog | undefined, url: string, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(url, 'http://sandbox');
  const [, , namespace = '', pod = '', container = ''] = pathname.split('/').map(decodeURIComponent);
  searchParams.set('container', container);
  await sendLog(podLog, { namespace, name: pod }, searchParams, response);
}

function refuse(response: ServerResponse, error: unknown): void {
  const code = error instanceof ApiFailure ? error.code : 500;
  const message = error instanceof Error ? error.message : String(error);
  response.writeHead(code, { 'Content-Type': 'text/plain' }).end(message);
}
