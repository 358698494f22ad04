import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MachineSpec } from '../../../../src/lib/sandbox/drivers/driver.ts';
import {
  qemuArguments,
  type Boot,
  type QemuHost,
} from '../../../../src/lib/sandbox/drivers/qemu/arguments.ts';
import { machineFiles } from '../../../../src/lib/sandbox/drivers/qemu/files.ts';
import { machineSpec } from './machine-log.ts';

const DIRECTORY = '/run/m';
const TCG: QemuHost = { accel: 'tcg', sandbox: true };
const FIRMWARE: Boot = { kind: 'firmware' };
const GUEST: Boot = {
  kind: 'guest',
  guest: { kernel: '/c/vmlinuz', initramfs: '/c/initramfs', parameters: 'quiet', description: '' },
};
const IMAGE: Boot = { kind: 'image', disk: { path: '/home/a,b/disk.img', format: 'qcow2' } };

function args(spec: Partial<MachineSpec> = {}, boot: Boot = FIRMWARE, host: QemuHost = TCG): string[] {
  return qemuArguments(machineSpec(DIRECTORY, spec), boot, host, machineFiles(DIRECTORY));
}

/** The values of an option, in order. */
const values = (list: string[], option: string): string[] =>
  list.filter((_argument, index) => list[index - 1] === option);

test('the whole command line of a machine with the tiny guest', () => {
  assert.deepEqual(args({ spicePort: 5901 }, GUEST), [
    ...['-name', 'default/desktop-1'].concat('-uuid', '0c9a7c54-6a6b-4f3c-9c1c-8f3b6f6c1d01'),
    ...'-no-user-config -nodefaults -display none -S'.split(' '),
    ...'-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'.split(' '),
    ...'-pidfile /run/m/qemu.pid -machine pc -accel tcg,thread=multi -cpu qemu64'.split(' '),
    ...'-smp cpus=1,maxcpus=3,sockets=1,cores=3,threads=1 -m size=256M'.split(' '),
    ...'-device virtio-balloon-pci,deflate-on-oom=on,free-page-reporting=on'.split(' '),
    ...'-chardev socket,id=qmp,path=/run/m/qmp.sock,server=on,wait=off -mon chardev=qmp,mode=control'.split(
      ' ',
    ),
    ...'-chardev socket,id=qmp-debug,path=/run/m/qmp-debug.sock,server=on,wait=off'.split(' '),
    ...'-mon chardev=qmp-debug,mode=control'.split(' '),
    ...'-chardev file,id=serial,path=/run/m/serial.log -serial chardev:serial'.split(' '),
    ...'-device virtio-serial-pci -chardev socket,id=agent,path=/run/m/agent.sock,server=on,wait=off'.split(
      ' ',
    ),
    ...'-device virtserialport,chardev=agent,id=agent,name=org.jdrupes.vmop_agent.0'.split(' '),
    ...'-spice addr=127.0.0.1,port=5901,disable-ticketing=off'.split(' '),
    ...'-device VGA -device qemu-xhci -device usb-tablet'.split(' '),
    ...'-kernel /c/vmlinuz -initrd /c/initramfs -append'.split(' '),
    'quiet vmop.host=desktop-1',
  ]);
});

const TABLE: [string, string[], string, string[]][] = [
  [
    'a display without protection',
    args({ spicePort: 5901, passwordProtected: false }),
    '-spice',
    ['addr=127.0.0.1,port=5901,disable-ticketing=on'],
  ],
  ['no display', args({}), '-spice', []],
  ['KVM', args({}, GUEST, { accel: 'kvm', sandbox: true }), '-cpu', ['host']],
  ['an image under TCG gets a modern processor', args({}, IMAGE), '-cpu', ['max']],
  ['a QEMU without seccomp', args({}, FIRMWARE, { accel: 'tcg', sandbox: false }), '-sandbox', []],
  ['a name with a comma', args({ namespace: 'a,b' }), '-name', ['a,,b/desktop-1']],
  ['a uid that is none', args({ uid: 'x,y' }), '-uuid', []],
  ['memory is rounded up', args({ maximumRamBytes: 256 * 1024 * 1024 + 1 }), '-m', ['size=257M']],
  ['one CPU at least', args({ maximumCpus: 0 }), '-smp', ['cpus=1,maxcpus=1,sockets=1,cores=1,threads=1']],
  [
    'a name that would be a kernel parameter',
    args({ name: 'a init=/bin/sh' }, GUEST),
    '-append',
    ['quiet vmop.host=a-init--bin-sh'],
  ],
  [
    'an image is never written',
    args({}, IMAGE),
    '-drive',
    ['if=none,id=disk,file=/home/a,,b/disk.img,format=qcow2,snapshot=on'],
  ],
  ['nothing to boot', args(), '-kernel', []],
];

for (const [name, list, option, expected] of TABLE) {
  test(name, () => assert.deepEqual(values(list, option), expected));
}

test('an image has the agent’s port as well, and those of other guest agents', () => {
  const ports = (spec: Partial<MachineSpec>): (string | undefined)[] =>
    values(args(spec, IMAGE), '-device').map((device) => /^virtserialport,.*name=(.*)$/.exec(device)?.[1]);
  assert.deepEqual(
    ports({ spicePort: 5901 }).filter((port) => port !== undefined),
    ['org.jdrupes.vmop_agent.0', 'org.qemu.guest_agent.0', 'com.redhat.spice.0'],
  );
  assert.equal(ports({}).includes('com.redhat.spice.0'), false);
});

test('sockets in a folder with a comma', () => {
  const list = qemuArguments(machineSpec('/a,b'), FIRMWARE, TCG, machineFiles('/a,b'));
  assert.equal(values(list, '-chardev')[0], 'socket,id=qmp,path=/a,,b/qmp.sock,server=on,wait=off');
  // These are not lists of options.
  assert.deepEqual(values(list, '-pidfile'), ['/a,b/qemu.pid']);
});
