import { AlreadyTold } from '../cli/report.ts';
import { VmopError } from '../errors.ts';
import type { TextView } from '../output/render.ts';
import { sanitize } from '../text.ts';
import type { SandboxInfo, StartSandboxOptions, StoppedSandbox } from '../sandbox/index.ts';
import type { Context } from '../cli/context.ts';

/** Starts and stops wait for processes, not for people. */
const SANDBOX_TIMEOUT_MS = 180_000;

/** What makes this very vmop run again, as a process of its own. */
function vmopEntry(): string[] {
  const [, script] = process.argv;
  if (script === undefined) throw new VmopError('failed', 'it is not known how this vmop was started');
  return [...process.execArgv, script];
}

/** The sandbox for a person to read. */
function sandboxText(info: SandboxInfo): string {
  const { driver, machines = [] } = info;
  const lines: [string, string | undefined][] = [
    ['Sandbox', info.running ? `running (process ${info.pid ?? '?'})` : 'not running'],
    ['Problem', info.problem],
    ['API', info.url && `${info.url} (${info.api ?? ''})`],
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

const SANDBOX_VIEW: TextView<SandboxInfo> = { text: sandboxText, name: (info) => info.context };

const STOPPED_VIEW: TextView<StoppedSandbox> = { text: stoppedText, name: (stopped) => stopped.folder };

function stoppedText({ wasRunning, wasKilled, purged }: StoppedSandbox): string {
  const remains = wasKilled
    ? 'the sandbox had been killed; what it left has ended'
    : 'no sandbox was running';
  const ended = wasRunning ? 'the sandbox has ended' : remains;
  return `${ended}${purged ? ', and its state is gone' : ''}\n`;
}

export type SandboxChoice = Pick<StartSandboxOptions, 'api' | 'driver' | 'image'>;

/** `vmop sandbox start`. */
export async function runSandboxStart(context: Context, choice: SandboxChoice): Promise<void> {
  const { startSandbox } = await import('../sandbox/index.ts');
  const progress = context.terminal.progress();
  try {
    const info = await startSandbox({
      ...choice,
      env: context.runtime.env,
      entry: vmopEntry(),
      timeoutMs: SANDBOX_TIMEOUT_MS,
      signal: context.signal,
      onProgress: (text) => progress.step(text),
    });
    progress.done(info.alreadyRunning ? 'it was running already' : undefined);
    await context.print<SandboxInfo>(info, SANDBOX_VIEW);
  } finally {
    progress.done();
  }
}

/** `vmop sandbox status`. Errors: `unreachable`, told already, for a sandbox that was killed or does not answer. */
export async function runSandboxStatus(context: Context): Promise<void> {
  const { sandboxStatus } = await import('../sandbox/index.ts');
  const info = await sandboxStatus(context.runtime.env);
  await context.print(info, SANDBOX_VIEW);
  if (info.problem !== undefined) throw new AlreadyTold('unreachable', info.problem);
}

/** `vmop sandbox stop`. */
export async function runSandboxStop(context: Context, purge: boolean): Promise<void> {
  const { stopSandbox } = await import('../sandbox/index.ts');
  const { env } = context.runtime;
  const progress = context.terminal.progress();
  progress.step('ending the machines');
  try {
    const options = { env, purge, timeoutMs: SANDBOX_TIMEOUT_MS, signal: context.signal };
    const stopped = await stopSandbox(options);
    progress.done();
    await context.print(stopped, STOPPED_VIEW);
  } finally {
    progress.done();
  }
}

/** `vmop sandbox logs`. */
export async function runSandboxLogs(context: Context, tailLines: number, follow: boolean): Promise<void> {
  const { sandboxLogs } = await import('../sandbox/index.ts');
  const signal = AbortSignal.any([context.signal, context.terminal.outputClosed]);
  for await (const line of sandboxLogs(context.runtime.env, { tailLines, follow, signal })) {
    await context.terminal.out(`${sanitize(line)}\n`);
  }
  context.signal.throwIfAborted();
}
