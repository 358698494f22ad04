import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { sanitize, truncate } from '../../text.ts';
import { checkedHost, checkedPort, checkedProxy, hostInUrl, type Endpoint } from './address.ts';
import { askProxy, connectionOf, openSocket, tlsOver } from './dial-steps.ts';
import { reachError, reachTarget, type ReachStep } from './reach-error.ts';
import { unlessAborted, within } from '../../within.ts';

/**
 * Makes one new connection to a VM's SPICE port; every channel has its own. The signal ends the making of it; the
 * connection belongs to the caller. Errors: `VmopError` (mostly `ReachError`), the signal's reason.
 */
export type Dial = (signal: AbortSignal) => Promise<Duplex>;

/** A SPICE port that the API server carries connections to. */
export interface Tunnel {
  /** The port as the VM has it; its `proxy` is not used. */
  endpoint: Endpoint;
  forward: Dial;
}

/** One step on the way to a SPICE server, as it went. */
export interface PreflightStep {
  name: ReachStep;
  ok: boolean;
  ms: number;
  /** What was found, or what failed; fit to be shown. */
  detail: string;
}

export interface DialOptions {
  signal: AbortSignal;
  /** For any one step, where that is less than the step's own time. */
  timeoutMs?: number | undefined;
  onStep?: ((step: PreflightStep) => void) | undefined;
}

/** How long each step may take: a port where nobody answers is found soon, and a proxy may have a long way of its own. */
const LIMITS_MS: Record<ReachStep, number> = {
  dns: 3_000,
  tcp: 4_000,
  proxy: 10_000,
  'port-forward': 10_000,
  tls: 5_000,
  greeting: 4_000,
};

/** Over the network: DNS, TCP, the proxy's CONNECT, TLS. */
export function endpointDial(endpoint: Endpoint): Dial {
  return (signal) => dial(endpoint, { signal });
}

/** Through the API server, then TLS. */
export function tunnelDial(tunnel: Tunnel): Dial {
  return (signal) => dial(tunnel, { signal });
}

/** Every step of the way. Errors: as `Dial`; `usage` or `console` for values that `consoleEndpoint` refuses. */
export async function dial(way: Endpoint | Tunnel, options: DialOptions): Promise<Duplex> {
  const opened: Duplex[] = [];
  const hold = <T extends Duplex>(stream: T): T => {
    opened.push(stream);
    // Errors are met where something is awaited; those that come later show in the stream's end.
    stream.on('error', () => {});
    return stream;
  };
  try {
    const run = stepRunner(way, options);
    const endpoint = 'forward' in way ? way.endpoint : way;
    const plain = 'forward' in way ? await forwarded(way, run, hold) : await connected(way, run, hold);
    if (endpoint.tls === undefined) return plain;
    const secure = hold(tlsOver(plain, checkedHost(endpoint.host), endpoint.tls));
    secure.once('close', () => plain.destroy());
    await run(
      'tls',
      (signal) => once(secure, 'secureConnect', { signal }),
      () => secure.getProtocol() ?? '',
    );
    return secure;
  } catch (error) {
    for (const stream of opened) stream.destroy();
    throw error;
  }
}

type Hold = <T extends Duplex>(stream: T) => T;

async function forwarded({ forward }: Tunnel, run: StepRunner, hold: Hold): Promise<Duplex> {
  return await run('port-forward', async (signal) => hold(await forward(signal)));
}

async function connected(endpoint: Endpoint, run: StepRunner, hold: Hold): Promise<Duplex> {
  const proxy = endpoint.proxy && checkedProxy(endpoint.proxy);
  const server = { host: checkedHost(endpoint.host), port: checkedPort(endpoint.port) };
  const { host, port } = proxy ?? server;
  const addresses = isIP(host)
    ? undefined
    : await run(
        'dns',
        (signal) => unlessAborted(lookup(host, { all: true }), signal),
        (found) => found.map(({ address }) => address).join(', '),
      );
  const socket = hold(openSocket(host, port, addresses));
  await run(
    'tcp',
    (signal) => connectionOf(socket, signal),
    () => `${hostInUrl(socket.remoteAddress ?? '')}:${socket.remotePort}`,
  );
  if (proxy) {
    await run(
      'proxy',
      (signal) => askProxy(socket, server, proxy, signal),
      (status) => status,
    );
  }
  return socket;
}

export type StepRunner = <T>(
  name: ReachStep,
  run: (signal: AbortSignal) => Promise<T>,
  describe?: (result: T) => string,
) => Promise<T>;

/** Runs steps within their times, tells of them and words their failures. Errors: `VmopError`, the signal's reason. */
export function stepRunner(
  way: Endpoint | Tunnel,
  { signal, timeoutMs = Infinity, onStep }: DialOptions,
): StepRunner {
  const target = reachTarget('forward' in way ? way.endpoint : way);
  return async (name, run, describe) => {
    signal.throwIfAborted();
    const began = performance.now();
    const tell = (ok: boolean, detail: string): void =>
      onStep?.({
        name,
        ok,
        ms: Math.round(performance.now() - began),
        detail: truncate(sanitize(detail), 200),
      });
    try {
      const result = await within(Math.min(LIMITS_MS[name], timeoutMs), signal, run);
      // What arrives all the same is not wanted any more.
      signal.throwIfAborted();
      tell(true, describe?.(result) ?? '');
      return result;
    } catch (error) {
      signal.throwIfAborted();
      const failure = reachError(error, name, target);
      tell(false, failure.message);
      throw failure;
    }
  };
}
