import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Driver } from '../../../../src/lib/sandbox/drivers/driver.ts';
import { qemuArguments } from '../../../../src/lib/sandbox/drivers/qemu/arguments.ts';
import { createQemuDriver, type QemuDriverOptions } from '../../../../src/lib/sandbox/drivers/qemu/driver.ts';
import { machineFiles, prepareFolder } from '../../../../src/lib/sandbox/drivers/qemu/files.ts';
import { findQemu, type QemuProgram } from '../../../../src/lib/sandbox/drivers/qemu/find.ts';
import { findRunningQemu, startQemu } from '../../../../src/lib/sandbox/drivers/qemu/process.ts';
import { QmpClient } from '../../../../src/lib/sandbox/drivers/qemu/qmp.ts';
import { QmpProbe } from '../../../helpers/qmp.ts';
import { freePort, machineSpec, MachineLog, temporaryFolder, waitUntil } from './machine-log.ts';

/** A driver and a folder for one machine, which is ended with the test; undefined when there is no QEMU. */
async function setUp(
  t: TestContext,
  options: QemuDriverOptions = {},
): Promise<{ driver: Driver; directory: string; qemu: QemuProgram } | undefined> {
  const found = await findQemu(process.env, { accel: 'tcg' });
  if ('missing' in found) {
    t.skip(found.missing);
    return undefined;
  }
  const folder = await temporaryFolder((remove) => t.after(remove));
  const directory = path.join(folder, 'm');
  const driver = createQemuDriver({ accel: 'tcg', ...options });
  t.after(async () => await driver.reap(directory));
  return { driver, directory, qemu: found };
}

const left = async (directory: string): Promise<string[]> => (await readdir(directory)).sort();
const LOGS = ['qemu.log', 'serial.log'];

test('without anything to boot the firmware’s screen appears, and nobody answers', async (t) => {
  const setting = await setUp(t);
  if (setting === undefined) return;
  const { driver, directory } = setting;
  const log = new MachineLog();
  const machine = await driver.start(machineSpec(directory, { spicePort: await freePort() }), log.add);
  const probe = await QmpProbe.connect(directory);
  t.after(() => probe.close());
  await waitUntil('the firmware shows itself', async () => (await probe.screenText()).includes('SeaBIOS'));
  assert.ok((await probe.screenColours()) >= 2);
  machine.sendToAgent('login alice');
  await machine.powerDown();
  await machine.kill();
  assert.deepEqual(log.types(), ['log', 'created', 'resized', 'started', 'exited']);
  const end = log.events.at(-1);
  assert.equal(end?.type === 'exited' && end.cause, 'host');
  assert.deepEqual(await left(directory), LOGS);
});

test('a machine without protection has no password to set', async (t) => {
  const setting = await setUp(t);
  if (setting === undefined) return;
  const { driver, directory } = setting;
  const spec = machineSpec(directory, { spicePort: await freePort(), passwordProtected: false });
  const machine = await driver.start(spec, () => undefined);
  await assert.rejects(machine.setDisplayPassword('x', 'never'), /the display of desktop-1 has no password/);
  await machine.kill();
});

test('a port that is in use is named', async (t) => {
  const setting = await setUp(t);
  if (setting === undefined) return;
  const { driver, directory } = setting;
  const other = net.createServer().listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const address = other.address();
  const spicePort = typeof address === 'object' && address !== null ? address.port : 0;
  const log = new MachineLog();
  const message = new RegExp(`^the SPICE port ${spicePort} of desktop-1 is in use \\(QEMU: .+\\)$`);
  await assert.rejects(driver.start(machineSpec(directory, { spicePort }), log.add), {
    name: 'VmopError',
    message,
  });
  assert.deepEqual(log.types(), ['log']);
  assert.equal(await findRunningQemu(machineFiles(directory)), undefined);
});

test('a QEMU that is not there is named', async (t) => {
  const setting = await setUp(t, { qemu: '/nonexistent/qemu' });
  if (setting === undefined) return;
  const { driver, directory } = setting;
  await assert.rejects(
    driver.start(machineSpec(directory), () => undefined),
    {
      name: 'VmopError',
      message: '/nonexistent/qemu is not installed',
    },
  );
});

test('QEMU’s own words are quoted for an image that it refuses', async (t) => {
  const folder = await temporaryFolder((remove) => t.after(remove));
  const image = path.join(folder, 'broken.qcow2');
  await writeFile(image, Buffer.from('514649fb00000003ffffffffffffffff', 'hex'));
  const setting = await setUp(t, { image });
  if (setting === undefined) return;
  const { driver, directory } = setting;
  const start = driver.start(machineSpec(directory), () => undefined);
  await assert.rejects(start, {
    name: 'VmopError',
    message: /^QEMU could not start desktop-1: qemu.*broken\.qcow2/,
  });
  assert.equal(await findRunningQemu(machineFiles(directory)), undefined);
});

test('an image is booted and not written', async (t) => {
  const folder = await temporaryFolder((remove) => t.after(remove));
  const image = path.join(folder, 'disk.img');
  const disk = bootableDisk();
  await writeFile(image, disk);
  const setting = await setUp(t, { image });
  if (setting === undefined) return;
  const { driver, directory } = setting;
  const machine = await driver.start(
    machineSpec(directory, { spicePort: await freePort() }),
    () => undefined,
  );
  const { serialLog } = machineFiles(directory);
  await waitUntil('the disk is booted', async () => (await readFile(serialLog, 'latin1')) === 'W');
  await machine.kill();
  assert.deepEqual(await readFile(image), disk);
});

test('a QEMU that dies is told as failed', async (t) => {
  const setting = await setUp(t);
  if (setting === undefined) return;
  const { driver, directory } = setting;
  const log = new MachineLog();
  const machine = await driver.start(machineSpec(directory), log.add);
  const qemu = await findRunningQemu(machineFiles(directory));
  assert.ok(qemu);
  const exited = log.next('exited', ({ type }) => type === 'exited');
  process.kill(qemu.pid, 'SIGKILL');
  assert.deepEqual(await exited, {
    type: 'exited',
    cause: 'failed',
    message: 'QEMU ended unexpectedly by SIGKILL',
  });
  await assert.rejects(machine.powerDown(), /QEMU is gone/);
  assert.deepEqual(await left(directory), LOGS);
});

test('reaping ends what was left behind, and only that', async (t) => {
  const setting = await setUp(t);
  if (setting === undefined) return;
  const { driver, directory } = setting;
  const files = machineFiles(directory);
  const machine = await driver.start(machineSpec(directory), () => undefined);
  machine.detach();
  await assert.rejects(
    driver.start(machineSpec(directory), () => undefined),
    /runs in .* already/,
  );
  const qemu = await findRunningQemu(files);
  assert.ok(qemu);
  await driver.reap(directory);
  assert.equal(await qemu.isRunning(), false);
  assert.deepEqual(await left(directory), LOGS);

  // Another process got the number of a QEMU that is gone.
  const stranger = spawn('sleep', ['60']);
  t.after(() => stranger.kill());
  await once(stranger, 'spawn');
  await writeFile(files.pid, String(stranger.pid));
  assert.equal(await driver.adopt(machineSpec(directory), () => undefined), undefined);
  await driver.reap(directory);
  assert.equal(stranger.signalCode, null);
  for (const nonsense of ['', '1', '-1', 'x', '99999999999999999999']) {
    await writeFile(files.pid, nonsense);
    assert.equal(await findRunningQemu(files), undefined);
  }
  await driver.reap(path.join(directory, 'none'));
});

test('a machine that was created and not started yet is started by whoever adopts it', async (t) => {
  const setting = await setUp(t);
  if (setting === undefined) return;
  const { driver, directory, qemu } = setting;
  const spec = machineSpec(directory);
  const files = await prepareFolder(directory);
  await startQemu(qemu.path, qemuArguments(spec, { kind: 'firmware' }, qemu, files), files);
  await waitUntil('QEMU has its sockets', async () => (await left(directory)).includes('agent.sock'));

  const busy = await QmpClient.connect(files.qmp);
  await assert.rejects(
    createQemuDriver({ answerMs: 100 }).adopt(spec, () => undefined),
    { name: 'VmopError', message: /^the machine of desktop-1 cannot be taken over: QEMU does not greet/ },
  );
  busy.close();

  const log = new MachineLog();
  const machine = await driver.adopt(spec, log.add);
  assert.deepEqual(log.types(), ['log', 'created', 'resized', 'started']);
  await machine?.kill();
  assert.equal(await driver.adopt(spec, log.add), undefined);
});

/** Writes `W` to the first serial port (mov dx, 0x3f8; mov al, 'W'; out dx, al) and stops (cli; hlt). */
function bootableDisk(): Buffer {
  const disk = Buffer.alloc(1024 * 1024);
  disk.set([0xba, 0xf8, 0x03, 0xb0, 0x57, 0xee, 0xfa, 0xf4]);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}
