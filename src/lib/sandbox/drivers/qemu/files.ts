import fs from 'node:fs/promises';
import path from 'node:path';
import { VmopError } from '../../../errors.ts';

/** What one machine has in its private folder. */
export interface MachineFiles {
  /** QEMU's own note of its process id; its path on a command line is how a machine's QEMU is recognised. */
  pid: string;
  /** The driver's control socket. */
  qmp: string;
  /** A second control socket, for whoever wants to look at the machine while the driver runs it. */
  qmpDebug: string;
  /** The guest end of VM-Operator's agent port. */
  agent: string;
  /** QEMU's guest agent; only a machine with a disk image has it. */
  guestAgent: string;
  /** What the guest wrote on its serial port since the start. */
  serialLog: string;
  /** What QEMU wrote on stdout and stderr. */
  qemuLog: string;
}

export function machineFiles(directory: string): MachineFiles {
  const file = (name: string): string => path.join(directory, name);
  return {
    pid: file('qemu.pid'),
    qmp: file('qmp.sock'),
    qmpDebug: file('qmp-debug.sock'),
    agent: file('agent.sock'),
    guestAgent: file('qga.sock'),
    serialLog: file('serial.log'),
    qemuLog: file('qemu.log'),
  };
}

/** The longest path that a unix socket may have on every system, in bytes. */
const SOCKET_PATH_BYTES = 103;

/** Makes the folder, private, and empties it of what an earlier machine left. */
export async function prepareFolder(directory: string): Promise<MachineFiles> {
  const files = machineFiles(directory);
  if (Buffer.byteLength(files.qmpDebug) > SOCKET_PATH_BYTES) {
    throw new VmopError('failed', `the path ${directory} is too long for the machine's sockets`, {
      hint: 'choose a shorter folder for the sandbox',
    });
  }
  await fs.mkdir(directory, { recursive: true, mode: 0o700 });
  await fs.chmod(directory, 0o700);
  await removeSockets(files);
  await Promise.all([files.serialLog, files.qemuLog].map((file) => fs.rm(file, { force: true })));
  return files;
}

/** Removes what is of no use once QEMU has ended; the logs stay. */
export async function removeSockets(files: MachineFiles): Promise<void> {
  const gone = [files.pid, files.qmp, files.qmpDebug, files.agent, files.guestAgent];
  await Promise.all(gone.map((file) => fs.rm(file, { force: true })));
}

/** Everything that QEMU printed; empty when there is nothing to read. */
export async function readLog(files: MachineFiles): Promise<string> {
  return await fs.readFile(files.qemuLog, 'utf8').catch(() => '');
}
