import { guestImage } from '../../guest-image/build.ts';
import type { DriverChoice, DriverRequest, GuestInfo } from '../driver-request.ts';
import { createQemuDriver, type QemuDriverOptions } from './driver.ts';
import { findQemu } from './find.ts';

/** QEMU with the image that is asked for, else with the tiny guest where it can be made; or why there is no QEMU. */
export async function chooseQemu({
  image,
  env,
  onProgress,
  signal,
}: DriverRequest): Promise<DriverChoice | { missing: string }> {
  const qemu = await findQemu(env);
  if ('missing' in qemu) return qemu;
  const { path, version, accel } = qemu;
  const choice = (boot: QemuDriverOptions, guest: GuestInfo): DriverChoice => ({
    driver: createQemuDriver({ ...boot, qemu: path, accel }),
    info: { name: 'qemu', qemu: { path, version, accel }, guest },
  });
  if (image !== undefined) return choice({ image }, { description: `disk image ${image}`, image });
  const guest = await guestImage({ env, onProgress, signal });
  if ('missing' in guest) return choice({}, guest);
  return choice({ guest }, { description: guest.description });
}
