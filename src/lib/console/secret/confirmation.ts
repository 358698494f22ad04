import type { Cluster } from '../../cluster/types.ts';
import { VmopError } from '../../errors.ts';
import { followVm, type Verdict } from '../../vm/follow.ts';
import { VMS } from '../../vm/parse.ts';
import { condition, phaseOf } from '../../vm/state.ts';
import type { Vm } from '../../vm/types.ts';
import type { DisplaySecret } from './display-secret.ts';
import { latestTurn } from './host-clock.ts';

/**
 * Whether the runner said that it handed a password to QEMU; it does not say whether QEMU took it. Without it the
 * password may work all the same, or later.
 */
export type Confirmation = { confirmed: true } | { confirmed: false; reason: string };

/** What the serial says of a display that asks for no password. */
export const UNPROTECTED = -1;

/**
 * How long after Running=True the runner's own bump may be outstanding. It was measured to come 20–170 ms after the
 * condition; its time has a granularity of one second.
 */
const START_BUMP_MS = 3000;

/**
 * How long to wait for the bump that a start brings by itself, given the VM as first seen: 0 when it must be over.
 * A runner that starts applies the Secret's password and raises the serial after it has reported Running=True; a
 * write in between would take that for its own confirmation, and a viewer would find the display still locked.
 * No more than the whole span is ever waited, whatever the clocks say.
 */
export function startBumpWaitMs(vm: Vm, now: Date): number {
  const { displayPasswordSerial: serial } = vm.status;
  if (phaseOf(vm) !== 'running' || serial === UNPROTECTED) return 0;
  // A serial that was never raised is older than this start.
  if (serial === undefined || serial === 0) return START_BUMP_MS;
  const sinceMs = sinceStartMs(vm, now);
  return sinceMs === undefined ? 0 : Math.min(Math.max(START_BUMP_MS - sinceMs, 0), START_BUMP_MS);
}

/**
 * How long the VM has run at least. The condition's time is the host's clock, which may differ from the API server's:
 * where that says when it stored the conditions, times are compared only with those of the same clock.
 */
function sinceStartMs(vm: Vm, now: Date): number | undefined {
  const since = condition(vm, 'Running')?.lastTransitionTime?.getTime();
  if (since === undefined) return undefined;
  const { conditionsWrittenAt } = vm;
  if (conditionsWrittenAt === undefined) return now.getTime() - since;
  return now.getTime() - conditionsWrittenAt.getTime() + (latestTurn(vm) ?? since) - since;
}

/** How long the bump of a write to the Secret may be outstanding: 0.3–0.4 s were measured; times are whole seconds. */
const WRITE_BUMP_MS = 2000;

/**
 * How long to wait for the bump that an earlier write to the Secret brings, whoever made it: 0 when it must be over.
 * A write in between would take it for its own confirmation. Both times are the API server's.
 */
export function writeBumpWaitMs(vm: Vm, { writtenAt }: DisplaySecret, now: Date): number {
  if (phaseOf(vm) !== 'running' || writtenAt === undefined) return 0;
  return Math.min(Math.max(WRITE_BUMP_MS - (now.getTime() - writtenAt.getTime()), 0), WRITE_BUMP_MS);
}

/** The VM after the bump of its own start, or of an earlier write to the Secret: as it is, when that was long ago. */
export async function afterEarlierBump(
  cluster: Cluster,
  vm: Vm,
  secret: DisplaySecret,
  { now, signal }: { now: Date; signal: AbortSignal },
): Promise<Vm> {
  const timeoutMs = Math.max(startBumpWaitMs(vm, now), writeBumpWaitMs(vm, secret, now));
  if (timeoutMs === 0) return vm;
  let latest = vm;
  const first = vm.status.displayPasswordSerial;
  try {
    return await followVm(cluster, vm, {
      resource: VMS,
      decide: (current) =>
        current.status.displayPasswordSerial !== first || phaseOf(current) !== 'running'
          ? { done: current }
          : undefined,
      describe: () => ({ state: 'nothing more came' }),
      onChange: (current) => (latest = current),
      timeoutMs,
      signal,
    });
  } catch (error) {
    if (error instanceof VmopError && error.code === 'timeout') return latest;
    throw error;
  }
}

/** What a VM says about a password that was written when its serial was `before`. */
export function confirmationVerdict(vm: Vm, before: number | undefined): Verdict<Confirmation> {
  const phase = phaseOf(vm);
  if (phase !== 'running') {
    return {
      done: { confirmed: false, reason: `${vm.name} is ${phase}: its next start applies the password` },
    };
  }
  const { displayPasswordSerial: serial } = vm.status;
  if (serial === UNPROTECTED) {
    return { done: { confirmed: false, reason: `the display of ${vm.name} asks for no password` } };
  }
  return serial !== undefined && serial > (before ?? 0) ? { done: { confirmed: true } } : undefined;
}

/**
 * Waits until the runner reports a serial above `before`. That nothing comes is a result, not an error: VM-Operator
 * itself goes on then. The serial rises when the runner has told QEMU, just before it sets the expiry, and also when
 * QEMU refused; it never rises for an expiry alone.
 */
export async function awaitConfirmation(
  cluster: Cluster,
  vm: Vm,
  { before, timeoutMs, signal }: { before: number | undefined; timeoutMs: number; signal: AbortSignal },
): Promise<Confirmation> {
  try {
    return await followVm(cluster, vm, {
      resource: VMS,
      decide: (current) => confirmationVerdict(current, before),
      describe: (current) => ({
        state:
          current?.status.displayPasswordSerial === undefined
            ? 'its runner reports no password serial'
            : 'its runner has not reported the new password',
      }),
      timeoutMs,
      signal,
    });
  } catch (error) {
    if (!(error instanceof VmopError) || (error.code !== 'timeout' && error.code !== 'notFound')) throw error;
    return { confirmed: false, reason: error.message };
  }
}
