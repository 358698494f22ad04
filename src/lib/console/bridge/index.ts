import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { VmopError } from '../../errors.ts';
import type { Dial } from '../reach/dial.ts';
import type { SpiceChannel } from '../spice-link.ts';
import { within } from '../../within.ts';
import { joinHalves } from './join.ts';
import { linkChannel, type AskPassword } from './link.ts';
import { LINK_MS } from './server-call.ts';
import { createBridgeKey } from './ticket.ts';

export type { SpiceChannel, SpiceChannelType } from '../spice-link.ts';
export type { AskPassword } from './link.ts';

export type BridgeEvent =
  /** The server accepted the password for this channel. */
  | { type: 'linked'; channel: SpiceChannel }
  /** `result`: of the protocol; 7: wrong or expired password, or at the bridge a wrong ticket. */
  | { type: 'refused'; channel: SpiceChannel; by: 'bridge' | 'server'; result: number }
  /** No SPICE server was met for a channel, or no password could be had. */
  | { type: 'unreachable'; error: VmopError }
  /** A channel that was linked is over. */
  | { type: 'closed'; channel: SpiceChannel; by: 'viewer' | 'server' };

/** Ends a viewer's SPICE links on this machine and makes them anew towards the VM, so that the viewer needs no password. */
export interface Bridge {
  /** What the viewer gives as password; worthless elsewhere, and after `close`. */
  readonly ticket: string;
  /** Takes over a viewer's (or web page's) connection for one channel. */
  accept(client: Duplex): void;
  /** Ends all channels; nothing is left when it resolves, and no event comes any more. */
  close(): Promise<void>;
}

export interface BridgeOptions {
  /** Called for each channel. */
  dial: Dial;
  /**
   * Called for each channel whose viewer showed the ticket, several at once; and once more with the password that the
   * server refused, which is then not to be given again. The caller decides when to make a new one.
   */
  password: AskPassword;
  /**
   * A session has one main channel, and a second one would end it. `kept`: the second is refused, so that a ticket that
   * somebody has read takes nothing; `replaced`: it is the same page, opened anew, and the server itself ends the one
   * before.
   */
  main: 'kept' | 'replaced';
  onEvent: (event: BridgeEvent) => void;
}

/** Connections that have not shown the ticket; a viewer opens some twenty at most. */
const MOST_LINKING = 64;

export async function startBridge({ dial, password, main, onEvent }: BridgeOptions): Promise<Bridge> {
  const key = await createBridgeKey();
  const closing = new AbortController();
  const { signal } = closing;
  const viewers = new Set<Duplex>();
  const running = new Set<Promise<void>>();
  const mains = new Set<Duplex>();
  let linking = 0;

  const admit = (viewer: Duplex, { type }: SpiceChannel): boolean => {
    if (type !== 'main') return true;
    if (main === 'kept' && mains.size > 0) return false;
    mains.add(viewer);
    return true;
  };

  const linkViewer = async (viewer: Duplex): ReturnType<typeof linkChannel> => {
    linking += 1;
    try {
      const admits = (channel: SpiceChannel): boolean => admit(viewer, channel);
      return await linkChannel(viewer, { key, dial, password, admits, signal });
    } finally {
      linking -= 1;
    }
  };

  const serve = async (viewer: Duplex): Promise<void> => {
    try {
      const link = await linkViewer(viewer);
      const { channel } = link;
      if (link.kind === 'refused') {
        onEvent({ type: 'refused', channel, by: link.by, result: link.result });
        await lastWords(viewer, link.answer, signal);
        return;
      }
      onEvent({ type: 'linked', channel });
      viewer.write(link.answer);
      const by = await joinHalves(viewer, link.server);
      if (!signal.aborted) onEvent({ type: 'closed', channel, by });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof VmopError) onEvent({ type: 'unreachable', error });
      // The rest is a viewer that went away or never was one.
    } finally {
      viewers.delete(viewer);
      mains.delete(viewer);
      viewer.destroy();
    }
  };

  return {
    ticket: key.ticket,
    accept(viewer) {
      // Errors show in the stream's end.
      viewer.on('error', () => {});
      if (signal.aborted || linking >= MOST_LINKING) {
        viewer.destroy();
        return;
      }
      viewers.add(viewer);
      const served = serve(viewer).finally(() => running.delete(served));
      running.add(served);
    },
    async close() {
      closing.abort();
      for (const viewer of viewers) viewer.destroy();
      await Promise.all(running);
    },
  };
}

/** The viewer hears why, as far as it listens. */
async function lastWords(viewer: Duplex, answer: Buffer, signal: AbortSignal): Promise<void> {
  viewer.end(answer);
  await within(LINK_MS, signal, (limit) =>
    finished(viewer, { readable: false, signal: limit, cleanup: true }),
  ).catch(() => {});
}
