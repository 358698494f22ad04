import type { Duplex } from 'node:stream';
import { VmopError } from '../../errors.ts';
import type { Endpoint } from './address.ts';
import { dial, stepRunner, type DialOptions, type PreflightStep, type Tunnel } from './dial.ts';
import { LinkRefusal, ReachError, type ReachProblem } from './reach-error.ts';
import { LINK_OK, linkMessage, parseLinkReply, readFrame } from '../spice-link.ts';

export type { PreflightStep } from './dial.ts';

/** `steps`: those that were gone, in their order; the last is the one that failed. */
export type Preflight =
  | { reachable: true; steps: PreflightStep[] }
  | {
      reachable: false;
      steps: PreflightStep[];
      /** undefined: the API server's refusal of a port-forward, which says itself what it is. */
      problem: ReachProblem | undefined;
      error: VmopError;
    };

/**
 * Calls the SPICE server as a viewer would, up to the point where the password is due, and hangs up. That disturbs
 * nobody who is connected. Rejects only with the signal's reason and for values that `consoleEndpoint` refuses.
 */
export async function preflight(way: Endpoint | Tunnel, options: DialOptions): Promise<Preflight> {
  const steps: PreflightStep[] = [];
  const onStep = (step: PreflightStep): void => {
    steps.push(step);
    options.onStep?.(step);
  };
  const run = stepRunner(way, { ...options, onStep });
  let server: Duplex | undefined;
  try {
    const stream = await dial(way, { ...options, onStep });
    server = stream;
    await run(
      'greeting',
      (signal) => greeting(stream, signal),
      () => 'SPICE',
    );
    return { reachable: true, steps };
  } catch (error) {
    // What failed in a step is told; the rest is an interruption, or a value that no step came to.
    if (options.signal.aborted || steps.at(-1)?.ok !== false || !(error instanceof VmopError)) throw error;
    const problem = error instanceof ReachError ? error.problem : undefined;
    return { reachable: false, steps, problem, error };
  } finally {
    server?.destroy();
  }
}

async function greeting(server: Duplex, signal: AbortSignal): Promise<void> {
  server.write(linkMessage());
  const { error } = parseLinkReply(await readFrame(server, signal));
  if (error !== LINK_OK) throw new LinkRefusal(error);
}
