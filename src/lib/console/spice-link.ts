/**
 * The link of a SPICE channel: message, reply, ticket, result. Every channel of a session begins so, on a connection
 * of its own. Only what differs from one link to the next is parsed; bytes are handed on as they came.
 */
import type { Duplex } from 'node:stream';
import { readExactly } from '../read-exactly.ts';

const MAGIC = Buffer.from('REDQ');
const HEADER_BYTES = 16;
const MAIN_CHANNEL = 1;
/** Fixed part of a link message; the capabilities follow it. */
const MESSAGE_BYTES = 18;
/** Error, key, and where the capabilities are. */
const REPLY_BYTES = 178;
/** Both are some 200 bytes. */
const LONGEST_BODY = 4096;
const KEY_AT = HEADER_BYTES + 4;

/** The server's RSA-1024 key as SPKI: the protocol leaves exactly this much room. */
export const KEY_BYTES = 162;
/** What the key makes of a password. */
export const TICKET_BYTES = 128;

/** The authentication by password, where a client selects one. */
export const AUTH_SPICE = 1;

const AUTH_SELECTION = 0b0001;
const AUTH_SASL = 0b0100;
const MINI_HEADER = 0b1000;
/** AUTH_SELECTION, AUTH_SPICE and MINI_HEADER: what every client of today can do. */
const COMMON_CAPABILITIES = 0b1011;

/** Both a link's error and its result are of these. */
export const LINK_OK = 0;
export const LINK_NEEDS_TLS = 5;
export const LINK_PERMISSION_DENIED = 7;

/** By their number in the protocol, which begins at 1; the seventh is none. */
const CHANNEL_TYPES = [
  'main',
  'display',
  'inputs',
  'cursor',
  'playback',
  'record',
  undefined,
  'smartcard',
  'usbredir',
  'port',
  'webdav',
] as const;

export type SpiceChannelType = NonNullable<(typeof CHANNEL_TYPES)[number]>;

/** `id` counts the channels of a type, from 0: a display's is its number. */
export interface SpiceChannel {
  type: SpiceChannelType;
  id: number;
}

/** The other side does not speak SPICE. */
export class NotSpice extends Error {}

function frame(body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  // Version 2.2 of the protocol.
  header.writeUInt32LE(2, 4);
  header.writeUInt32LE(2, 8);
  header.writeUInt32LE(body.length, 12);
  return Buffer.concat([header, body]);
}

/** Asks for a new session's main channel. */
export function linkMessage(): Buffer {
  const body = Buffer.alloc(MESSAGE_BYTES + 4);
  // Connection id 0: a new session; channel id 0.
  body.writeUInt8(MAIN_CHANNEL, 4);
  body.writeUInt32LE(1, 6);
  body.writeUInt32LE(MESSAGE_BYTES, 14);
  body.writeUInt32LE(COMMON_CAPABILITIES, MESSAGE_BYTES);
  return frame(body);
}

const DISPLAY_INIT = 101;
const DISPLAY_INIT_BYTES = 14;

/** What a viewer says first on a display channel: that it caches nothing worth mentioning. */
export function displayInit(miniHeader: boolean): Buffer {
  const header = Buffer.alloc(miniHeader ? 6 : 18);
  // The long one begins with a serial and ends with a list that there is none of.
  const at = miniHeader ? 0 : 8;
  if (!miniHeader) header.writeUInt32LE(1);
  header.writeUInt16LE(DISPLAY_INIT, at);
  header.writeUInt32LE(DISPLAY_INIT_BYTES, at + 2);
  const body = Buffer.alloc(DISPLAY_INIT_BYTES);
  body.writeUInt8(1);
  body.writeBigInt64LE(1n, 1);
  body.writeUInt8(1, 9);
  body.writeInt32LE(1, 10);
  return Buffer.concat([header, body]);
}

/** A number as it stands in a link: the result, and the authentication that a client selects. */
export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Reads one whole message or reply, header included. Errors: `NotSpice`; what `readExactly` says. */
export async function readFrame(stream: Duplex, signal: AbortSignal): Promise<Buffer> {
  // The first bytes decide: what speaks something else may never send a whole header.
  const magic = await readExactly(stream, MAGIC.length, signal);
  if (!magic.equals(MAGIC)) throw new NotSpice();
  const rest = await readExactly(stream, HEADER_BYTES - MAGIC.length, signal);
  const size = rest.readUInt32LE(8);
  if (rest.readUInt32LE(0) !== 2 || size < 4 || size > LONGEST_BODY) throw new NotSpice();
  return Buffer.concat([magic, rest, await readExactly(stream, size, signal)]);
}

export interface LinkMessage {
  channel: SpiceChannel;
  /** Whether the client names its authentication before the ticket, if the server does likewise. */
  selectsAuth: boolean;
  /** Whether its messages have the short header, if the server's have. */
  miniHeader: boolean;
}

/** Errors: `NotSpice`; also for a type of channel that the protocol does not know. */
export function parseLinkMessage(message: Buffer): LinkMessage {
  if (message.length < HEADER_BYTES + MESSAGE_BYTES) throw new NotSpice();
  const type = CHANNEL_TYPES[message.readUInt8(HEADER_BYTES + 4) - 1];
  if (type === undefined) throw new NotSpice();
  const { common } = capabilities(message, HEADER_BYTES + 6);
  return {
    channel: { type, id: message.readUInt8(HEADER_BYTES + 5) },
    selectsAuth: (common & AUTH_SELECTION) !== 0,
    miniHeader: (common & MINI_HEADER) !== 0,
  };
}

export interface LinkReply {
  /** 0: ready for the ticket; else why there is no channel. */
  error: number;
  /** SPKI (DER); empty when there is an error. */
  key: Buffer;
  selectsAuth: boolean;
  miniHeader: boolean;
}

/** Errors: `NotSpice`. */
export function parseLinkReply(reply: Buffer): LinkReply {
  const error = reply.readUInt32LE(HEADER_BYTES);
  if (error !== LINK_OK) return { error, key: Buffer.alloc(0), selectsAuth: false, miniHeader: false };
  if (reply.length < HEADER_BYTES + REPLY_BYTES) throw new NotSpice();
  const { common } = capabilities(reply, KEY_AT + KEY_BYTES);
  return {
    error,
    key: reply.subarray(KEY_AT, KEY_AT + KEY_BYTES),
    selectsAuth: (common & AUTH_SELECTION) !== 0,
    miniHeader: (common & MINI_HEADER) !== 0,
  };
}

/** The same reply with another key, and without the authentication that the bridge cannot do (SASL). */
export function replyWithKey(reply: Buffer, key: Buffer): Buffer {
  const changed = Buffer.from(reply);
  key.copy(changed, KEY_AT);
  const { common, at } = capabilities(reply, KEY_AT + KEY_BYTES);
  if (at !== undefined) changed.writeUInt32LE((common & ~AUTH_SASL) >>> 0, at);
  return changed;
}

/** The first word of the common capabilities (0 without any), and where it is. `from`: where their counts are. */
function capabilities(bytes: Buffer, from: number): { common: number; at?: number } {
  const common = bytes.readUInt32LE(from);
  const ofChannel = bytes.readUInt32LE(from + 4);
  const at = HEADER_BYTES + bytes.readUInt32LE(from + 8);
  if (at + 4 * (common + ofChannel) > bytes.length) throw new NotSpice();
  return common === 0 ? { common } : { common: bytes.readUInt32LE(at), at };
}
