import { VmopError } from '../errors.ts';
import type { View } from '../output/render.ts';
import { sanitize } from '../text.ts';
import type { SandboxInfo, StoppedSandbox } from '../sandbox/index.ts';
import type { Context } from '../cli/context.ts';

/** Starts and stops wait for processes, not for people. */
export const SANDBOX_TIMEOUT_MS = 180_000;

/** What makes this very vmop run again, as a process of its own. */
export function vmopEntry(): string[] {
  const [, script] = process.argv;
  if (script === undefined) throw new VmopError('failed', 'it is not known how this vmop was started');
  return [...process.execArgv, script];
}

/** The sandbox for a person to read. */
export function sandboxText(info: SandboxInfo): string {
  const { driver, machines = [] } = info;
  const lines: [string, string | undefined][] = [
    ['Sandbox', info.running ? `running (process ${info.pid ?? '?'})` : 'not running'],
    ['Problem', info.problem],
    ['API', info.url],
    ['Kubeconfig', info.running ? `${info.kubeconfig} (context ${info.context})` : undefined],
    ['Machines', driver && machineText(driver)],
    ['Guest', driver && guestText(driver)],
    ...machines.map(({ name, state, spicePort }): [string, string] => [
      '',
      `${name}: ${state}${spicePort === undefined ? '' : `, SPICE port ${spicePort}`}`,
    ]),
    ['State in', info.folder],
  ];
  const shown = lines.filter(([, text]) => text !== undefined);
  return shown
    .map(([label, text]) => `${(label && `${label}:`).padEnd(12)}${sanitize(text ?? '')}\n`)
    .join('');
}

function machineText({ name, qemu, reason }: NonNullable<SandboxInfo['driver']>): string {
  if (qemu) return `QEMU ${qemu.version}, ${qemu.accel.toUpperCase()}`;
  return reason === undefined ? name : `${name}: ${reason}`;
}

function guestText({ guest }: NonNullable<SandboxInfo['driver']>): string {
  if ('missing' in guest)
    return `none, so no agent answers and only the firmware's screen is shown: ${guest.missing}`;
  return guest.description;
}

export const SANDBOX_VIEW: View<SandboxInfo> = { columns: [], name: (info) => info.context };

export const STOPPED_VIEW: View<StoppedSandbox> = { columns: [], name: (stopped) => stopped.folder };

/** Text on a terminal and in a pipe, the object in the formats for machines. */
export async function printAs<Row extends object>(
  context: Context,
  data: Row,
  view: View<Row>,
  text: string,
): Promise<void> {
  const { kind } = context.format;
  if (kind === 'table' || kind === 'wide') await context.terminal.out(text);
  else await context.print<Row>(data, view);
}
