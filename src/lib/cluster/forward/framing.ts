import { VmopError } from '../../errors.ts';
import {
  CONTROL,
  dataHeader,
  finFrame,
  FrameReader,
  pingFrame,
  synStreamFrame,
  type ControlFrame,
} from './spdy-frames.ts';

/** What comes out of a forwarded connection's messages. */
export interface FramingHandlers {
  /** Data may be sent from now on. */
  opened: () => void;
  data: (bytes: Buffer) => void;
  /** The port says nothing more. */
  ended: () => void;
  /** What the node says went wrong, in its words. */
  failed: (text: string) => void;
}

/** How the bytes of one connection lie in a WebSocket's binary messages. */
export interface Framing {
  /** Sent first, where there is something to send. */
  readonly opening: Buffer | undefined;
  /** Takes a piece of a message; `first`: one begins with it. Throws `unreachable` for what cannot be understood. */
  receive(bytes: Buffer, first: boolean): void;
  /** What a message begins with whose data have this length. */
  prefix(length: number): Buffer;
  /** The WebSocket is closed, as the server wanted: whether that is how this framing says that the port has ended. */
  closed(): boolean;
  /** The message that says that no more comes; undefined where it cannot be said. */
  readonly end: Buffer | undefined;
  /** A message that the node answers; undefined: there is only the WebSocket's own ping. */
  ping(): Buffer | undefined;
}

/** The WebSocket subprotocols of port-forward, best first. */
export const SPDY_PROTOCOL = 'SPDY/3.1+portforward.k8s.io';
export const CHANNEL_PROTOCOL = 'v4.channel.k8s.io';

/** The framing of the subprotocol that the server chose. */
export function framingOf(protocol: string, port: number, handlers: FramingHandlers): Framing {
  return protocol === SPDY_PROTOCOL ? new SpdyFraming(port, handlers) : new ChannelFraming(handlers);
}

const ERROR_STREAM = 1;
const DATA_STREAM = 3;
/** A node's message is one line. */
const MAX_ERROR_TEXT = 16 * 1024;

/** kube-apiserver 1.31 and later: two SPDY streams, one for the data, one for what goes wrong. Streams end one by one. */
class SpdyFraming implements Framing {
  readonly opening: Buffer;
  readonly end = finFrame(DATA_STREAM);
  readonly #handlers: FramingHandlers;
  readonly #reader: FrameReader;
  #replies = 0;
  #errorText = '';
  #errorOver = false;
  /** How the data ended. */
  #dataOver: 'fin' | 'reset' | undefined;
  #hadData = false;
  #settled = false;
  #pings = 0;

  constructor(port: number, handlers: FramingHandlers) {
    this.#handlers = handlers;
    const headers = (streamtype: string) => ({ streamtype, port: String(port), requestid: '0' });
    this.opening = Buffer.concat([
      synStreamFrame(ERROR_STREAM, headers('error'), { first: true, fin: true }),
      synStreamFrame(DATA_STREAM, headers('data'), { first: false, fin: false }),
    ]);
    this.#reader = new FrameReader({
      control: (frame) => this.#control(frame),
      data: (streamId, bytes) => this.#data(streamId, bytes),
      fin: (streamId) => this.#over(streamId, 'fin'),
    });
  }

  receive(bytes: Buffer): void {
    this.#reader.read(bytes);
  }

  prefix(length: number): Buffer {
    return dataHeader(DATA_STREAM, length);
  }

  closed(): boolean {
    return false;
  }

  ping(): Buffer {
    return pingFrame(2 * this.#pings++ + 1);
  }

  #data(streamId: number, bytes: Buffer): void {
    if (streamId === DATA_STREAM) {
      this.#hadData = true;
      this.#handlers.data(bytes);
    } else if (this.#errorText.length < MAX_ERROR_TEXT) {
      this.#errorText += bytes.toString('utf8');
    }
  }

  #over(streamId: number, how: 'fin' | 'reset'): void {
    if (streamId === ERROR_STREAM) this.#errorOver = true;
    else if (streamId === DATA_STREAM) this.#dataOver ??= how;
    if (this.#settled) return;
    if (this.#errorOver && this.#errorText !== '') {
      this.#settled = true;
      this.#handlers.failed(this.#errorText);
    } else if (this.#dataOver === 'reset' && this.#errorOver) {
      this.#settled = true;
      this.#handlers.failed('the connection was reset');
    } else if (this.#dataOver === 'fin' && (this.#hadData || this.#errorOver)) {
      // Without any data the reason may still be on its way: nodes end the data before they give it.
      this.#settled = true;
      this.#handlers.ended();
    }
  }

  #control({ type, fin, payload }: ControlFrame): void {
    const streamId = payload.length >= 4 ? payload.readUInt32BE() & 0x7fffffff : 0;
    if (type === CONTROL.rstStream) this.#over(streamId, 'reset');
    if (type !== CONTROL.synReply) return;
    // Data for a stream that the server has not yet replied to is thrown away there.
    this.#replies += 1;
    if (this.#replies === 2) this.#handlers.opened();
    if (fin) this.#over(streamId, 'fin');
  }
}

const DATA_CHANNEL = 0;
const DATA_PREFIX = Buffer.from([DATA_CHANNEL]);
/** The first message of each channel names its port. */
const PORT_BYTES = 2;

/** Older servers: each message begins with the number of its channel. Only the whole connection can end. */
class ChannelFraming implements Framing {
  readonly opening = undefined;
  readonly end = undefined;
  readonly #handlers: FramingHandlers;
  #channel: number | undefined;
  /** Bytes that have come, by channel, of those that name the port. */
  readonly #introduced = [0, 0];
  #errorText = '';

  constructor(handlers: FramingHandlers) {
    this.#handlers = handlers;
  }

  receive(bytes: Buffer, first: boolean): void {
    if (first) this.#channel = bytes[0];
    let rest = first ? bytes.subarray(1) : bytes;
    const introduced = this.#introduced[this.#channel ?? -1];
    if (this.#channel === undefined || introduced === undefined) {
      throw new VmopError(
        'unreachable',
        'the answer is no port-forward: a proxy between may have changed it',
      );
    }
    if (introduced < PORT_BYTES) {
      const skipped = Math.min(PORT_BYTES - introduced, rest.length);
      this.#introduced[this.#channel] = introduced + skipped;
      rest = rest.subarray(skipped);
      if (skipped > 0 && this.#introduced.every((count) => count === PORT_BYTES)) this.#handlers.opened();
    }
    if (rest.length === 0) return;
    if (this.#channel === DATA_CHANNEL) this.#handlers.data(rest);
    else if (this.#errorText.length < MAX_ERROR_TEXT) this.#errorText += rest.toString('utf8');
  }

  prefix(): Buffer {
    return DATA_PREFIX;
  }

  closed(): boolean {
    if (this.#errorText === '') return true;
    this.#handlers.failed(this.#errorText);
    return false;
  }

  ping(): undefined {
    return undefined;
  }
}
