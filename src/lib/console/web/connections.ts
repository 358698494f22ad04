import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** A browser opens some ten at once, and may have a few more in store. */
const MOST_STRANGERS = 64;

/**
 * The connections of a server. Of those that have not shown a session only so many are kept: the oldest gives way to
 * a new one, so that nobody who opens hundreds keeps the page from its server.
 */
export class Connections {
  readonly #open = new Set<Socket>();
  /** By where they come from: what TLS makes of a connection is another object with the same address. */
  readonly #strangers = new Map<string, Socket>();

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#add(socket);
      const from = addressOf(socket);
      socket.once('close', () => {
        if (this.#strangers.get(from) === socket) this.#strangers.delete(from);
      });
      this.#strangers.set(from, socket);
      const [oldest] = this.#strangers;
      if (oldest === undefined || this.#strangers.size <= MOST_STRANGERS) return;
      this.#strangers.delete(oldest[0]);
      oldest[1].destroy();
    });
    server.on('secureConnection', (socket: Socket) => this.#add(socket));
  }

  /** It has shown a session: it gives way to nobody. */
  trust(socket: Socket): void {
    this.#strangers.delete(addressOf(socket));
  }

  /** Ends them all, also those that the server itself knows nothing of any more. */
  destroy(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #add(socket: Socket): void {
    this.#open.add(socket);
    socket.on('error', () => {}).once('close', () => this.#open.delete(socket));
  }
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? ''}`;
}
