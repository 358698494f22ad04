import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { asNumber, asObject, asString, parseJson } from '../../../../src/lib/cluster/parse.ts';
import {
  startWebConsole,
  type WebConsole,
  type WebConsoleEvent,
  type WebConsoleOptions,
} from '../../../../src/lib/console/web/index.ts';
import { checkListen } from '../../../../src/lib/console/web/listen.ts';

export const LIMIT_MS = 30_000;
export const TARGET = { vm: 'default/desktop-1', destination: '10.0.0.7:5900' };

/** What a link says. */
export interface PageDoor {
  /** `127.0.0.1:PORT`. */
  host: string;
  port: number;
  /** What stands in the link's fragment. */
  ticket: string;
}

export function doorOf(link: string): PageDoor {
  const url = new URL(link);
  return { host: url.host, port: Number(url.port), ticket: url.hash.replace('#t=', '') };
}

/** A running console, whose bridge keeps what it is given. */
export interface TestConsole extends PageDoor {
  web: WebConsole;
  events: WebConsoleEvent[];
  /** What the bridges were given. */
  streams: Duplex[];
  /** How many bridges were made, and closed. */
  bridges: { made: number; closed: number };
  /** The next event of this type. */
  heard(type: WebConsoleEvent['type']): Promise<WebConsoleEvent>;
  abort(): void;
}

export async function testConsole(
  t: TestContext,
  options: Partial<WebConsoleOptions> = {},
): Promise<TestConsole> {
  const events: WebConsoleEvent[] = [];
  const streams: Duplex[] = [];
  const bridges = { made: 0, closed: 0 };
  const waiting = new Set<(event: WebConsoleEvent) => void>();
  const controller = new AbortController();
  const web = await startWebConsole({
    bridge: async () => {
      bridges.made += 1;
      return await Promise.resolve({
        ticket: `of bridge ${bridges.made}`,
        accept: (client) => void streams.push(client),
        close: async () => {
          bridges.closed += 1;
          return await Promise.resolve();
        },
      });
    },
    vm: { namespace: 'default', name: 'desktop-1', argument: 'desktop-1' },
    target: TARGET,
    admit: async () => await Promise.resolve(TARGET),
    plan: checkListen(),
    linkValidMs: LIMIT_MS,
    signal: controller.signal,
    ...options,
    onEvent: (event) => {
      events.push(event);
      for (const listener of waiting) listener(event);
      options.onEvent?.(event);
    },
  });
  t.after(async () => await web.close());
  return {
    ...doorOf(web.url),
    web,
    events,
    streams,
    bridges,
    heard: async (type) =>
      await new Promise((resolve) => {
        const listener = (event: WebConsoleEvent): void => {
          if (event.type !== type) return;
          waiting.delete(listener);
          resolve(event);
        };
        waiting.add(listener);
      }),
    abort: () => controller.abort(),
  };
}

export interface RawAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** Sends text as it is, and reads until the server hangs up or the body is whole. */
export async function raw(port: number, request: string): Promise<RawAnswer> {
  const socket = net.connect(port, '127.0.0.1');
  socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error('no answer')));
  socket.on('error', () => {}).write(request);
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    const { length, rest } =
      /content-length: (?<length>\d+)\r\n(?:.*\r\n)*?\r\n(?<rest>[^]*)/i.exec(text)?.groups ?? {};
    if (length !== undefined && Buffer.byteLength(rest ?? '') >= Number(length)) break;
  }
  socket.destroy();
  const [head = '', body = ''] = text.split(/\r\n\r\n([^]*)/);
  const [line = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((one) => {
      const [name = '', value = ''] = one.split(/: (.*)/);
      return [name.toLowerCase(), value];
    }),
  );
  return { status: Number(line.split(' ')[1] ?? 0), headers, body };
}

export interface Ask {
  method?: string;
  path?: string;
  /** null: no such header. */
  host?: string | null;
  origin?: string | null;
  type?: string;
  body?: string;
  /** More lines. */
  lines?: string[];
}

/** A request as the page makes it, but for what a test says. */
export async function ask({ host, port }: PageDoor, wanted: Ask = {}): Promise<RawAnswer> {
  const { method = 'GET', path = '/', body = '', lines = [] } = wanted;
  const hostLine = wanted.host === null ? [] : [`Host: ${wanted.host ?? host}`];
  const origin = wanted.origin === undefined && method === 'POST' ? `http://${host}` : wanted.origin;
  const head = [
    `${method} ${path} HTTP/1.1`,
    ...hostLine,
    ...(origin === undefined || origin === null ? [] : [`Origin: ${origin}`]),
    ...(method === 'POST' ? [`Content-Type: ${wanted.type ?? 'application/json'}`] : []),
    ...(method === 'POST' && !lines.some((line) => /^(content-length|transfer-encoding)/i.test(line))
      ? [`Content-Length: ${Buffer.byteLength(body)}`]
      : []),
    ...lines,
  ];
  return await raw(port, `${head.join('\r\n')}\r\n\r\n${body}`);
}

/** What the page gets for the link's ticket. */
export interface TestSession {
  spice: string;
  control: string;
}

export async function redeem(console: PageDoor, more: Ask = {}): Promise<RawAnswer> {
  return await ask(console, {
    method: 'POST',
    path: '/session',
    body: JSON.stringify({ ticket: console.ticket }),
    ...more,
  });
}

export async function openSession(console: PageDoor): Promise<TestSession> {
  const answer = await redeem(console);
  assert.equal(answer.status, 200, answer.body);
  const { spice, control } = asObject(parseJson(answer.body));
  return { spice: asString(spice) ?? '', control: asString(control) ?? '' };
}

/** A page that is there, and may open its channels. */
export interface TestPage extends TestSession {
  page: WebSocket;
  /** What its bridge takes. */
  password: string;
  attempt: number;
}

/** As a page that is loaded, at first or anew. */
export async function load(console: PageDoor, session: TestSession): Promise<TestPage> {
  const page = socketTo(console, session.control, { protocol: 'vmop.console' });
  const { type, password, attempt } = asObject(await message(page));
  assert.equal(type, 'open');
  return { ...session, page, password: asString(password) ?? '', attempt: asNumber(attempt) ?? 0 };
}

/** As a page that opens the link. */
export async function enter(console: PageDoor): Promise<TestPage> {
  return await load(console, await openSession(console));
}

/** A WebSocket as the page opens it, but for what a test says. */
export function socketTo(
  { host, port }: PageDoor,
  path: string,
  { protocol = 'binary', origin = `http://${host}`, as = host }: Record<string, string | undefined> = {},
): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocol === '' ? [] : [protocol], {
    headers: { host: as },
    ...(origin === '' ? {} : { origin }),
    perMessageDeflate: false,
  });
  return socket.on('error', () => {});
}

export async function opened(socket: WebSocket): Promise<WebSocket> {
  await once(socket, 'open', { signal: AbortSignal.timeout(LIMIT_MS) });
  return socket;
}

/** The status with which a WebSocket is refused. */
export async function refusedWith(socket: WebSocket): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    socket.once('unexpected-response', (_request, response) => {
      response.resume();
      resolve(response.statusCode);
    });
    socket.once('open', () => {
      socket.terminate();
      reject(new Error('it was not refused'));
    });
  });
}

/** The next text message. */
export async function message(socket: WebSocket): Promise<unknown> {
  const [data] = await once(socket, 'message', { signal: AbortSignal.timeout(LIMIT_MS) });
  return parseJson(String(data));
}
