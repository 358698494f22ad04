import type { WebSocket } from 'ws';
import { asObject, asString, parseJson } from '../../cluster/parse.ts';
import { sanitize, truncate } from '../../text.ts';

/** Sentences for the page; `hint`: what the person can do. */
export interface PageWords {
  text: string;
  hint?: string | undefined;
}

/** What vmop tells the page. */
export type ToPage =
  /** Shown while the session goes on. */
  | ({ type: 'notice' } & PageWords)
  /** The connection to the VM was lost and can be made again: the page opens its channels anew. */
  | { type: 'reopen' }
  /** The session is over. */
  | ({ type: 'ended' } & PageWords);

/** What the page tells vmop. Texts are sanitized, and not to be trusted. */
export type FromPage =
  /** The main channel is up. */
  | { type: 'connected' }
  /** The first picture is there. */
  | { type: 'picture' }
  /** The SPICE client gave up. */
  | { type: 'lost'; text: string }
  /** Something in the page went wrong. */
  | { type: 'problem'; text: string };

const LONGEST_TEXT = 300;
const PING_EVERY_MS = 20_000;

/** Our own connection to the open page: it carries what both have to say, and its end says that the page is gone. */
export class ControlLink {
  readonly #socket: WebSocket;
  readonly #pinging: NodeJS.Timeout;
  #answered = true;

  constructor(socket: WebSocket, on: { message: (message: FromPage) => void; close: () => void }) {
    this.#socket = socket;
    // A computer that vanished says nothing, so it is asked; browsers answer by themselves.
    this.#pinging = setInterval(() => this.#ping(), PING_EVERY_MS);
    socket
      .on('error', () => {})
      .on('pong', () => (this.#answered = true))
      .on('message', (data, isBinary) => {
        const message = isBinary || !Buffer.isBuffer(data) ? undefined : parseFromPage(data.toString('utf8'));
        if (message) on.message(message);
      })
      .once('close', () => {
        clearInterval(this.#pinging);
        on.close();
      });
  }

  send(message: ToPage): void {
    this.#socket.send(JSON.stringify(message), () => {});
  }

  /** Says a last word and hangs up. */
  end(words: PageWords): void {
    this.send({ type: 'ended', ...words });
    this.#socket.close(1000);
  }

  #ping(): void {
    if (!this.#answered) return this.#socket.terminate();
    this.#answered = false;
    this.#socket.ping();
  }
}

/** undefined for what is no message. */
export function parseFromPage(text: string): FromPage | undefined {
  const message = asObject(parseJson(text));
  const type = asString(message['type']);
  if (type === 'connected' || type === 'picture') return { type };
  if (type !== 'lost' && type !== 'problem') return undefined;
  return { type, text: truncate(sanitize(asString(message['text']) ?? ''), LONGEST_TEXT) };
}
