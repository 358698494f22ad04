import { constants, createInflate } from 'node:zlib';
import { DICTIONARY } from './spdy-dictionary.ts';

/** More than this is nobody's headers. */
const MAX_BLOCK = 64 * 1024;

/** Reads the header blocks of one connection, which are one zlib stream, in their order. */
export class HeaderReader {
  readonly #inflate = createInflate({ dictionary: DICTIONARY, flush: constants.Z_SYNC_FLUSH });
  readonly #waiting: PromiseWithResolvers<Map<string, string>>[] = [];
  #plain = Buffer.alloc(0);

  constructor() {
    this.#inflate.on('data', (bytes: Buffer) => {
      this.#plain = Buffer.concat([this.#plain, bytes]);
      if (this.#plain.length > MAX_BLOCK) this.#inflate.destroy(new Error('too many headers'));
      this.#settle();
    });
    this.#inflate.on('error', (error) => {
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    });
  }

  /** Names in small letters. Rejects for what is no header block. */
  async read(block: Buffer): Promise<Map<string, string>> {
    const waiting = Promise.withResolvers<Map<string, string>>();
    this.#waiting.push(waiting);
    this.#inflate.write(block, (error) => {
      if (error) waiting.reject(error);
    });
    return waiting.promise;
  }

  close(): void {
    this.#inflate.destroy();
  }

  #settle(): void {
    for (;;) {
      const parsed = parseBlock(this.#plain);
      if (parsed === undefined) return;
      this.#plain = this.#plain.subarray(parsed.length);
      this.#waiting.shift()?.resolve(parsed.headers);
    }
  }
}

/** undefined: it is not complete yet. */
function parseBlock(plain: Buffer): { headers: Map<string, string>; length: number } | undefined {
  if (plain.length < 4) return undefined;
  const count = plain.readUInt32BE();
  const texts: string[] = [];
  let at = 4;
  while (texts.length < 2 * count) {
    if (plain.length < at + 4) return undefined;
    const end = at + 4 + plain.readUInt32BE(at);
    if (plain.length < end) return undefined;
    texts.push(plain.toString('utf8', at + 4, end));
    at = end;
  }
  const headers = new Map<string, string>();
  for (let index = 0; index < texts.length; index += 2)
    headers.set(texts[index] ?? '', texts[index + 1] ?? '');
  return { headers, length: at };
}
