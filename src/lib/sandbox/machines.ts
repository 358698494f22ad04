import path from 'node:path';
import { machineFolders } from './operator/machine-folder.ts';

/** Ends whatever still runs in the folders of machines, without having anything to do with it. */
export async function reapMachines(machinesFolder: string): Promise<void> {
  const names = await machineFolders(machinesFolder);
  if (names.length === 0) return;
  // Simulated machines are no processes: what is left behind is QEMU's.
  const { reapQemu } = await import('./drivers/qemu/process.ts');
  await Promise.all(names.map((name) => reapQemu(path.join(machinesFolder, name))));
}
