import type { WebSocket } from 'ws';
import { asNumber, asObject, asString, parseJson } from '../../cluster/parse.ts';
import { sanitize, truncate } from '../../text.ts';

/** Sentences for the page; `hint`: what the person can do. */
export interface PageWords {
  text: string;
  hint?: string | undefined;
}

/** What vmop tells the page. */
export type ToPage =
  /** The page opens its channels, anew if it had some; `password`: what its bridge takes. */
  | { type: 'open'; password: string; attempt: number }
  /** There are no channels for a while. */
  | ({ type: 'paused' } & PageWords)
  /** There are no channels unless the person wants them all the same. */
  | ({ type: 'asked' } & PageWords)
  /** Another window has the session now. */
  | { type: 'elsewhere' }
  /** The session is over. */
  | ({ type: 'ended' } & PageWords);

/** What the page tells vmop. Texts are sanitized, and not to be trusted. */
export type FromPage =
  /** The main channel is up. */
  | { type: 'connected' }
  /** The first picture is there. */
  | { type: 'picture' }
  /** The SPICE client gave up; `attempt`: that of `open`. */
  | { type: 'lost'; text: string; attempt: number }
  /** Whoever was `asked` wants it all the same. */
  | { type: 'again' }
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
  end(word: ToPage): void {
    this.send(word);
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
  const said = truncate(sanitize(asString(message['text']) ?? ''), LONGEST_TEXT);
  switch (type) {
    case 'connected':
    case 'picture':
    case 'again':
      return { type };
    case 'lost':
      return { type, text: said, attempt: asNumber(message['attempt']) ?? 0 };
    case 'problem':
      return { type, text: said };
    default:
      return undefined;
  }
}
