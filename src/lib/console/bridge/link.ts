import type { Duplex } from 'node:stream';
import { messageOf, VmopError } from '../../errors.ts';
import { sanitize } from '../../text.ts';
import type { Dial } from '../reach/dial.ts';
import { readExactly } from '../../read-exactly.ts';
import {
  AUTH_SPICE,
  LINK_OK,
  LINK_PERMISSION_DENIED,
  parseLinkMessage,
  readFrame,
  replyWithKey,
  TICKET_BYTES,
  word,
  type SpiceChannel,
} from '../spice-link.ts';
import { unlessAborted, within } from '../../within.ts';
import { authenticate, callServer, LINK_MS } from './server-call.ts';
import type { BridgeKey } from './ticket.ts';

/** A password that the server takes now; `refused`: the last one, which it did not take. undefined: it asks for none. */
export type AskPassword = (refused?: string) => Promise<string | undefined>;

export interface LinkOptions {
  key: BridgeKey;
  dial: Dial;
  password: AskPassword;
  /**
   * Asked once the ticket was shown: whether there is room for the channel beside those that are open, and nobody would
   * be thrown out who is not to be. What it rejects with ends the link.
   */
  admits: (channel: SpiceChannel) => Promise<boolean>;
  /** Ends the linking. */
  signal: AbortSignal;
  /** Ends also what the server of a display is not left alone with: from the password on. */
  lastSignal: AbortSignal;
}

/** How a link went; `answer`: what the viewer is still to be told. */
export type Link = { channel: SpiceChannel; answer: Buffer } & (
  | { kind: 'linked'; server: Duplex; miniHeader: boolean }
  | { kind: 'refused'; by: 'bridge' | 'server'; result: number }
);

/**
 * Links one channel: the viewer to the bridge by the ticket, the bridge to the server by the password. Everything but
 * key, ticket and SASL passes as it is, so both sides agree on the channel's form between themselves. The server is
 * called before the ticket is seen: what a channel can do stands in its reply, which comes first. Errors: `VmopError`
 * when no server is met or no password can be had; the signal's reason; for a viewer that speaks no SPICE, hangs up or
 * falls silent `NotSpice`, `HungUp`, `TimeIsUp`.
 */
export async function linkChannel(viewer: Duplex, options: LinkOptions): Promise<Link> {
  const { key, dial, signal } = options;
  const message = await within(LINK_MS, signal, (limit) => readFrame(viewer, limit));
  const { channel, selectsAuth, ...client } = parseLinkMessage(message);
  const untilResult = channel.type === 'display' ? options.lastSignal : signal;
  let server = await callServer(message, dial, signal);
  let linked = false;
  try {
    const { frame, reply } = server;
    if (reply.error !== LINK_OK) {
      return { kind: 'refused', channel, answer: frame, by: 'server', result: reply.error };
    }
    viewer.write(replyWithKey(frame, key.publicKey));
    const selects = selectsAuth && reply.selectsAuth;
    const shown = await within(LINK_MS, signal, (limit) => showsTicket(viewer, key, selects, limit));
    if (!shown || !(await unlessAborted(options.admits(channel), signal))) {
      const result = LINK_PERMISSION_DENIED;
      return { kind: 'refused', channel, answer: word(result), by: 'bridge', result };
    }
    const password = await askPassword(options);
    let result = await authenticate(server, password, selects, untilResult);
    if (result === LINK_PERMISSION_DENIED && password !== undefined) {
      // It has run out, or somebody changed it: a new one gets one more chance, on a connection of its own.
      const fresh = await askPassword(options, password);
      if (fresh !== password) {
        server.stream.destroy();
        server = await callServer(message, dial, signal);
        const { error } = server.reply;
        result = error === LINK_OK ? await authenticate(server, fresh, selects, untilResult) : error;
      }
    }
    const answer = word(result);
    if (result !== LINK_OK) return { kind: 'refused', channel, answer, by: 'server', result };
    linked = true;
    const miniHeader = client.miniHeader && server.reply.miniHeader;
    return { kind: 'linked', channel, answer, server: server.stream, miniHeader };
  } finally {
    if (!linked) server.stream.destroy();
  }
}

/** Whether the viewer has the ticket. */
async function showsTicket(
  viewer: Duplex,
  key: BridgeKey,
  selects: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  if (selects && (await readExactly(viewer, 4, signal)).readUInt32LE() !== AUTH_SPICE) return false;
  return key.opens(await readExactly(viewer, TICKET_BYTES, signal));
}

async function askPassword({ password, signal }: LinkOptions, refused?: string): Promise<string | undefined> {
  try {
    return await unlessAborted(password(refused), signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof VmopError) throw error;
    const message = `no display password can be had: ${sanitize(messageOf(error))}`;
    throw new VmopError('console', message, { cause: error });
  }
}
