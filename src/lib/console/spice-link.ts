/** The first two messages of a SPICE connection, as far as a server can be told by them. No password is involved. */

const MAGIC = Buffer.from('REDQ');
const HEADER_BYTES = 16;
const MAIN_CHANNEL = 1;
/** AUTH_SELECTION, AUTH_SPICE and MINI_HEADER: what every client of today can do. */
const COMMON_CAPABILITIES = 0b1011;
/** Fixed part of a link message; the capabilities follow it. */
const MESSAGE_BYTES = 18;
/** A reply is 178 bytes and some capabilities; more is not one. */
const LONGEST_REPLY = 4096;

/** Asks for a new session's main channel. */
export function linkMessage(): Buffer {
  const message = Buffer.alloc(HEADER_BYTES + MESSAGE_BYTES + 4);
  MAGIC.copy(message);
  // Version 2.2 of the protocol.
  message.writeUInt32LE(2, 4);
  message.writeUInt32LE(2, 8);
  message.writeUInt32LE(message.length - HEADER_BYTES, 12);
  // Connection id 0: a new session; channel id 0.
  message.writeUInt8(MAIN_CHANNEL, HEADER_BYTES + 4);
  message.writeUInt32LE(1, HEADER_BYTES + 6);
  message.writeUInt32LE(MESSAGE_BYTES, HEADER_BYTES + 14);
  message.writeUInt32LE(COMMON_CAPABILITIES, HEADER_BYTES + MESSAGE_BYTES);
  return message;
}

/** The server's answer: 0 (ready for the password), 5 (TLS only) or another refusal. */
export interface LinkReply {
  error: number;
}

export const LINK_ERROR_NEEDS_TLS = 5;

/** What the bytes that have come so far are: a reply, none at all, or (undefined) not yet enough to tell. */
export function parseLinkReply(bytes: Buffer): LinkReply | 'notSpice' | undefined {
  const start = bytes.subarray(0, MAGIC.length);
  if (!start.equals(MAGIC.subarray(0, start.length))) return 'notSpice';
  if (bytes.length < HEADER_BYTES + 4) return undefined;
  const size = bytes.readUInt32LE(12);
  if (bytes.readUInt32LE(4) !== 2 || size < 4 || size > LONGEST_REPLY) return 'notSpice';
  return { error: bytes.readUInt32LE(HEADER_BYTES) };
}
