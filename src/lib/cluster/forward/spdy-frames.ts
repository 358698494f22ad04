import { VmopError } from '../../errors.ts';

/**
 * SPDY/3.1 frames, as far as Kubernetes' port-forward uses them: no settings, no flow control but that of the connection
 * below. Both ends of it are here: the client's in this folder, the server's in the sandbox.
 */
export const CONTROL = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goAway: 7 } as const;

const FIN = 1;
const CANCEL = 5;
const HEADER = 8;
/** The version (3) with the bit that tells control frames from data. */
const CONTROL_VERSION = 0x8003;
/** Nobody here sends larger ones. */
const MAX_CONTROL = 64 * 1024;

export interface ControlFrame {
  type: number;
  /** The sender says nothing more on this stream. */
  fin: boolean;
  payload: Buffer;
}

export interface FrameHandlers {
  /** Never called with the payload of another frame; kept by whoever wants it. */
  control: (frame: ControlFrame) => void;
  /** A piece of a stream's data as it came, without a copy. */
  data: (streamId: number, bytes: Buffer) => void;
  /** The sender says nothing more on this stream. */
  fin: (streamId: number) => void;
}

/** Takes frames out of bytes that come in pieces of any size. Throws `unreachable` for what is no SPDY. */
export class FrameReader {
  readonly #handlers: FrameHandlers;
  readonly #header = Buffer.alloc(HEADER);
  #headerLength = 0;
  /** Of the current frame's payload. */
  #missing = 0;
  #control: { type: number; fin: boolean; payload: Buffer } | undefined;
  #stream = 0;
  #fin = false;

  constructor(handlers: FrameHandlers) {
    this.#handlers = handlers;
  }

  read(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#headerLength < HEADER) {
        const count = bytes.copy(this.#header, this.#headerLength, at, at + HEADER - this.#headerLength);
        this.#headerLength += count;
        at += count;
        if (this.#headerLength < HEADER) return;
        this.#begin();
      }
      const piece = bytes.subarray(at, at + this.#missing);
      at += piece.length;
      this.#take(piece);
    }
  }

  #begin(): void {
    const first = this.#header.readUInt32BE(0);
    const flags = this.#header.readUInt8(4);
    this.#missing = this.#header.readUIntBE(5, 3);
    this.#fin = (flags & FIN) !== 0;
    this.#control = undefined;
    if (first < 2 ** 31) {
      this.#stream = first;
      return;
    }
    if (first >>> 16 !== CONTROL_VERSION || this.#missing > MAX_CONTROL) {
      throw new VmopError('unreachable', 'the answer is no SPDY: a proxy between may have changed it');
    }
    this.#control = { type: first & 0xffff, fin: this.#fin, payload: Buffer.alloc(this.#missing) };
  }

  #take(piece: Buffer): void {
    const control = this.#control;
    if (control) piece.copy(control.payload, control.payload.length - this.#missing);
    this.#missing -= piece.length;
    if (!control && piece.length > 0) this.#handlers.data(this.#stream, piece);
    if (this.#missing > 0) return;
    this.#headerLength = 0;
    if (control) this.#handlers.control(control);
    else if (this.#fin) this.#handlers.fin(this.#stream);
  }
}

/** What stands before the bytes of a DATA frame. */
export function dataHeader(streamId: number, length: number, fin = false): Buffer {
  const header = Buffer.allocUnsafe(HEADER);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt32BE(length, 4);
  if (fin) header.writeUInt8(FIN, 4);
  return header;
}

/** One DATA frame. */
export function dataFrame(streamId: number, bytes: Buffer, fin = false): Buffer {
  return Buffer.concat([dataHeader(streamId, bytes.length, fin), bytes]);
}

export function finFrame(streamId: number): Buffer {
  return dataHeader(streamId, 0, true);
}

/** `first`: the first headers that this side sends on a connection. */
export function synStreamFrame(
  streamId: number,
  headers: Record<string, string>,
  { first, fin }: { first: boolean; fin: boolean },
): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt32BE(streamId, 0);
  return controlFrame(CONTROL.synStream, [fixed, headerBlock(headers, first)], fin);
}

export function synReplyFrame(streamId: number, { first }: { first: boolean }): Buffer {
  return controlFrame(CONTROL.synReply, [uint32(streamId), headerBlock({}, first)]);
}

/** The stream is given up. */
export function rstStreamFrame(streamId: number): Buffer {
  return controlFrame(CONTROL.rstStream, [uint32(streamId), uint32(CANCEL)]);
}

/** Clients count their pings in odd numbers; whoever gets one of the other side's sends it back. */
export function pingFrame(id: number): Buffer {
  return controlFrame(CONTROL.ping, [uint32(id)]);
}

function controlFrame(type: number, parts: Buffer[], fin = false): Buffer {
  const payload = Buffer.concat(parts);
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(CONTROL_VERSION, 0);
  header.writeUInt16BE(type, 2);
  header.writeUInt32BE(payload.length, 4);
  if (fin) header.writeUInt8(FIN, 4);
  return Buffer.concat([header, payload]);
}

/**
 * Names and values as one zlib stream that goes on from block to block of a connection. Ours holds them as they are
 * (a stored block has no state and needs no dictionary): there are two of them, and they are short.
 */
function headerBlock(headers: Record<string, string>, first: boolean): Buffer {
  const entries = Object.entries(headers)
    .flat()
    .map((text) => Buffer.from(text));
  const texts = entries.flatMap((text) => [uint32(text.length), text]);
  const plain = Buffer.concat([uint32(entries.length / 2), ...texts]);
  const stored = Buffer.alloc(5);
  stored.writeUInt16LE(plain.length, 1);
  stored.writeUInt16LE(0xffff - plain.length, 3);
  return Buffer.concat([...(first ? [ZLIB_HEADER] : []), stored, plain, FLUSH]);
}

const ZLIB_HEADER = Buffer.from([0x78, 0x01]);
/** An empty block: what came before it is to be handed on, whatever comes next. */
const FLUSH = Buffer.from([0x00, 0x00, 0x00, 0xff, 0xff]);

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
