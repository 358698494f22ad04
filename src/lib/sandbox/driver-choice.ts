import { VmopError } from '../errors.ts';
import type { DriverInfo } from './daemon-record.ts';
import type { Driver } from './drivers/driver.ts';

export interface DriverRequest {
  /** `auto`: QEMU where it is installed. */
  wanted: 'qemu' | 'simulated' | 'auto';
  /** Absolute path of a disk image to boot, instead of the tiny guest. */
  image?: string | undefined;
  env: Record<string, string | undefined>;
  onProgress: (what: string) => void;
  signal: AbortSignal;
}

export interface DriverChoice {
  driver: Driver;
  info: DriverInfo;
}

/** Errors: `failed` when QEMU is asked for and is not there, `usage` for an image that nothing can boot. */
export async function chooseDriver(request: DriverRequest): Promise<DriverChoice> {
  const { wanted, image, env } = request;
  if (wanted === 'simulated') {
    if (image !== undefined) {
      throw new VmopError('usage', 'simulated machines boot nothing: an image needs the driver qemu');
    }
    return await simulated(undefined);
  }
  const { findQemu } = await import('./drivers/qemu/find.ts');
  const qemu = await findQemu(env);
  if (!('missing' in qemu)) return await withQemu(request, qemu);
  if (wanted === 'auto' && image === undefined) return await simulated(qemu.missing);
  throw new VmopError('failed', qemu.missing, {
    hint: 'install QEMU (Debian: qemu-system-x86), or use --driver simulated',
  });
}

async function simulated(reason: string | undefined): Promise<DriverChoice> {
  const { SimulatedDriver } = await import('./drivers/simulated.ts');
  const guest = { description: 'nothing: machines and agents are simulated, there is no console' };
  return {
    driver: new SimulatedDriver({ bootMs: SIMULATED_BOOT_MS }),
    info: { name: 'simulated', guest, ...(reason === undefined ? {} : { reason }) },
  };
}

/** Long enough to be seen. */
const SIMULATED_BOOT_MS = 500;

async function withQemu(
  { image, env, onProgress, signal }: DriverRequest,
  { path, version, accel }: NonNullable<DriverInfo['qemu']>,
): Promise<DriverChoice> {
  const { createQemuDriver } = await import('./drivers/qemu/driver.ts');
  const qemu = { path, version, accel };
  if (image !== undefined) {
    const guest = { description: `disk image ${image}`, image };
    return { driver: createQemuDriver({ image, qemu: path, accel }), info: { name: 'qemu', qemu, guest } };
  }
  const { guestImage } = await import('./guest-image/build.ts');
  const tiny = await guestImage({ env, onProgress, signal });
  if ('missing' in tiny) {
    return { driver: createQemuDriver({ qemu: path, accel }), info: { name: 'qemu', qemu, guest: tiny } };
  }
  const guest = { description: tiny.description };
  return {
    driver: createQemuDriver({ guest: tiny, qemu: path, accel }),
    info: { name: 'qemu', qemu, guest },
  };
}
