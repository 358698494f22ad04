import assert from 'node:assert/strict';
import { Agent, createServer, request as httpsRequest } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { loadCertificate } from '../../src/lib/sandbox/api/certificate.ts';

/** What goes wrong, and with which requests. */
export interface Fault {
  method?: string;
  /** Of the path with its query. */
  path?: RegExp;
  /** How many requests it meets; 1. */
  times?: number;
  /** Answered instead of the API. */
  status?: 409 | 410 | 429 | 503;
  /** With 429 and 503; 1. */
  retryAfterSeconds?: number;
  /** The connection is torn off, before the API sees the request. */
  reset?: true;
  /** As `reset`, but after the API has answered: the request was carried out. */
  resetAfter?: true;
  /** Never answered. */
  hang?: true;
  /** The answer is torn off after this many lines: of a watch, as many events. */
  dropWatchAfterEvents?: number;
}

export interface ProxiedRequest {
  method: string;
  /** With its query. */
  path: string;
}

export interface FaultProxy {
  url: string;
  /** The proxy's own certificate authority. */
  caPem: string;
  /** All requests so far. */
  requests: ProxiedRequest[];
  /** The next requests that fit meet this fault; of several faults that fit the first one is met. */
  fail(fault: Fault): void;
  /** Tears off all connections, as a restart of the API server does. */
  disconnect(): void;
  /** Nobody listens any more, until the result is called. */
  goAway(): Promise<() => Promise<void>>;
  /** Fails when a fault was met less often than it was meant to. */
  assertUsed(): void;
  close(): Promise<void>;
}

const REASONS = {
  409: 'Conflict',
  410: 'Expired',
  429: 'TooManyRequests',
  503: 'ServiceUnavailable',
} as const;

/** Puts a proxy on loopback in front of an API, which does as it is told for the requests that it is told of. */
export async function startFaultProxy(target: { url: string; caPem: string }): Promise<FaultProxy> {
  const { keyPem: key, certPem: cert } = await loadCertificate(undefined);
  const agent = new Agent({ ca: target.caPem, keepAlive: true });
  const faults: { fault: Fault; left: number }[] = [];
  const requests: ProxiedRequest[] = [];

  const server = createServer({ key, cert }, (incoming, outgoing) => {
    const { method = 'GET', url: path = '/' } = incoming;
    requests.push({ method, path });
    const met = faults.find(({ fault, left }) => left > 0 && fits(fault, method, path));
    if (met) met.left -= 1;
    const fault = met?.fault ?? {};
    if (fault.reset) incoming.socket.destroy();
    else if (fault.status) refuse(outgoing, fault.status, fault.retryAfterSeconds ?? 1);
    else if (!fault.hang) forward(target.url, agent, incoming, outgoing, fault);
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await listen(0);
  const address = server.address();
  assert(typeof address === 'object' && address !== null);

  return {
    url: `https://127.0.0.1:${address.port}`,
    caPem: cert,
    requests,
    fail: (fault) => faults.push({ fault, left: fault.times ?? 1 }),
    disconnect: () => server.closeAllConnections(),
    async goAway() {
      await stop();
      return () => listen(address.port);
    },
    assertUsed() {
      const unused = faults.filter(({ left }) => left > 0);
      const list = unused.map(
        ({ fault, left }) => `${JSON.stringify({ ...fault, path: String(fault.path) })}: ${left} left`,
      );
      assert.equal(list.length, 0, `faults that nothing met: ${list.join('; ')}`);
    },
    async close() {
      await stop();
      agent.destroy();
    },
  };
}

function fits({ method, path }: Fault, requested: string, requestedPath: string): boolean {
  return (method === undefined || method === requested) && (path === undefined || path.test(requestedPath));
}

function refuse(outgoing: ServerResponse, code: keyof typeof REASONS, retryAfterSeconds: number): void {
  const message = `a fault that the test asked for (${code})`;
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    message,
    reason: REASONS[code],
    code,
  };
  if (code === 429 || code === 503) outgoing.setHeader('Retry-After', retryAfterSeconds);
  outgoing.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(status));
}

function forward(
  url: string,
  agent: Agent,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { resetAfter, dropWatchAfterEvents }: Fault,
): void {
  const { method, headers } = incoming;
  const sent = httpsRequest(new URL(incoming.url ?? '/', url), { method, agent, headers });
  const tearOff = (): void => {
    sent.destroy();
    incoming.socket.destroy();
  };
  sent.on('error', tearOff);
  outgoing.on('close', () => sent.destroy());
  sent.on('response', (answer) => {
    answer.on('error', tearOff);
    if (resetAfter) {
      answer.on('end', tearOff).resume();
      return;
    }
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    outgoing.flushHeaders();
    if (dropWatchAfterEvents === undefined) answer.pipe(outgoing);
    else passLines(answer, outgoing, dropWatchAfterEvents, tearOff);
  });
  incoming.pipe(sent);
}

/** Passes so many lines on, and calls `tearOff` when they have been sent. */
function passLines(
  answer: IncomingMessage,
  outgoing: ServerResponse,
  count: number,
  tearOff: () => void,
): void {
  let left = count;
  let rest = '';
  if (left === 0) tearOff();
  answer.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.slice(0, left)) {
      left -= 1;
      outgoing.write(`${line}\n`, left === 0 ? tearOff : undefined);
    }
  });
  answer.on('end', () => outgoing.end(rest));
}
