import { constants, rmSync } from 'node:fs';
import { access, mkdtemp, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { VmopError, messageOf } from '../errors.ts';
import { sanitize } from '../text.ts';
import { quoted } from './reach/address.ts';
import { onProcessEnd } from './exit-guard.ts';

/** A file that nobody else on this machine can read and that does not outlive this process. */
export interface PrivateFile {
  path: string;
  /** Removes file and folder; also when the file is gone already, and any number of times. */
  remove(): Promise<void>;
}

/** A folder that nobody else on this machine gets to and that does not outlive this process. */
export interface PrivateFolder {
  path: string;
  /** Removes it with all that is in it; any number of times. */
  remove(): Promise<void>;
}

/** Where temporary files go: the system's place for them, unless it is missing or its name takes more than `bytes`. */
export async function temporaryPlace(bytes = Infinity): Promise<string> {
  const place = path.resolve(tmpdir());
  const usable = await access(place, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  return usable && Buffer.byteLength(place) <= bytes ? place : '/tmp';
}

/** Makes a folder (0700) below `parent`, which `onFolder` is told of at once. */
export async function createPrivateFolder(
  parent: string,
  onFolder: (folder: string) => void = () => {},
): Promise<PrivateFolder> {
  // mkdtemp gives 0700 whatever the umask is.
  const folder = await mkdtemp(path.join(parent, 'vmop-'));
  onFolder(folder);
  const forget = onProcessEnd(() => rmSync(folder, { recursive: true, force: true }));
  return {
    path: folder,
    remove: async () => {
      await rm(folder, { recursive: true, force: true });
      forget();
    },
  };
}

/** Writes a file (0600) into a new folder of its own (0700), which `onFolder` is told of at once. Errors: `console`. */
export async function createPrivateFile(
  name: string,
  text: string,
  onFolder?: (folder: string) => void,
): Promise<PrivateFile> {
  try {
    const folder = await createPrivateFolder(await temporaryPlace(), onFolder);
    const file: PrivateFile = { path: path.join(folder.path, name), remove: () => folder.remove() };
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
 * Whether a connection file can be written there, asked before anything is changed for its sake. Only a regular file
 * is ever replaced: a device, a pipe or a folder of that name stays what it is. Errors: `usage`.
 */
export async function checkConnectionFile(file: string): Promise<void> {
  const refused = (why: string, cause?: unknown): VmopError =>
    new VmopError('usage', `no connection file can be written to ${quoted(file)}: ${why}`, { cause });
  if (file === '') throw refused('it has no name');
  const existing = await stat(file).catch(() => undefined);
  if (existing && !existing.isFile()) throw refused('it is no regular file');
  try {
    await access(path.dirname(path.resolve(file)), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw refused('its folder is missing, or may not be written to', error);
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
