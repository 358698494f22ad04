import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { formatOfHead, inspectDiskImage } from '../../../../src/lib/sandbox/drivers/qemu/disk-image.ts';
import { prepareFolder } from '../../../../src/lib/sandbox/drivers/qemu/files.ts';
import { findQemu } from '../../../../src/lib/sandbox/drivers/qemu/find.ts';
import { temporaryFolder } from './machine-log.ts';

async function program(folder: string, name: string, script: string): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return file;
}

test('QEMU is found in PATH, with its version', async (t) => {
  const folder = await temporaryFolder((remove) => t.after(remove));
  await mkdir(path.join(folder, 'bin'));
  const file = await program(
    path.join(folder, 'bin'),
    'qemu-system-x86_64',
    'echo "QEMU emulator version 9.1.2 (x)"',
  );
  const env = { PATH: `relative:${folder}:${folder}/bin` };
  assert.deepEqual(await findQemu(env, { accel: 'tcg' }), {
    path: file,
    version: '9.1.2',
    accel: 'tcg',
    sandbox: true,
  });
});

test('a QEMU without seccomp is one, too', async (t) => {
  const folder = await temporaryFolder((remove) => t.after(remove));
  const script =
    'test "$1" = -version || { echo "-sandbox: no" >&2; exit 1; }; echo "QEMU emulator version 8.0"';
  const file = await program(folder, 'q', script);
  assert.deepEqual(await findQemu({}, { qemu: file, accel: 'kvm' }), {
    path: file,
    version: '8.0',
    accel: 'kvm',
    sandbox: false,
  });
});

test('what is missing is said', async (t) => {
  const folder = await temporaryFolder((remove) => t.after(remove));
  assert.deepEqual(await findQemu({ PATH: folder }), { missing: 'qemu-system-x86_64 is not installed' });
  assert.deepEqual(await findQemu({}), { missing: 'qemu-system-x86_64 is not installed' });
  const mute = await program(folder, 'mute', 'exit 0');
  assert.deepEqual(await findQemu({}, { qemu: mute }), { missing: `${mute} does not tell its version` });
});

test('the format of an image without qemu-img', () => {
  const head = (...bytes: number[]): Buffer => Buffer.from([...Buffer.from('QFI'), 0xfb, ...bytes]);
  assert.equal(formatOfHead(head(0, 0, 0, 3)), 'qcow2');
  assert.equal(formatOfHead(head(0, 0, 0, 2)), 'qcow2');
  assert.equal(formatOfHead(head(0, 0, 0, 1)), 'qcow');
  assert.equal(formatOfHead(head()), 'raw');
  assert.equal(formatOfHead(Buffer.alloc(8)), 'raw');
  assert.equal(formatOfHead(Buffer.alloc(0)), 'raw');
});

test('an image that cannot be read is refused by name', async (t) => {
  const folder = await temporaryFolder((remove) => t.after(remove));
  await assert.rejects(inspectDiskImage(path.join(folder, 'none.img')), /none\.img cannot be read: ENOENT/);
  await assert.rejects(inspectDiskImage(folder), /cannot be read: EISDIR/);
  const raw = path.join(folder, 'disk.img');
  await writeFile(raw, Buffer.alloc(512));
  assert.deepEqual(await inspectDiskImage(raw), { path: raw, format: 'raw' });
});

test('a machine’s folder is private, and rid of what an earlier machine left', async (t) => {
  const folder = path.join(await temporaryFolder((remove) => t.after(remove)), 'deep', 'm');
  const files = await prepareFolder(folder);
  await writeFile(files.qemuLog, 'old');
  await writeFile(files.agent, '');
  await prepareFolder(folder);
  await assert.rejects(readFile(files.qemuLog), /ENOENT/);
  await assert.rejects(readFile(files.agent), /ENOENT/);
  await assert.rejects(
    prepareFolder(path.join(folder, 'x'.repeat(100))),
    /too long for the machine's sockets/,
  );
});
