import { rename, rm, writeFile } from 'node:fs/promises';

/** Writes a file whole or not at all, readable by its owner only. */
export async function writePrivate(file: string, text: string): Promise<void> {
  const unfinished = `${file}.${process.pid}`;
  try {
    await writeFile(unfinished, text, { mode: 0o600 });
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}
