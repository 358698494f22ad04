import net from 'node:net';
import { once } from 'node:events';
import path from 'node:path';
import { asObject, asString } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';

/** What the fake answers to a command: a value, or a refusal. */
export type Answer = { return: unknown } | { error: { class: string; desc: string } };

const GREETING = { QMP: { version: { qemu: { major: 7, minor: 2, micro: 0 } }, capabilities: [] } };

export interface FakeQmpOptions {
  folder: string;
  /** undefined: no answer at all. */
  answer: (command: string, args: JsonObject) => Answer | undefined;
  /** What a client meets: default a greeting. */
  welcome?: 'greeting' | 'silence' | 'hangUp';
}

/** A QMP server at the wire. */
export class FakeQmp {
  readonly socket: string;
  /** Every command in order, with its arguments. */
  readonly commands: [string, JsonObject][] = [];
  readonly #server: net.Server;
  readonly #clients = new Set<net.Socket>();
  readonly #options: FakeQmpOptions;

  private constructor(options: FakeQmpOptions) {
    this.#options = options;
    this.socket = path.join(options.folder, 'fake.sock');
    this.#server = net.createServer((client) => this.#serve(client));
  }

  static async listen(options: FakeQmpOptions): Promise<FakeQmp> {
    const fake = new FakeQmp(options);
    fake.#server.listen(fake.socket);
    await once(fake.#server, 'listening');
    return fake;
  }

  /** To every client, as it is. */
  send(text: string | Uint8Array): void {
    for (const client of this.#clients) client.write(text);
  }

  event(event: string, data: JsonObject = {}): void {
    this.send(`${JSON.stringify({ event, data, timestamp: { seconds: 1, microseconds: 2 } })}\r\n`);
  }

  /** Ends all connections, as QEMU does when it dies. */
  hangUp(): void {
    for (const client of this.#clients) client.destroy();
  }

  async close(): Promise<void> {
    this.hangUp();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(client: net.Socket): void {
    this.#clients.add(client);
    client.on('close', () => this.#clients.delete(client));
    client.on('error', () => client.destroy());
    const { welcome = 'greeting' } = this.#options;
    if (welcome === 'hangUp') client.destroy();
    if (welcome === 'greeting') client.write(`${JSON.stringify(GREETING)}\r\n`);
    let text = '';
    client.on('data', (chunk) => {
      const lines = (text + String(chunk)).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) this.#take(client, asObject(JSON.parse(line)));
    });
  }

  #take(client: net.Socket, message: JsonObject): void {
    const command = asString(message['execute']) ?? '';
    const args = asObject(message['arguments']);
    this.commands.push([command, args]);
    const answer = command === 'qmp_capabilities' ? { return: {} } : this.#options.answer(command, args);
    if (answer !== undefined) client.write(`${JSON.stringify({ ...answer, id: message['id'] })}\r\n`);
  }
}
