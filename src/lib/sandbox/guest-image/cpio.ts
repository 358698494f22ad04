/** One entry of an initramfs. All belong to root. */
export interface CpioEntry {
  /** Without a leading slash; parents come first. */
  path: string;
  /** File type and permission bits, as in `stat`. */
  mode: number;
  /** A file's content; empty for a folder. */
  data: Buffer;
}

export const cpioFolder = (path: string): CpioEntry => ({ path, mode: 0o040755, data: Buffer.alloc(0) });
export const cpioFile = (path: string, data: Buffer | string, mode = 0o644): CpioEntry => ({
  path,
  mode: 0o100000 | mode,
  data: Buffer.from(data),
});

const padding = (length: number): Buffer => Buffer.alloc((4 - (length % 4)) % 4);

/** Header (13 fields of 8 hexadecimal digits after the magic) and name, padded to 4 bytes; then the data, padded. */
function record(entry: CpioEntry, inode: number): Buffer[] {
  const name = Buffer.from(`${entry.path}\0`);
  const links = 1;
  const fields = [inode, entry.mode, 0, 0, links, 0, entry.data.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return [header, name, padding(header.length + name.length), entry.data, padding(entry.data.length)];
}

/**
 * A `newc` cpio archive, the form that the Linux kernel unpacks as initramfs. Times are 0: equal input gives equal
 * bytes.
 */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const trailer: CpioEntry = { path: 'TRAILER!!!', mode: 0, data: Buffer.alloc(0) };
  return Buffer.concat([...entries, trailer].flatMap((entry, index) => record(entry, index + 1)));
}
