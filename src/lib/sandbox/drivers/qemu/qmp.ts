import net from 'node:net';
import { asObject, asString, isObject } from '../../../cluster/parse.ts';
import type { JsonObject } from '../../../cluster/types.ts';
import { LineSplitter } from '../../../lines.ts';

/** Something that QEMU tells unasked. */
export interface QmpEvent {
  name: string;
  data: JsonObject;
}

/** QEMU's refusal of a command; holds nothing of the command's arguments. */
export class QmpError extends Error {
  constructor(command: string, description: string) {
    super(`QEMU refused ${command}: ${description}`);
    this.name = 'QmpError';
  }
}

export interface QmpOptions {
  onEvent?: (event: QmpEvent) => void;
  /** The connection has ended and `close` was not called. */
  onClose?: () => void;
  /** For the greeting and for each answer. */
  timeoutMs?: number;
}

interface Pending {
  command: string;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

const MAXIMUM_LINE_BYTES = 16 * 1024 * 1024;

/** A client of QEMU's machine protocol on a unix socket, in command mode. */
export class QmpClient {
  readonly #socket: net.Socket;
  readonly #options: QmpOptions;
  readonly #timeoutMs: number;
  readonly #pending = new Map<string, Pending>();
  readonly #splitter = new LineSplitter(MAXIMUM_LINE_BYTES);
  #greeted: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #lastId = 0;
  #open = true;
  /** The client is in its caller's hands: a loss is told through `onClose`, not by rejecting `connect`. */
  #established = false;

  private constructor(socket: net.Socket, options: QmpOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#closed());
  }

  /**
   * Connects, waits for the greeting and leaves negotiation mode. QEMU serves one client of a socket at a time: while
   * another one is connected the greeting does not come and this rejects after the timeout.
   */
  static async connect(path: string, options: QmpOptions = {}): Promise<QmpClient> {
    const socket = await open(path);
    const client = new QmpClient(socket, options);
    try {
      await client.#greeting();
      await client.execute('qmp_capabilities');
      client.#established = true;
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Runs a command; resolves to what it returns. Rejects with QmpError when QEMU refuses. */
  async execute(command: string, args?: JsonObject, timeoutMs = this.#timeoutMs): Promise<unknown> {
    if (!this.#open) throw new Error(`QEMU is gone: ${command} was not sent`);
    const id = String((this.#lastId += 1));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      this.#pending.delete(id);
      reject(new Error(`QEMU did not answer ${command} within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    this.#pending.set(id, { command, resolve, reject, timer });
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    return await promise;
  }

  /** Ends the connection; what is under way rejects, `onClose` is not called. */
  close(): void {
    this.#established = false;
    this.#socket.destroy();
    this.#closed();
  }

  async #greeting(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#greeted = { resolve, reject };
    const timer = setTimeout(
      () => reject(new Error('QEMU does not greet on its control socket: another process may be using it')),
      this.#timeoutMs,
    );
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#greeted = undefined;
    }
  }

  #receive(chunk: Buffer | string): void {
    for (const line of this.#splitter.push(chunk)) this.#message(line);
  }

  #message(line: string): void {
    const message = parse(line);
    if (isObject(message['QMP'])) return this.#greeted?.resolve();
    const name = asString(message['event']);
    if (name !== undefined) return this.#options.onEvent?.({ name, data: asObject(message['data']) });
    const id = asString(message['id']) ?? '';
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (!isObject(message['error'])) return pending.resolve(message['return']);
    return pending.reject(
      new QmpError(pending.command, asString(message['error']['desc']) ?? 'no reason given'),
    );
  }

  #closed(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#greeted?.reject(new Error('QEMU closed its control socket'));
    for (const { command, reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new Error(`QEMU is gone: ${command} was not answered`));
    }
    this.#pending.clear();
    if (this.#established) this.#options.onClose?.();
  }
}

function parse(line: string): JsonObject {
  try {
    return asObject(JSON.parse(line));
  } catch {
    return {};
  }
}

async function open(path: string): Promise<net.Socket> {
  return await new Promise((resolve, reject) => {
    const socket = net.connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
