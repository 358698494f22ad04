import { setTimeout as delay } from 'node:timers/promises';
import { asArray, asBoolean, asInteger, asObject, asString } from '../../../cluster/parse.ts';
import type { JsonObject } from '../../../cluster/types.ts';
import type { QmpClient, QmpEvent } from './qmp.ts';

/** A place for a CPU, from `query-hotpluggable-cpus`. */
interface CpuSlot {
  type: string;
  props: JsonObject;
  /** Its path in QEMU's object tree; undefined when the place is empty. */
  path: string | undefined;
}

/** How long a guest may take to let go of a CPU. */
const UNPLUG_MS = 5000;
/** How long the balloon may stand still before that is taken as its answer. */
const BALLOON_STALL_MS = 2000;
const POLL_MS = 100;

const CPU_ID = 'cpu';
const HOTPLUGGED = '/machine/peripheral/';

async function cpuSlots(qmp: QmpClient): Promise<CpuSlot[]> {
  const slots = asArray(await qmp.execute('query-hotpluggable-cpus')).map((slot) => ({
    type: asString(asObject(slot)['type']) ?? '',
    props: asObject(asObject(slot)['props']),
    path: asString(asObject(slot)['qom-path']),
  }));
  return slots.sort((a, b) => slotOrder(a) - slotOrder(b));
}

const slotOrder = ({ props }: CpuSlot): number =>
  (asInteger(props['socket-id']) ?? 0) * 4096 + (asInteger(props['core-id']) ?? 0);

export async function cpuCount(qmp: QmpClient): Promise<number> {
  return (await cpuSlots(qmp)).filter(({ path }) => path !== undefined).length;
}

/**
 * Plugs CPUs in or out; resolves to how many there are then. The first one stays, a guest may refuse to let one go, and
 * without KVM none is taken out: QEMU's emulation corrupts its memory then and dies (seen with 7.2).
 */
export async function setCpus(
  qmp: QmpClient,
  wanted: number,
  { unplugMs = UNPLUG_MS } = {},
): Promise<number> {
  const slots = await cpuSlots(qmp);
  const present = slots.filter(({ path }) => path !== undefined);
  const missing = slots
    .filter(({ path }) => path === undefined)
    .slice(0, Math.max(0, wanted - present.length));
  for (const slot of missing) {
    await qmp.execute('device_add', { driver: slot.type, id: `${CPU_ID}${slotOrder(slot)}`, ...slot.props });
  }
  const surplus = present.filter(({ path }) => path?.startsWith(HOTPLUGGED)).reverse();
  let count = present.length + missing.length;
  if (count <= wanted || !(await usesKvm(qmp))) return count;
  // One after the other: what a guest has not done when we stop waiting, it may do later.
  for (const { path } of surplus.slice(0, count - wanted)) {
    await qmp.execute('device_del', { id: path?.slice(HOTPLUGGED.length) });
    const left = await settled(() => cpuCount(qmp), { wanted: count - 1, stallMs: unplugMs });
    if (left === count) return count;
    count = left;
  }
  return count;
}

async function usesKvm(qmp: QmpClient): Promise<boolean> {
  return asBoolean(asObject(await qmp.execute('query-kvm'))['enabled']) === true;
}

/** Whether this is the event that tells that a CPU was taken out. */
export const isCpuRemoved = ({ name, data }: QmpEvent): boolean =>
  name === 'DEVICE_DELETED' && asString(data['device'])?.startsWith(CPU_ID) === true;

/** What the guest has of its memory, in bytes. */
export async function ramBytes(qmp: QmpClient, maximum: number): Promise<number> {
  return asInteger(asObject(await qmp.execute('query-balloon'))['actual']) ?? maximum;
}

/** Inflates or deflates the balloon; resolves to the bytes that the guest has then: all, without a balloon driver. */
export async function setRam(
  qmp: QmpClient,
  wanted: number,
  maximum: number,
  { stallMs = BALLOON_STALL_MS } = {},
): Promise<number> {
  const target = Math.min(wanted, maximum);
  await askForRam(qmp, target);
  return await settled(() => ramBytes(qmp, maximum), { wanted: target, stallMs });
}

/** The guest gives memory back when its driver is there. */
export async function askForRam(qmp: QmpClient, wanted: number): Promise<void> {
  await qmp.execute('balloon', { value: wanted });
}

/** Reads a value until it is what was wanted, or has not changed for a while. */
async function settled(
  read: () => Promise<number>,
  { wanted, stallMs }: { wanted: number; stallMs: number },
): Promise<number> {
  let last = await read();
  let since = performance.now();
  while (last !== wanted && performance.now() - since < stallMs) {
    await delay(POLL_MS);
    const current = await read();
    if (current !== last) since = performance.now();
    last = current;
  }
  return last;
}
