import { inflateRawSync } from 'node:zlib';

/** A file of a zip archive. */
export interface ZipEntry {
  name: string;
  /** Its content, unpacked on each call. */
  read(): Buffer;
}

/** The files of a zip archive in its own order. Throws when it is none. */
export function* zipEntries(archive: Buffer): Generator<ZipEntry> {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06'));
  if (end < 0) throw new Error('not a zip archive');
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    const nameLength = archive.readUInt16LE(at + 28);
    const rest = archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
    const method = archive.readUInt16LE(at + 10);
    const size = archive.readUInt32LE(at + 20);
    const local = archive.readUInt32LE(at + 42);
    yield {
      name: archive.toString('utf8', at + 46, at + 46 + nameLength),
      read() {
        const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
        const content = archive.subarray(start, start + size);
        return method === 0 ? content : inflateRawSync(content);
      },
    };
    at += 46 + nameLength + rest;
  }
}
