import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { VmopError } from '../../errors.ts';
import type { Dial } from '../reach/dial.ts';
import type { SpiceChannel } from '../spice-link.ts';
import { within } from '../../within.ts';
import { beginDisplay, LateEnd } from './display-start.ts';
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
  /** `admitsMain` said no. */
  | { type: 'notAdmitted'; error: VmopError }
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
  /** Asked for each main channel before the server is: it would throw out whoever is there. Rejects with why not. */
  admitsMain?: (() => Promise<void>) | undefined;
  onEvent: (event: BridgeEvent) => void;
}

/** Connections that have not shown the ticket; a viewer opens some twenty at most. */
const MOST_LINKING = 64;

/** How long a bridge that closes lets displays begin. */
const BEGUN_MS = 5_000;

/** A session has one main channel: a second one, for a ticket that somebody has read, would end it and is refused. */
export async function startBridge({ dial, password, admitsMain, onEvent }: BridgeOptions): Promise<Bridge> {
  const key = await createBridgeKey();
  const closing = new AbortController();
  const { signal } = closing;
  const closed = new AbortController();
  /** What is open; each resolves when nothing is left of it, also towards the server. */
  const served = new Map<Duplex, Promise<void>>();
  let main: Duplex | undefined;
  /** Displays that the server knows of and has not answered yet: until then the session must not end. */
  const beginning = new Map<Duplex, Promise<void>>();
  const allBegun = async (): Promise<unknown> => await Promise.all(beginning.values());
  let linking = 0;

  const tell = (event: BridgeEvent): void => {
    if (!signal.aborted) onEvent(event);
  };

  const admit = async (viewer: Duplex, { type }: SpiceChannel, begun: Promise<void>): Promise<boolean> => {
    if (type === 'display') beginning.set(viewer, begun);
    if (type !== 'main') return true;
    // Of one that has gone the server is still to take notice.
    if (main?.destroyed === true) await served.get(main);
    if (main !== undefined) return false;
    main = viewer;
    try {
      await admitsMain?.();
      return true;
    } catch (error) {
      main = undefined;
      if (error instanceof VmopError) tell({ type: 'notAdmitted', error });
      return false;
    }
  };

  const linkViewer = async (viewer: Duplex, begun: Promise<void>): ReturnType<typeof linkChannel> => {
    linking += 1;
    try {
      const admits = (channel: SpiceChannel): Promise<boolean> => admit(viewer, channel, begun);
      return await linkChannel(viewer, { key, dial, password, admits, signal, lastSignal: closed.signal });
    } finally {
      linking -= 1;
    }
  };

  const serve = async (viewer: Duplex): Promise<void> => {
    const begun = Promise.withResolvers<void>();
    const hasBegun = (): void => {
      beginning.delete(viewer);
      begun.resolve();
    };
    try {
      const link = await linkViewer(viewer, begun.promise);
      const { channel } = link;
      if (link.kind === 'refused') {
        tell({ type: 'refused', channel, by: link.by, result: link.result });
        await lastWords(viewer, link.answer, signal);
        return;
      }
      tell({ type: 'linked', channel });
      viewer.write(link.answer);
      let { server } = link;
      if (channel.type === 'display') {
        await beginDisplay(viewer, server, { miniHeader: link.miniHeader, signal: closed.signal });
        hasBegun();
      } else if (channel.type === 'main') server = new LateEnd(server, allBegun);
      const by = await joinHalves(viewer, server);
      tell({ type: 'closed', channel, by });
      server.destroy();
      if (!server.closed) await once(server, 'close');
    } catch (error) {
      if (error instanceof VmopError) tell({ type: 'unreachable', error });
      // The rest is a viewer that went away or never was one.
    } finally {
      hasBegun();
      if (main === viewer) main = undefined;
      viewer.destroy();
      served.delete(viewer);
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
      served.set(viewer, serve(viewer));
    },
    async close() {
      closing.abort();
      for (const viewer of served.keys()) viewer.destroy();
      const late = setTimeout(() => closed.abort(), BEGUN_MS);
      await Promise.all(served.values());
      clearTimeout(late);
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
