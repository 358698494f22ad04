import { resendDisturbance } from '../../vm/disturbance.ts';
import type { Vm, VmPool } from '../../vm/types.ts';

/** As `resendDisturbance`, of a write to the display Secret, an expiry alone included. */
export function secretWriteDisturbance(vm: Vm, pool: VmPool | undefined): string | undefined {
  return resendDisturbance(vm, pool, 'a change of the display password');
}
