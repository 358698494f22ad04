import type { DaemonOptions } from './daemon.ts';

export { sandboxLogs, sandboxStatus, startSandbox, stopSandbox } from './lifecycle.ts';
export type * from './lifecycle.ts';
export type { DaemonOptions } from './daemon.ts';
export type { ApiName } from './api-choice.ts';
export type { DriverInfo, DriverName, GuestInfo } from './drivers/driver-request.ts';

/** See daemon.ts; loaded only when it is called, because it is most of the sandbox. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const daemon = await import('./daemon.ts');
  await daemon.runDaemon(options);
}
