import path from 'node:path';
import { VmopError } from '../../errors.ts';
import { machineFolders } from '../operator/machine-folder.ts';
import type { DriverChoice, DriverName, DriverRequest } from './driver-request.ts';

/** Errors: `failed` when QEMU is asked for and is not there, `usage` for an image that nothing can boot. */
export async function chooseDriver(request: DriverRequest): Promise<DriverChoice> {
  const { wanted, image } = request;
  if (wanted === 'simulated') {
    if (image !== undefined) {
      throw new VmopError('usage', 'simulated machines boot nothing: an image needs the driver qemu');
    }
    return await simulated(undefined);
  }
  const { chooseQemu } = await import('./qemu/choice.ts');
  const qemu = await chooseQemu(request);
  if (!('missing' in qemu)) return qemu;
  if (wanted === 'auto' && image === undefined) return await simulated(qemu.missing);
  throw new VmopError('failed', qemu.missing, {
    hint: 'install QEMU (Debian: qemu-system-x86), or use --driver simulated',
  });
}

/** Long enough to be seen. */
const SIMULATED_BOOT_MS = 500;

async function simulated(reason: string | undefined): Promise<DriverChoice> {
  const { SimulatedDriver } = await import('./simulated.ts');
  const guest = { description: 'nothing: machines and agents are simulated, there is no console' };
  return {
    driver: new SimulatedDriver({ bootMs: SIMULATED_BOOT_MS }),
    info: { name: 'simulated', guest, ...(reason === undefined ? {} : { reason }) },
  };
}

/**
 * Ends whatever drivers have left running in the folders of machines, without having anything to do with it; `except`:
 * but for that driver, which takes its machines over.
 */
export async function reapMachines(machinesFolder: string, except?: DriverName): Promise<void> {
  const names = await machineFolders(machinesFolder);
  // Simulated machines are no processes: what is left behind is QEMU's.
  if (names.length === 0 || except === 'qemu') return;
  const { reapQemu } = await import('./qemu/process.ts');
  await Promise.all(names.map((name) => reapQemu(path.join(machinesFolder, name))));
}
