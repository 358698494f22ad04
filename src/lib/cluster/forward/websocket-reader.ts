import { VmopError } from '../../errors.ts';

export interface WebSocketReaderHandlers {
  /** A piece of a message as it came, without a copy; `first`: one begins with it. */
  data: (bytes: Buffer, first: boolean) => void;
  /** A close, a ping or a pong. */
  control: (opcode: number, payload: Buffer) => void;
}

/** What control frames have from here on. */
const FIRST_CONTROL = 8;
const MAX_CONTROL = 125;
const LONGEST_HEADER = 10;

/** Takes what a server sends apart, in pieces of any size. Throws `unreachable` for what is no WebSocket. */
export class WebSocketReader {
  readonly #handlers: WebSocketReaderHandlers;
  readonly #header = Buffer.alloc(LONGEST_HEADER);
  #headerLength = 0;
  #headerWanted = 2;
  #opcode = 0;
  /** Of the current frame's payload. */
  #missing = 0;
  #inPayload = false;
  #control = Buffer.alloc(0);
  /** The next bytes begin a message. */
  #first = false;

  constructor(handlers: WebSocketReaderHandlers) {
    this.#handlers = handlers;
  }

  read(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#inPayload) {
        const piece = bytes.subarray(at, at + this.#missing);
        at += piece.length;
        this.#take(piece);
        continue;
      }
      const count = bytes.copy(
        this.#header,
        this.#headerLength,
        at,
        at + this.#headerWanted - this.#headerLength,
      );
      this.#headerLength += count;
      at += count;
      if (this.#headerLength === this.#headerWanted) this.#readHeader();
    }
  }

  /** Called when as much of it is here as was wanted: two bytes, then the long forms of the length. */
  #readHeader(): void {
    const short = this.#header.readUInt8(1);
    if (this.#headerWanted === 2 && short >= 126 && short <= 127) {
      this.#headerWanted = short === 126 ? 4 : 10;
      return;
    }
    // Reserved bits are set by extensions that nobody asked for; servers' payloads have no mask.
    if ((this.#header.readUInt8(0) & 0x70) !== 0 || short > 127) throw notWebSocket();
    this.#opcode = this.#header.readUInt8(0) & 0x0f;
    this.#missing = short;
    if (short === 126) this.#missing = this.#header.readUInt16BE(2);
    // Lengths that need more than 48 bits are nonsense.
    else if (short === 127) {
      if (this.#header.readUInt16BE(2) !== 0) throw notWebSocket();
      this.#missing = this.#header.readUIntBE(4, 6);
    }
    if (this.#opcode >= FIRST_CONTROL) {
      if (this.#missing > MAX_CONTROL) throw notWebSocket();
      this.#control = Buffer.alloc(0);
    } else if (this.#opcode !== 0) this.#first = true;
    this.#inPayload = true;
    if (this.#missing === 0) this.#take(this.#header.subarray(0, 0));
  }

  #take(piece: Buffer): void {
    this.#missing -= piece.length;
    if (this.#missing === 0) {
      this.#inPayload = false;
      this.#headerLength = 0;
      this.#headerWanted = 2;
    }
    if (this.#opcode >= FIRST_CONTROL) {
      this.#control = Buffer.concat([this.#control, piece]);
      if (this.#missing === 0) this.#handlers.control(this.#opcode, this.#control);
    } else if (piece.length > 0) {
      const first = this.#first;
      this.#first = false;
      this.#handlers.data(piece, first);
    }
  }
}

function notWebSocket(): VmopError {
  return new VmopError('unreachable', 'the answer is no WebSocket: a proxy between may have changed it');
}
