import { readdir } from 'node:fs/promises';

/** Short, because socket paths are limited to about 100 bytes. */
export function machineFolderName(vmUid: string): string {
  return vmUid.replaceAll(/[^0-9a-z]/gi, '').slice(0, 12) || 'none';
}

/** Names of the folders of machines; empty when there are none. */
export async function machineFolders(machinesFolder: string): Promise<string[]> {
  try {
    const entries = await readdir(machinesFolder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch {
    return [];
  }
}
