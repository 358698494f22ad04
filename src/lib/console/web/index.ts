import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer, type WebSocket } from 'ws';
import { messageOf, VmopError } from '../../errors.ts';
import { asObject, asString, parseJson } from '../../cluster/parse.ts';
import { sanitize, truncate } from '../../text.ts';
import { vmArgument } from '../../vm/write.ts';
import type { Bridge } from '../bridge/index.ts';
import type { LaunchPage } from './browser.ts';
import { PageClaims } from './claims.ts';
import { ControlLink, type PageWords, type ToPage } from './control.ts';
import {
  CONTROL_PATH,
  CONTROL_PROTOCOL,
  decideRequest,
  decideUpgrade,
  SPICE_PATH,
  SPICE_PROTOCOL,
  type RequestHead,
  type Site,
} from './guard.ts';
import { securityHeaders } from './headers.ts';
import type { ListenPlan } from './listen.ts';
import { readPageFiles, type PageFile } from './page-files.ts';
import { PagePresence } from './presence.ts';
import { listen, readBody, respond, respondOnSocket, type ListeningServer } from './server.ts';
import { LinkTicket, newSecret, type Redemption } from './ticket.ts';
import type { WebConsole, WebConsoleEnd, WebConsoleEvent, WebConsoleOptions } from './types.ts';

export type { WebConsole, WebConsoleEnd, WebConsoleEvent, WebConsoleOptions } from './types.ts';

const AWAY_MS = 6000;
/** How long the page may take to hear the last word. */
const LAST_WORD_MS = 1000;
const LONGEST_BODY_BYTES = 1024;
/** The longest message of a SPICE client in one piece is a part of a file that is dropped on the desktop. */
const LONGEST_SPICE_MESSAGE_BYTES = 1024 * 1024;
const LONGEST_CONTROL_MESSAGE_BYTES = 4096;
/** Main, display, inputs, cursor, playback; and the same again while a page reloads. */
const MOST_CHANNELS = 32;

/** A server that has its address and its files, and shows nothing yet. */
export interface WebDoor {
  readonly files: Map<string, PageFile>;
  readonly listening: ListeningServer;
  /** For the case that no console takes it over. */
  close(): Promise<void>;
}

/**
 * Takes the address, before anything is changed for a console. Errors: `console` when it cannot listen or vmop is not
 * installed completely, `usage` for a certificate that cannot be used.
 */
export async function openWebDoor(plan: ListenPlan): Promise<WebDoor> {
  const files = await readPageFiles();
  const listening = await listen(plan);
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => void listening.server.close(() => resolve()));
    listening.connections.destroy();
    await closed;
  };
  return { files, listening, close };
}

/**
 * Serves the browser console of one VM until its page is closed. Errors: as `openWebDoor`, which is called where there
 * is no `door`; the signal's reason.
 */
export async function startWebConsole(options: WebConsoleOptions, door?: WebDoor): Promise<WebConsole> {
  options.signal.throwIfAborted();
  const { files, listening } = door ?? (await openWebDoor(options.plan));
  const running = new RunningWebConsole(options, files, listening);
  if (options.signal.aborted) {
    await running.close();
    options.signal.throwIfAborted();
  }
  running.show();
  return running;
}

interface JsonAnswer {
  status: number;
  body: object;
}

class RunningWebConsole implements WebConsole {
  readonly url: string;
  readonly ended: Promise<WebConsoleEnd>;
  readonly #options: WebConsoleOptions;
  readonly #listening: ListeningServer;
  readonly #site: Site;
  readonly #files: ReadonlyMap<string, PageFile>;
  readonly #headers: Record<string, string>;
  readonly #ticket: LinkTicket;
  readonly #claims = new PageClaims<JsonAnswer>();
  readonly #presence: PagePresence;
  readonly #spice = webSocketServer(LONGEST_SPICE_MESSAGE_BYTES, SPICE_PROTOCOL);
  readonly #controls = webSocketServer(LONGEST_CONTROL_MESSAGE_BYTES, CONTROL_PROTOCOL);
  readonly #finished = Promise.withResolvers<WebConsoleEnd>();
  readonly #onAbort = (): void => void this.close({ text: 'vmop was interrupted.' });
  readonly #streams = new Set<Duplex>();
  #control: ControlLink | undefined;
  #bridge: Bridge | undefined;
  /** One page's channels are over before the next one's begin: a SPICE server would take the new for the old. */
  #opening: Promise<void> = Promise.resolve();
  #attempt = 0;
  #paused: PageWords | undefined;
  #launch: LaunchPage | undefined;
  #showing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: WebConsoleOptions, files: Map<string, PageFile>, listening: ListeningServer) {
    const { linkValidMs, awayMs = AWAY_MS, signal } = options;
    const { server, origin, hosts } = listening;
    this.#options = options;
    this.#listening = listening;
    this.#files = files;
    this.#site = { hosts, origin, files, sessionId: undefined };
    this.#headers = securityHeaders(origin.replace(/^http/, 'ws'));
    this.#ticket = new LinkTicket(options.target, performance.now() + linkValidMs);
    this.url = `${origin}/#t=${this.#ticket.text}`;
    this.ended = this.#finished.promise;
    this.#presence = new PagePresence(
      { openWithinMs: linkValidMs, graceMs: awayMs },
      (kind) => void this.#end({ kind }, { text: 'The page was away for too long.' }),
    );
    server.on('request', (request, response) => void this.#answer(request, response));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    server.on('clientError', (_error, socket) => socket.destroy());
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Opens the link in the browser, if that is wanted; how it went is told as an event. */
  show(): void {
    const { openInBrowser } = this.#options;
    if (openInBrowser !== undefined) this.#showing = this.#openBrowser(openInBrowser);
  }

  async #openBrowser(open: (url: string) => Promise<LaunchPage>): Promise<void> {
    try {
      const launch = await open(this.url);
      this.#launch = launch;
      this.#emit({ type: 'browser', name: launch.browser });
      // It may have been quick.
      if (this.#site.sessionId !== undefined || this.#closing !== undefined) await launch.remove();
    } catch (error) {
      this.#emit({ type: 'noBrowser', reason: sanitize(messageOf(error)) });
    }
  }

  pause(words: PageWords): void {
    this.#paused = words;
    this.#hold({ type: 'paused', ...words });
  }

  ask(words: PageWords): void {
    this.#hold({ type: 'asked', ...words });
  }

  #hold(word: ToPage): void {
    // What is heard of channels that are given up says nothing new.
    this.#attempt += 1;
    this.#control?.send(word);
    this.#opening = this.#opening.then(async () => await this.#closeBridge());
  }

  reopen(): void {
    this.#paused = undefined;
    if (this.#control) this.#open(this.#control);
  }

  async close(words: PageWords = { text: 'vmop has ended the session.' }): Promise<void> {
    await this.#end({ kind: 'closed' }, words);
  }

  async #end(how: WebConsoleEnd, words: PageWords): Promise<void> {
    this.#closing ??= this.#shut(words).finally(() => this.#finished.resolve(how));
    await this.#closing;
  }

  async #shut(words: PageWords): Promise<void> {
    const { server, connections } = this.#listening;
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#presence.stop();
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    const heard = Promise.all([...this.#controls.clients].map(untilClosed));
    this.#control?.end({ type: 'ended', ...words });
    await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, LAST_WORD_MS).unref())]);
    await this.#closeBridge();
    for (const socket of [...this.#controls.clients, ...this.#spice.clients]) socket.terminate();
    connections.destroy();
    await closed;
    await this.#showing;
    await this.#launch?.remove();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => {});
    response.on('error', () => {});
    const verdict = decideRequest(this.#site, headOf(request));
    if (verdict.answer === 'refuse') {
      this.#refused(request, verdict.status, verdict.reason);
      const { status, reason } = verdict;
      respond(
        response,
        this.#headers,
        { status, type: 'text/plain; charset=utf-8', body: `${reason}\n` },
        true,
      );
    } else if (verdict.answer === 'file') {
      const file = this.#files.get(verdict.path);
      if (file) respond(response, this.#headers, { status: 200, ...file });
    } else {
      const { status, body } = await this.#startSession(request);
      const json = { status, type: 'application/json', body: JSON.stringify(body) };
      respond(response, this.#headers, json, status !== 200);
    }
  }

  /** Trades the link's ticket for what the page needs. */
  async #startSession(request: IncomingMessage): Promise<JsonAnswer> {
    const refused = (status: number, reason: string, more = {}): JsonAnswer => {
      this.#refused(request, status, reason);
      return { status, body: { reason, ...more } };
    };
    const text = await readBody(request, LONGEST_BODY_BYTES);
    if (text === undefined) return refused(413, 'tooLong');
    const body = asObject(parseJson(text));
    const given = asString(body['ticket']) ?? '';
    const page = asString(body['page']) ?? '';
    const wrong = this.#ticket.check(given, performance.now());
    const known = wrong === 'wrong' ? undefined : this.#claims.answerFor(page);
    if (known !== undefined) return await known;
    if (wrong !== undefined) return refused(403, wrong, { open: this.#control !== undefined });
    return await this.#claims.keep(page, this.#redeem(given, refused));
  }

  async #redeem(
    given: string,
    refused: (status: number, reason: string, more: object) => JsonAnswer,
  ): Promise<JsonAnswer> {
    const { vm, admit } = this.#options;
    let redemption: Redemption;
    try {
      redemption = this.#ticket.redeem(given, await admit(), performance.now());
      if (redemption === 'moved') throw hasMoved(vm);
    } catch (error) {
      const { message, hint } = this.#notAdmitted(error);
      return { status: 403, body: { reason: 'notAdmitted', text: message, hint } };
    }
    if (redemption !== 'accepted') return refused(403, redemption, { open: true });
    const id = newSecret();
    this.#site.sessionId = id;
    this.#presence.left();
    void this.#launch?.remove();
    this.#emit({ type: 'opened' });
    const { namespace, name } = vm;
    const paths = { spice: SPICE_PATH + id, control: CONTROL_PATH + id };
    return { status: 200, body: { ...paths, vm: { namespace, name } } };
  }

  #notAdmitted(why: unknown): VmopError {
    const error = why instanceof VmopError ? why : new VmopError('failed', sanitize(messageOf(why)));
    this.#emit({ type: 'notAdmitted', error });
    return error;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    let verdict = decideUpgrade(this.#site, headOf(request), protocols);
    const full = this.#bridge === undefined || this.#spice.clients.size >= MOST_CHANNELS;
    if (this.#closing || (verdict.answer === 'spice' && full)) {
      verdict = { answer: 'refuse', status: 503, reason: 'there is no room for another connection' };
    }
    if (verdict.answer === 'refuse') {
      this.#refused(request, verdict.status, verdict.reason);
      respondOnSocket(socket, verdict.status, verdict.reason);
      return;
    }
    this.#listening.connections.trust(request.socket);
    if (verdict.answer === 'spice') {
      this.#spice.handleUpgrade(request, socket, head, (connection) => this.#bridged(connection));
    } else {
      this.#controls.handleUpgrade(request, socket, head, (connection) => this.#controlled(connection));
    }
  }

  #bridged(connection: WebSocket): void {
    const stream = asStream(connection);
    if (this.#bridge === undefined) {
      stream.destroy();
      return;
    }
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    this.#bridge.accept(stream);
  }

  #controlled(connection: WebSocket): void {
    this.#control?.end({ type: 'elsewhere' });
    const control = new ControlLink(connection, {
      message: (message) => {
        if (this.#control !== control) return;
        if (message.type !== 'lost' || message.attempt === this.#attempt) this.#emit(message);
      },
      close: () => {
        if (this.#control !== control) return;
        this.#control = undefined;
        this.#presence.left();
        this.#emit({ type: 'page', present: false });
      },
    });
    this.#control = control;
    this.#claims.settle();
    this.#presence.came();
    this.#emit({ type: 'page', present: true });
    this.#open(control);
  }

  /** Gives the page a bridge of its own, once what was open before is over. */
  #open(control: ControlLink): void {
    // At first it was asked when the link was used.
    const ask = this.#attempt > 0;
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#opening = this.#opening.then(async () => await this.#bridgeFor(control, attempt, ask));
  }

  async #bridgeFor(control: ControlLink, attempt: number, ask: boolean): Promise<void> {
    const isGone = (): boolean =>
      this.#control !== control || this.#attempt !== attempt || this.#closing !== undefined;
    await this.#closeBridge();
    if (isGone()) return;
    if (this.#paused) {
      control.send({ type: 'paused', ...this.#paused });
      return;
    }
    try {
      if (ask) await this.#options.admit();
      if (isGone()) return;
      const bridge = await this.#options.bridge();
      if (isGone()) {
        await bridge.close();
        return;
      }
      this.#bridge = bridge;
      control.send({ type: 'open', password: bridge.ticket, attempt });
    } catch (error) {
      this.#notAdmitted(error);
    }
  }

  async #closeBridge(): Promise<void> {
    const bridge = this.#bridge;
    this.#bridge = undefined;
    for (const stream of this.#streams) stream.destroy();
    await bridge?.close();
  }

  #refused(request: IncomingMessage, status: number, reason: string): void {
    // Browsers' tools look for files beside those that they know; that is nobody's attack.
    if (status === 404) return;
    // The path of a session is a secret; nobody needs it to understand a refusal.
    const where = (request.url ?? '').replace(/^(\/[a-z]+\/).+$/s, '$1…');
    const { host, origin } = request.headers;
    const text = `${request.method ?? ''} ${where}, host ${host ?? 'none'}, origin ${origin ?? 'none'}`;
    this.#emit({ type: 'refused', status, reason, request: truncate(sanitize(text), 200) });
  }

  #emit(event: WebConsoleEvent): void {
    this.#options.onEvent?.(event);
  }
}

function hasMoved(vm: WebConsoleOptions['vm']): VmopError {
  return new VmopError('state', `${vm.name} is another machine, or elsewhere, since the link was made`, {
    hint: `vmop console ${vmArgument(vm)} --web gives another`,
    vm: vm.name,
  });
}

function webSocketServer(maxPayload: number, protocol: string): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    maxPayload,
    perMessageDeflate: false,
    handleProtocols: () => protocol,
  });
}

function headOf({ method = '', url = '', headers, headersDistinct }: IncomingMessage): RequestHead {
  const { host = [], origin = [] } = headersDistinct;
  return { method, url, host, origin, contentType: headers['content-type'] };
}

/** The bytes of a WebSocket, with backpressure both ways. */
function asStream(connection: WebSocket): Duplex {
  const stream = createWebSocketStream(connection);
  stream.on('error', () => {});
  // Who is not reading hears of no end, so the stream is closed once its readers have had the chance.
  connection.once('close', () => setImmediate(() => stream.destroy()));
  return stream;
}

function untilClosed(connection: WebSocket): Promise<void> {
  return new Promise((resolve) => void connection.once('close', () => resolve()));
}
