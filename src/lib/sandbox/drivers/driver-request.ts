import type { Driver } from './driver.ts';

/** The ways to run machines; the first one is taken where nobody asks for another and it can be had. */
export const DRIVER_NAMES = ['qemu', 'simulated'] as const;
export type DriverName = (typeof DRIVER_NAMES)[number];

/** What the machines are made of. */
export interface DriverInfo {
  name: DriverName;
  /** Why it is this one, when it was chosen by itself. */
  reason?: string;
  qemu?: { path: string; version: string; accel: 'kvm' | 'tcg' };
  guest: GuestInfo;
}

/** What boots in the machines: its description, or why no agent in a guest will ever answer. */
export type GuestInfo = { description: string; image?: string } | { missing: string };

export interface DriverRequest {
  /** `auto`: QEMU where it is installed. */
  wanted: DriverName | 'auto';
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
