import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { VmopError } from '../../errors.ts';
import { WebSocketReader } from './websocket-reader.ts';

export interface WebSocketRequest {
  url: URL;
  protocols: string[];
  headers: http.OutgoingHttpHeaders;
  agent: http.Agent;
  /** Gives up until the answer is here; then it does nothing more. */
  signal: AbortSignal;
}

export type Upgrade =
  /** Open, and paused; `protocol` is what the server chose. */
  { websocket: WebSocketClient; protocol: string } | { refusal: http.IncomingMessage };

/** RFC 6455: what shows that the server means WebSocket. */
const KEY_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** One attempt. Rejects with the system's error, or the signal's reason; throws for headers that cannot be sent. */
export async function openWebSocket(request: WebSocketRequest): Promise<Upgrade> {
  const { url, protocols, agent, signal } = request;
  const key = randomBytes(16).toString('base64');
  const headers = {
    ...request.headers,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': key,
    'sec-websocket-protocol': protocols.join(', '),
  };
  signal.throwIfAborted();
  const sent = (url.protocol === 'http:' ? http : https).request(url, { agent, headers });
  const abandon = (): void => void sent.destroy();
  signal.addEventListener('abort', abandon, { once: true });
  try {
    return await new Promise<Upgrade>((resolve, reject) => {
      sent.on('error', reject);
      sent.on('response', (refusal) => resolve({ refusal }));
      sent.on('upgrade', (response, socket, head) => {
        const accept = createHash('sha1')
          .update(key + KEY_SUFFIX)
          .digest('base64');
        const protocol = response.headers['sec-websocket-protocol'] ?? '';
        if (response.headers['sec-websocket-accept'] === accept && protocols.includes(protocol)) {
          resolve({ websocket: new WebSocketClient(socket, head), protocol });
          return;
        }
        socket.destroy();
        reject(new VmopError('unreachable', 'the answer is no WebSocket: a proxy between may not know them'));
      });
      sent.end();
    });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', abandon);
  }
}

export interface WebSocketHandlers {
  /** A piece of a message as it came, without a copy; `first`: one begins with it. */
  data: (bytes: Buffer, first: boolean) => void;
  /** Something came, if only a sign of life. */
  heard: () => void;
  /** It is over: `clean` where the server said so, else with what went wrong, where that is known. */
  closed: (clean: boolean, error: Error | undefined) => void;
}

const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const NOTHING = Buffer.alloc(0);
const NO_MASK = Buffer.alloc(4);
const NORMAL_CLOSURE = Buffer.from([0x03, 0xe8]);
/** What sockets read at once, and what stands before it. */
const MEMORY = 64 * 1024 + 32;

/**
 * A client's end of a WebSocket that carries bytes: what comes is handed on without being collected to messages, what
 * is sent is copied once, into memory that stays. `ws` costs more than all the rest (docs/adr/0014-tunnel.md).
 */
export class WebSocketClient {
  readonly #socket: Duplex;
  /** Inside of TLS nobody is there whom masks would protect from what looks like HTTP: the key is 0, and changes nothing. */
  readonly #masked: boolean;
  #handlers: WebSocketHandlers | undefined;
  #clean = false;
  #memory = NOTHING;

  /** Begins to read when it is told where to. */
  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#masked = !(socket instanceof TLSSocket);
    if ('setTimeout' in socket && typeof socket.setTimeout === 'function') socket.setTimeout(0);
    if ('setNoDelay' in socket && typeof socket.setNoDelay === 'function') socket.setNoDelay(true);
    socket.pause();
    if (head.length > 0) socket.unshift(head);
  }

  start(handlers: WebSocketHandlers): void {
    this.#handlers = handlers;
    const reader = new WebSocketReader({
      data: handlers.data,
      control: (opcode, payload) => this.#control(opcode, payload),
    });
    let failure: Error | undefined;
    this.#socket.on('data', (bytes: Buffer) => {
      handlers.heard();
      try {
        reader.read(bytes);
      } catch (error) {
        this.#socket.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    this.#socket.on('error', (error) => (failure = error));
    this.#socket.on('end', () => this.#socket.destroy());
    this.#socket.on('close', () => handlers.closed(this.#clean, failure));
    this.#socket.resume();
  }

  get paused(): boolean {
    return this.#socket.isPaused();
  }

  /** Bytes that the operating system has not taken yet. */
  get buffered(): number {
    return this.#socket.writableLength;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (this.#handlers) this.#socket.resume();
  }

  /** One message; `done` when the operating system has taken it, until when nothing else is sent with a `done`. */
  send(prefix: Buffer, bytes: Buffer, done?: () => void): void {
    this.#write(BINARY, prefix, bytes, done);
  }

  ping(): void {
    this.#write(PING, NOTHING, NOTHING);
  }

  /** Says so to the server; `closed` follows when it has answered, or is gone. */
  close(): void {
    this.#write(CLOSE, NOTHING, NORMAL_CLOSURE);
    this.#socket.resume();
  }

  terminate(): void {
    this.#socket.destroy();
  }

  #control(opcode: number, payload: Buffer): void {
    if (opcode === PING) this.#write(PONG, NOTHING, payload);
    if (opcode !== CLOSE) return;
    this.#clean = true;
    this.#write(CLOSE, NOTHING, payload.subarray(0, 2));
    this.#socket.end();
  }

  #write(opcode: number, prefix: Buffer, bytes: Buffer, done?: () => void): void {
    if (!this.#socket.writable) {
      // Whoever waits is not left waiting for a connection that is gone: `closed` tells of it.
      if (done) setImmediate(done);
      return;
    }
    const mask = this.#masked ? randomBytes(4) : NO_MASK;
    const header = frameHeader(opcode, prefix.length + bytes.length, mask);
    const size = header.length + prefix.length + bytes.length;
    // What somebody waits for is the only one of its kind on its way, so that its memory serves the next one, too.
    if (done && this.#memory.length < size) this.#memory = Buffer.allocUnsafeSlow(Math.max(size, MEMORY));
    const frame = done ? this.#memory.subarray(0, size) : Buffer.allocUnsafe(size);
    frame.set(header);
    frame.set(prefix, header.length);
    frame.set(bytes, header.length + prefix.length);
    if (this.#masked) applyMask(frame.subarray(header.length), mask);
    this.#socket.write(frame, done && (() => done()));
  }
}

/** `mask` stands at its end. */
function frameHeader(opcode: number, length: number, mask: Buffer): Buffer {
  const extra = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const header = Buffer.allocUnsafe(6 + extra);
  header[0] = 0x80 | opcode;
  header[1] = 0x80 | (extra === 0 ? length : extra === 2 ? 126 : 127);
  if (extra === 2) header.writeUInt16BE(length, 2);
  else if (extra === 8) header.writeBigUInt64BE(BigInt(length), 2);
  mask.copy(header, 2 + extra);
  return header;
}

function applyMask(bytes: Buffer, mask: Buffer): void {
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = (bytes[index] ?? 0) ^ (mask[index & 3] ?? 0);
  }
}
