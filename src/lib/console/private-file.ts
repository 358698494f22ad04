import { rmSync } from 'node:fs';
import { mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { VmopError, messageOf } from '../errors.ts';
import { sanitize } from '../text.ts';
import { quoted } from './address.ts';
import { onProcessEnd } from './exit-guard.ts';

/** A file that nobody else on this machine can read and that does not outlive this process. */
export interface PrivateFile {
  path: string;
  /** Removes file and folder; also when the file is gone already, and any number of times. */
  remove(): Promise<void>;
}

/** Writes a file (0600) into a new folder of its own (0700). Errors: `console`. */
export async function createPrivateFile(name: string, text: string): Promise<PrivateFile> {
  let folder: string | undefined;
  try {
    // mkdtemp gives 0700 whatever the umask is.
    folder = await mkdtemp(path.join(tmpdir(), 'vmop-'));
    const doomed = folder;
    const forget = onProcessEnd(() => rmSync(doomed, { recursive: true, force: true }));
    const file: PrivateFile = {
      path: path.join(doomed, name),
      remove: async () => {
        await rm(doomed, { recursive: true, force: true });
        forget();
      },
    };
    await writeFile(file.path, text, { mode: 0o600, flag: 'wx' }).catch(async (error: unknown) => {
      await file.remove();
      throw error;
    });
    return file;
  } catch (error) {
    throw new VmopError('console', `no temporary file can be written: ${sanitize(messageOf(error))}`, {
      cause: error,
    });
  }
}

/**
 * Writes a connection file where the user wants it: mode 0600, the whole text or nothing; an existing file is
 * replaced. Errors: `failed`.
 */
export async function writeConnectionFile(file: string, text: string): Promise<void> {
  const temporary = path.join(
    path.dirname(file),
    `.${path.basename(file)}.${randomBytes(6).toString('hex')}`,
  );
  const forget = onProcessEnd(() => rmSync(temporary, { force: true }));
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new VmopError(
      'failed',
      `the connection file ${quoted(file)} cannot be written: ${sanitize(messageOf(error))}`,
      {
        cause: error,
      },
    );
  } finally {
    forget();
  }
}
