import type { Duplex } from 'node:stream';
import { encryptPassword } from '../../../../src/lib/console/bridge/ticket.ts';
import { readExactly } from '../../../../src/lib/read-exactly.ts';

/** Every wait of a test ends with an error and not with the test run. */
export const PATIENCE_MS = 30_000;

export interface ViewerOptions {
  type?: number;
  id?: number;
  connectionId?: number;
  /** One word; undefined: none at all. */
  common?: number | undefined;
}

/** What a viewer sends first. */
export function viewerMessage({ type = 1, id = 0, connectionId = 0, ...rest }: ViewerOptions = {}): Buffer {
  const common = 'common' in rest ? rest.common : 0b1011;
  const words = common === undefined ? [] : [common];
  const body = Buffer.alloc(18 + 4 * (words.length + 1));
  body.writeUInt32LE(connectionId, 0);
  body.writeUInt8(type, 4);
  body.writeUInt8(id, 5);
  body.writeUInt32LE(words.length, 6);
  body.writeUInt32LE(1, 10);
  body.writeUInt32LE(18, 14);
  [...words, 0x1234].forEach((word, index) => body.writeUInt32LE(word, 18 + 4 * index));
  const header = Buffer.alloc(16);
  header.write('REDQ');
  header.writeUInt32LE(2, 4);
  header.writeUInt32LE(2, 8);
  header.writeUInt32LE(body.length, 12);
  return Buffer.concat([header, body]);
}

export interface ViewerLink {
  /** The server's whole reply, as the viewer gets it. */
  reply: Buffer;
  /** The link error, or the result of the ticket. */
  result: number;
}

/** Links one channel as a viewer does. Rejects when the other side hangs up before it has an answer. */
export async function linkAsViewer(
  stream: Duplex,
  password: string,
  options: ViewerOptions = {},
): Promise<ViewerLink> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  stream.on('error', () => {});
  stream.write(viewerMessage(options));
  const header = await readExactly(stream, 16, signal);
  const reply = Buffer.concat([header, await readExactly(stream, header.readUInt32LE(12), signal)]);
  const error = reply.readUInt32LE(16);
  if (error !== 0) return { reply, result: error };
  const mine = 'common' in options ? (options.common ?? 0) : 1;
  const theirs = reply.readUInt32LE(16 + 178);
  const ticket = encryptPassword(password, reply.subarray(20, 182));
  stream.write((mine & theirs & 1) !== 0 ? Buffer.concat([Buffer.from([1, 0, 0, 0]), ticket]) : ticket);
  return { reply, result: (await readExactly(stream, 4, signal)).readUInt32LE() };
}
