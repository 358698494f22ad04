import type { GuestImage } from '../../guest-image/image.ts';
import type { MachineSpec } from '../driver.ts';
import type { MachineFiles } from './files.ts';
import type { DiskImage } from './disk-image.ts';
import { SANDBOX, type Accelerator } from './find.ts';

/** What a machine boots. */
export type Boot =
  | { kind: 'guest'; guest: GuestImage }
  | { kind: 'image'; disk: DiskImage }
  /** Nothing: the firmware's screen appears, and nobody answers. */
  | { kind: 'firmware' };

export interface QemuHost {
  accel: Accelerator;
  /** QEMU can deny itself what it does not need (seccomp). */
  sandbox: boolean;
}

/** The ids by which QMP's events name the ports. */
export const AGENT_PORT = 'agent';
export const GUEST_AGENT_PORT = 'qga';

const MIB = 1024 * 1024;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A value within an option of QEMU: a comma would end it. */
const value = (text: string): string => text.replaceAll(',', ',,');

const unixSocket = (id: string, path: string): string[] => [
  '-chardev',
  `socket,id=${id},path=${value(path)},server=on,wait=off`,
];

const serialPort = (chardev: string, name: string): string[] => [
  '-device',
  `virtserialport,chardev=${chardev},id=${chardev},name=${name}`,
];

/**
 * The command line of a machine: paused, with one CPU (the others are plugged in before it runs, so that they can be
 * unplugged as well), everything that it may get reserved.
 */
export function qemuArguments(spec: MachineSpec, boot: Boot, host: QemuHost, files: MachineFiles): string[] {
  const maximumCpus = Math.max(1, spec.maximumCpus);
  return [
    ['-name', value(`${spec.namespace}/${spec.name}`)],
    UUID.test(spec.uid) ? ['-uuid', spec.uid] : [],
    ['-no-user-config', '-nodefaults', '-display', 'none', '-S'],
    host.sandbox ? ['-sandbox', SANDBOX] : [],
    ['-pidfile', files.pid],
    ['-machine', 'pc'],
    processor(boot, host),
    ['-smp', `cpus=1,maxcpus=${maximumCpus},sockets=1,cores=${maximumCpus},threads=1`],
    ['-m', `size=${Math.ceil(spec.maximumRamBytes / MIB)}M`],
    ['-device', 'virtio-balloon-pci,deflate-on-oom=on,free-page-reporting=on'],
    unixSocket('qmp', files.qmp),
    ['-mon', 'chardev=qmp,mode=control'],
    unixSocket('qmp-debug', files.qmpDebug),
    ['-mon', 'chardev=qmp-debug,mode=control'],
    ['-chardev', `file,id=serial,path=${value(files.serialLog)}`, '-serial', 'chardev:serial'],
    ['-device', 'virtio-serial-pci'],
    unixSocket(AGENT_PORT, files.agent),
    serialPort(AGENT_PORT, 'org.jdrupes.vmop_agent.0'),
    display(spec),
    bootArguments(spec, boot, files),
  ].flat();
}

function processor(boot: Boot, { accel }: QemuHost): string[] {
  if (accel === 'kvm') return ['-accel', 'kvm', '-cpu', 'host'];
  // The tiny guest needs no modern features, which cost time to emulate. No tb-size: QEMU aborts when a CPU is plugged
  // in and the room for translated code is used up.
  if (boot.kind === 'guest') return ['-accel', 'tcg,thread=multi', '-cpu', 'qemu64'];
  return ['-accel', 'tcg,thread=multi', '-cpu', 'max'];
}

/** Ticketing is on and no password set: the display is locked until one is. */
function display({ spicePort, passwordProtected }: MachineSpec): string[] {
  if (spicePort === undefined) return [];
  const ticketing = passwordProtected ? 'disable-ticketing=off' : 'disable-ticketing=on';
  const spice = ['-spice', `addr=127.0.0.1,port=${spicePort},${ticketing}`];
  return [...spice, '-device', 'VGA', '-device', 'qemu-xhci', '-device', 'usb-tablet'];
}

function bootArguments(spec: MachineSpec, boot: Boot, files: MachineFiles): string[] {
  if (boot.kind === 'firmware') return [];
  if (boot.kind === 'image') return [...disk(boot.disk), ...guestAgents(spec, files)];
  const { kernel, initramfs, parameters } = boot.guest;
  const host = spec.name.replaceAll(/[^a-z0-9.-]/g, '-');
  return ['-kernel', kernel, '-initrd', initramfs, '-append', `${parameters} vmop.host=${host}`];
}

/** The user's file is never written: changes go to a temporary file that ends with QEMU. */
const disk = ({ path, format }: DiskImage): string[] => [
  '-drive',
  `if=none,id=disk,file=${value(path)},format=${format},snapshot=on`,
  '-device',
  'virtio-blk-pci,drive=disk,bootindex=1',
  '-device',
  'virtio-rng-pci',
];

/** What a complete guest may have beside VM-Operator's agent: QEMU's own, and SPICE's for the clipboard and the size. */
const guestAgents = ({ spicePort }: MachineSpec, files: MachineFiles): string[] =>
  [
    unixSocket(GUEST_AGENT_PORT, files.guestAgent),
    serialPort(GUEST_AGENT_PORT, 'org.qemu.guest_agent.0'),
    spicePort === undefined ? [] : ['-chardev', 'spicevmc,id=vdagent,name=vdagent'],
    spicePort === undefined ? [] : serialPort('vdagent', 'com.redhat.spice.0'),
  ].flat();
