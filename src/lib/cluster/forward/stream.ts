import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { VmopError } from '../../errors.ts';
import { framingOf, type Framing } from './framing.ts';

export interface ForwardTarget {
  /** For messages: `port 5900 of pod "desktop-1"`. */
  name: string;
  port: number;
  /** The error for what the node says. */
  explain: (text: string) => VmopError;
}

/** Idle connections are spoken on this often: load balancers drop silent ones after a minute, some earlier. */
const PING_MS = 15_000;
/** Nothing at all for so many pings in turn: the other end is gone. */
const SILENT_PINGS = 3;
/** Where the end of one direction cannot be said, the other gets as long as nodes give it, too. */
const LINGER_MS = 1000;
/** For the closing handshake. */
const CLOSE_MS = 2000;

/**
 * A port's connection as a stream. Reading slowly pauses the WebSocket; a write is over when the operating system has
 * taken it. It fails with `console` (the port refuses) or `unreachable` (the connection to the API server broke off).
 */
export class ForwardStream extends Duplex {
  readonly #websocket: WebSocket;
  readonly #target: ForwardTarget;
  readonly #framing: Framing;
  readonly #pinging: NodeJS.Timeout;
  #heard = true;
  #silent = 0;
  #remoteEnded = false;
  #lingering: NodeJS.Timeout | undefined;

  /** `websocket` is open and paused. Emits `opened` when data may be sent, unless it fails. */
  constructor(websocket: WebSocket, protocol: string, target: ForwardTarget) {
    super({ allowHalfOpen: true });
    this.#websocket = websocket;
    this.#target = target;
    const framing = framingOf(protocol, target.port, {
      opened: () => this.emit('opened'),
      data: (bytes) => {
        if (!this.push(bytes)) websocket.pause();
      },
      ended: () => this.#end(),
      failed: (text) => this.destroy(target.explain(text)),
    });
    this.#framing = framing;
    websocket.on('message', (message) => this.#receive(message));
    websocket.on('pong', () => (this.#heard = true));
    websocket.on('close', (code) => this.#closed(code));
    websocket.on('error', (error) => this.destroy(this.#broken(error)));
    this.#pinging = setInterval(() => this.#ping(), PING_MS);
    if (framing.opening) websocket.send(framing.opening);
    websocket.resume();
  }

  override _read(): void {
    this.#websocket.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(this.#framing.encode(bytes), done);
  }

  override _writev(
    chunks: { chunk: Buffer; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#send(this.#framing.encode(Buffer.concat(chunks.map(({ chunk }) => chunk))), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#framing.end) {
      this.#send(this.#framing.end, done);
      return;
    }
    this.#lingering = setTimeout(() => this.#end(), LINGER_MS);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#pinging);
    clearTimeout(this.#lingering);
    const websocket = this.#websocket;
    if (error || !this.#remoteEnded) {
      websocket.terminate();
    } else {
      const late = setTimeout(() => websocket.terminate(), CLOSE_MS);
      websocket.once('close', () => clearTimeout(late));
      websocket.close(1000);
      // What still comes is read, or the closing handshake would not end.
      websocket.resume();
    }
    done(error);
  }

  #send(message: Buffer, done: (error?: Error | null) => void): void {
    this.#websocket.send(message, { binary: true, compress: false }, (error) => {
      done(error && this.#broken(error));
    });
  }

  #receive(message: unknown): void {
    this.#heard = true;
    if (this.destroyed || !Buffer.isBuffer(message)) return;
    try {
      this.#framing.receive(message);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #end(): void {
    if (this.#remoteEnded) return;
    this.#remoteEnded = true;
    this.push(null);
  }

  #closed(code: number): void {
    if (this.#remoteEnded || this.destroyed) return;
    // Without a way to say that one direction has ended, this is how the port's end looks.
    if (this.#framing.end === undefined && code === NORMAL_CLOSURE) this.#end();
    else this.destroy(this.#broken(undefined));
  }

  /** Not answered while somebody does not read: neither is a sign of death. */
  #ping(): void {
    const stuck = this.#websocket.isPaused || this.#websocket.bufferedAmount > 0;
    this.#silent = this.#heard || stuck ? 0 : this.#silent + 1;
    this.#heard = false;
    if (this.#silent >= SILENT_PINGS) {
      this.destroy(this.#broken(new Error('it does not answer any more')));
      return;
    }
    const message = this.#framing.ping();
    if (message) this.#websocket.send(message);
    else this.#websocket.ping();
  }

  #broken(cause: Error | undefined): VmopError {
    const why = cause === undefined ? '' : `: ${cause.message}`;
    const message = `the connection to ${this.#target.name} through the API server broke off${why}`;
    return new VmopError('unreachable', message, {
      hint: 'try again; the API server, a proxy between or the node may have been restarted',
      cause,
    });
  }
}

const NORMAL_CLOSURE = 1000;
