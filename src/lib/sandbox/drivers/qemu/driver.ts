import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, VmopError } from '../../../errors.ts';
import type { GuestImage } from '../../guest-image/image.ts';
import type { Driver, Machine, MachineEvent, MachineSpec } from '../driver.ts';
import { qemuArguments, type Boot } from './arguments.ts';
import { inspectDiskImage } from './disk-image.ts';
import { machineFiles, prepareFolder, readLog, removeSockets, type MachineFiles } from './files.ts';
import { findQemu, type Accelerator, type QemuProgram } from './find.ts';
import { QemuMachine } from './machine.ts';
import { endQemu, findRunningQemu, hasEnded, reapQemu, startQemu, type QemuProcess } from './process.ts';
import { startError } from './start-error.ts';

export interface QemuDriverOptions {
  /** A disk image to boot: never written. Goes before `guest`. */
  image?: string;
  /** The tiny guest. With neither, machines show the firmware's screen and nobody answers. */
  guest?: GuestImage;
  /** Where QEMU is; default: found in PATH. */
  qemu?: string;
  /** Default: KVM where it really works. */
  accel?: Accelerator;
  /** How long QEMU may take to answer; default 10 s. */
  answerMs?: number;
}

/** How long QEMU may take until its control socket is there. */
const SOCKET_MS = 20_000;
/** How long a QEMU that closed its sockets may take to be gone. */
const DYING_MS = 500;

/** Machines that are QEMU processes on this computer. They outlive this process; `adopt` finds them again. */
export function createQemuDriver(options: QemuDriverOptions): Driver {
  const { answerMs = 10_000 } = options;
  let program: QemuProgram | undefined;
  return {
    name: 'qemu',
    async start(spec, onEvent) {
      program ??= await requireQemu(options);
      return await startMachine(spec, onEvent, { program, boot: await bootOf(options), answerMs });
    },
    adopt: async (spec, onEvent) => await adoptMachine(spec, onEvent, answerMs),
    reap: reapQemu,
  };
}

async function requireQemu({ qemu, accel }: QemuDriverOptions): Promise<QemuProgram> {
  const found = await findQemu(process.env, { qemu, accel });
  if (!('missing' in found)) return found;
  throw new VmopError('failed', found.missing, {
    hint: 'install QEMU (Debian: qemu-system-x86), or use the simulated driver',
  });
}

async function bootOf({ image, guest }: QemuDriverOptions): Promise<Boot> {
  if (image !== undefined) return { kind: 'image', disk: await inspectDiskImage(image) };
  return guest === undefined ? { kind: 'firmware' } : { kind: 'guest', guest };
}

function bootSummary(boot: Boot): string {
  if (boot.kind === 'guest') return boot.guest.description;
  return boot.kind === 'image' ? `disk image ${boot.disk.path} (${boot.disk.format})` : 'nothing to boot';
}

type OnEvent = (event: MachineEvent) => void;

async function startMachine(
  spec: MachineSpec,
  onEvent: OnEvent,
  { program, boot, answerMs }: { program: QemuProgram; boot: Boot; answerMs: number },
): Promise<Machine> {
  if (await findRunningQemu(machineFiles(spec.directory))) {
    throw new VmopError('state', `a machine runs in ${spec.directory} already`, {
      hint: 'stop the sandbox, which ends it, and start it again',
    });
  }
  const files = await prepareFolder(spec.directory);
  onEvent({ type: 'log', line: `QEMU ${program.version} (${program.accel}): ${bootSummary(boot)}` });
  const qemu = await startProcess(program.path, qemuArguments(spec, boot, program, files), files);
  let machine: QemuMachine | undefined;
  try {
    await socketsAreThere(qemu, files);
    machine = await QemuMachine.connect({ spec, files, process: qemu, answerMs, onEvent });
    await machine.begin();
    return machine;
  } catch (error) {
    machine?.detach();
    // What QEMU said explains more than the loss of its sockets.
    const died = await hasEnded(qemu, DYING_MS);
    if (!died) await endQemu(qemu);
    await removeSockets(files);
    if (!died) throw error;
    throw startError({ name: spec.name, log: await readLog(files), spicePort: spec.spicePort });
  }
}

async function adoptMachine(
  spec: MachineSpec,
  onEvent: OnEvent,
  answerMs: number,
): Promise<Machine | undefined> {
  const files = machineFiles(spec.directory);
  const qemu = await findRunningQemu(files);
  if (qemu === undefined) return undefined;
  onEvent({ type: 'log', line: `found QEMU running (process ${qemu.pid})` });
  let machine: QemuMachine | undefined;
  try {
    machine = await QemuMachine.connect({ spec, files, process: qemu, answerMs, onEvent });
    await machine.resume();
    return machine;
  } catch (error) {
    machine?.detach();
    if (await hasEnded(qemu, DYING_MS)) return undefined;
    throw new VmopError('failed', `the machine of ${spec.name} cannot be taken over: ${messageOf(error)}`, {
      hint: 'another sandbox may be running it; `vmop sandbox stop` ends it',
      cause: error,
    });
  }
}

async function startProcess(program: string, args: string[], files: MachineFiles): Promise<QemuProcess> {
  try {
    return await startQemu(program, args, files);
  } catch (error) {
    throw new VmopError('failed', `QEMU cannot be started: ${messageOf(error)}`, {
      hint: 'check that QEMU is installed and may be run',
      cause: error,
    });
  }
}

/** QEMU makes its sockets when it has understood its command line; other parts can still fail after that. */
async function socketsAreThere(qemu: QemuProcess, files: MachineFiles): Promise<void> {
  const deadline = performance.now() + SOCKET_MS;
  while (!(existsSync(files.qmp) && existsSync(files.agent))) {
    if (!(await qemu.isRunning())) throw new Error('QEMU has ended');
    if (performance.now() > deadline)
      throw new Error(`QEMU did not open its sockets within ${SOCKET_MS / 1000} s`);
    await delay(10);
  }
}
