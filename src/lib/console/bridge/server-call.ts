import type { Duplex } from 'node:stream';
import { messageOf, VmopError } from '../../errors.ts';
import { sanitize, truncate } from '../../text.ts';
import type { Dial } from '../reach/dial.ts';
import { HungUp, readExactly } from '../../read-exactly.ts';
import { AUTH_SPICE, NotSpice, parseLinkReply, readFrame, word, type LinkReply } from '../spice-link.ts';
import { TimeIsUp, within } from '../../within.ts';
import { encryptPassword } from './ticket.ts';

/** How long either side may take for each of its parts in a link. */
export const LINK_MS = 10_000;

/** A connection to the VM's SPICE server on which one channel was asked for. Whoever made it ends its stream. */
export interface ServerCall {
  stream: Duplex;
  /** The answer as it came, and what it says. */
  frame: Buffer;
  reply: LinkReply;
}

/** Connects and asks, with the viewer's own message. Errors: `VmopError`, the signal's reason. */
export async function callServer(message: Buffer, dial: Dial, signal: AbortSignal): Promise<ServerCall> {
  const stream = await worded(signal, () => dial(signal));
  stream.on('error', () => {});
  try {
    return await worded(signal, async () => {
      stream.write(message);
      const frame = await within(LINK_MS, signal, (limit) => readFrame(stream, limit));
      return { stream, frame, reply: parseLinkReply(frame) };
    });
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/**
 * Gives the server the password that it awaits after a reply without error, and returns its result; `selects`: it
 * wants to hear first that a password comes. Errors: `VmopError`, the signal's reason.
 */
export async function authenticate(
  { stream, reply }: ServerCall,
  password: string | undefined,
  selects: boolean,
  signal: AbortSignal,
): Promise<number> {
  return await worded(signal, async () => {
    // A display without a password reads one, too, and does not look at it.
    const ticket = encryptPassword(password ?? '', reply.key);
    stream.write(selects ? Buffer.concat([word(AUTH_SPICE), ticket]) : ticket);
    return (await within(LINK_MS, signal, (limit) => readExactly(stream, 4, limit))).readUInt32LE();
  });
}

async function worded<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof VmopError) throw error;
    throw new VmopError('console', `the VM's SPICE server gives no channel: ${reason(error)}`, {
      hint: 'the VM may be stopping',
      cause: error,
    });
  }
}

function reason(error: unknown): string {
  if (error instanceof NotSpice) return 'what answers is none';
  if (error instanceof HungUp) return 'it hangs up';
  if (error instanceof TimeIsUp) return 'it does not answer';
  return truncate(sanitize(messageOf(error)), 200);
}
