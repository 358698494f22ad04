import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { asObject, asString } from '../../../cluster/parse.ts';
import { messageOf, VmopError } from '../../../errors.ts';

const run = promisify(execFile);

/** A disk that QEMU can boot. */
export interface DiskImage {
  path: string;
  /** As QEMU calls it: `qcow2`, `raw`, … */
  format: string;
}

/** `QFI` and 0xfb, then the version. */
const QCOW_MAGIC = 0x514649fb;

/** What the first bytes of a file say about its format, for want of `qemu-img`. */
export function formatOfHead(head: Buffer): string {
  if (head.length >= 8 && head.readUInt32BE(0) === QCOW_MAGIC)
    return head.readUInt32BE(4) >= 2 ? 'qcow2' : 'qcow';
  return 'raw';
}

/** Finds out what a file given with `--image` is. Rejects when it cannot be read. */
export async function inspectDiskImage(file: string): Promise<DiskImage> {
  const absolute = path.resolve(file);
  const head = await readHead(absolute);
  return { path: absolute, format: (await formatByQemuImg(absolute)) ?? formatOfHead(head) };
}

async function readHead(file: string): Promise<Buffer> {
  try {
    const handle = await fs.open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(8), 0, 8, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new VmopError('failed', `the disk image ${file} cannot be read: ${messageOf(error)}`, {
      hint: 'give a qcow2 or raw disk image with --image',
      cause: error,
    });
  }
}

async function formatByQemuImg(file: string): Promise<string | undefined> {
  try {
    // -U: another machine may use the image, too.
    const { stdout } = await run('qemu-img', ['info', '-U', '--output=json', file], { timeout: 10_000 });
    const format = asString(asObject(JSON.parse(stdout))['format']);
    return format !== undefined && /^[a-z0-9-]+$/.test(format) ? format : undefined;
  } catch {
    return undefined;
  }
}
