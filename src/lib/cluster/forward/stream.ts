import { Duplex } from 'node:stream';
import { VmopError } from '../../errors.ts';
import { framingOf, type Framing } from './framing.ts';
import type { WebSocketClient } from './websocket.ts';

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
const NOTHING = Buffer.alloc(0);
/** For the closing handshake. */
const CLOSE_MS = 2000;

/**
 * A port's connection as a stream. Reading slowly pauses the WebSocket; a write is over when the operating system has
 * taken it. It fails, also where it is closed before it was opened, with `console` (the port refuses) or `unreachable` (the connection to the API server broke off).
 */
export class ForwardStream extends Duplex {
  readonly #websocket: WebSocketClient;
  readonly #target: ForwardTarget;
  readonly #framing: Framing;
  readonly #pinging: NodeJS.Timeout;
  #heard = true;
  #silent = 0;
  #opened = false;
  #remoteEnded = false;
  #lingering: NodeJS.Timeout | undefined;
  #late: NodeJS.Timeout | undefined;

  /** `websocket` has not begun to read. Emits `opened` when data may be sent, unless it fails. */
  constructor(websocket: WebSocketClient, protocol: string, target: ForwardTarget) {
    super({ allowHalfOpen: true });
    this.#websocket = websocket;
    this.#target = target;
    this.#framing = framingOf(protocol, target.port, {
      opened: () => {
        this.#opened = true;
        this.emit('opened');
      },
      data: (bytes) => {
        if (!this.push(bytes)) websocket.pause();
      },
      ended: () => this.#end(),
      failed: (text) => this.destroy(target.explain(text)),
    });
    this.#pinging = setInterval(() => this.#ping(), PING_MS);
    websocket.start({
      data: (bytes, first) => {
        if (!this.destroyed && !this.#remoteEnded) this.#framing.receive(bytes, first);
      },
      heard: () => (this.#heard = true),
      closed: (clean, error) => this.#closed(clean, error),
    });
    if (this.#framing.opening) websocket.send(this.#framing.opening, NOTHING);
  }

  override _read(): void {
    this.#websocket.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#websocket.send(this.#framing.prefix(bytes.length), bytes, done);
  }

  override _final(done: () => void): void {
    if (this.#framing.end) this.#websocket.send(this.#framing.end, NOTHING, done);
    else {
      this.#lingering = setTimeout(() => this.#end(), LINGER_MS);
      done();
    }
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#pinging);
    clearTimeout(this.#lingering);
    if (error || !this.#remoteEnded) this.#websocket.terminate();
    else {
      this.#websocket.close();
      this.#late = setTimeout(() => this.#websocket.terminate(), CLOSE_MS);
    }
    done(error);
  }

  #end(): void {
    if (this.#remoteEnded) return;
    this.#remoteEnded = true;
    this.push(null);
  }

  #closed(clean: boolean, error: Error | undefined): void {
    clearTimeout(this.#late);
    if (this.destroyed || (this.#opened && this.#remoteEnded)) return;
    if (this.#opened && clean && this.#framing.closed()) this.#end();
    else this.destroy(error instanceof VmopError ? error : this.#broken(error));
  }

  /** Not answered while somebody does not read: neither is a sign of death. */
  #ping(): void {
    const stuck = this.#websocket.paused || this.#websocket.buffered > 0;
    this.#silent = this.#heard || stuck ? 0 : this.#silent + 1;
    this.#heard = false;
    if (this.#silent >= SILENT_PINGS) {
      this.destroy(this.#broken(new Error('it does not answer any more')));
      return;
    }
    const message = this.#framing.ping();
    if (message) this.#websocket.send(message, NOTHING);
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
