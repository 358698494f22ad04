import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { readExactly } from '../../src/lib/read-exactly.ts';
import { startFakeServer, type FakeServer } from '../lib/console/bridge/spice-server.ts';

const FOREVER = new AbortController().signal;
const CHANNEL_TYPE_AT = 20;
const MAIN = 1;
/** Messages of the main channel, the server's and the client's. */
const INIT = 103;
const AGENT_CONNECTED = 107;
const AGENT_DATA = 109;
const AGENT_DATA_OF_CLIENT = 107;
/** Messages of the guest's agent. */
export const MONITORS_CONFIG = 2;
export const CLIPBOARD = 4;
export const CAPABILITIES = 6;
export const CLIPBOARD_GRAB = 7;
export const CLIPBOARD_REQUEST = 8;
export const UTF8_TEXT = 1;
/** CLIPBOARD_BY_DEMAND and CLIPBOARD_SELECTION. */
const CAN = (1 << 5) | (1 << 6);
const PIECE_BYTES = 2048;
const AGENT_HEAD_BYTES = 20;

/** What a client has said to the guest's agent. */
export interface AgentWord {
  type: number;
  data: Buffer;
}

/** A SPICE server with nothing but a main channel, and an agent behind it. */
export interface AgentServer {
  server: FakeServer;
  words: AgentWord[];
  /** The agent comes: until then there is none. */
  connect(): void;
  say(type: number, data: Buffer): void;
}

export async function startAgentServer(password: string): Promise<AgentServer> {
  const words: AgentWord[] = [];
  let main: Duplex | undefined;
  const server = await startFakeServer({
    passwords: () => [password],
    onLinked(stream, message) {
      assert.equal(message.readUInt8(CHANNEL_TYPE_AT), MAIN);
      main = stream;
      send(stream, INIT, u32(7, 0, 3, 1, 0, 1000, 0, 0));
      hearAgent(stream, words).catch(() => {});
    },
  });
  const say = (type: number, data: Buffer): void => {
    const head = u32(1, type, 0, 0, data.length);
    const whole = Buffer.concat([head, data]);
    for (let at = 0; at < whole.length; at += PIECE_BYTES) {
      assert.ok(main);
      send(main, AGENT_DATA, whole.subarray(at, at + PIECE_BYTES));
    }
  };
  return {
    server,
    words,
    say,
    connect() {
      assert.ok(main);
      send(main, AGENT_CONNECTED, Buffer.alloc(0));
      say(CAPABILITIES, u32(0, CAN));
    },
  };
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32LE(value, 4 * index));
  return bytes;
}

/** With the short header, which both sides have agreed on. */
function send(stream: Duplex, type: number, body: Buffer): void {
  const head = Buffer.alloc(6);
  head.writeUInt16LE(type);
  head.writeUInt32LE(body.length, 2);
  stream.write(Buffer.concat([head, body]));
}

async function hearAgent(stream: Duplex, words: AgentWord[]): Promise<void> {
  let heard = Buffer.alloc(0);
  for (;;) {
    const head = await readExactly(stream, 6, FOREVER);
    const size = head.readUInt32LE(2);
    const body = size === 0 ? Buffer.alloc(0) : await readExactly(stream, size, FOREVER);
    if (head.readUInt16LE() !== AGENT_DATA_OF_CLIENT) continue;
    heard = Buffer.concat([heard, body]);
    while (heard.length >= AGENT_HEAD_BYTES) {
      const end = AGENT_HEAD_BYTES + heard.readUInt32LE(16);
      if (heard.length < end) break;
      words.push({ type: heard.readUInt32LE(4), data: heard.subarray(AGENT_HEAD_BYTES, end) });
      heard = heard.subarray(end);
    }
  }
}
