import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { asObject } from '../../../../src/lib/cluster/parse.ts';
import type { MachineEvent, MachineSpec } from '../../../../src/lib/sandbox/drivers/driver.ts';
import { createQemuDriver } from '../../../../src/lib/sandbox/drivers/qemu/driver.ts';
import { machineFiles } from '../../../../src/lib/sandbox/drivers/qemu/files.ts';
import { findQemu } from '../../../../src/lib/sandbox/drivers/qemu/find.ts';
import { findRunningQemu } from '../../../../src/lib/sandbox/drivers/qemu/process.ts';
import { guestImage } from '../../../../src/lib/sandbox/guest-image/build.ts';
import type { GuestImage } from '../../../../src/lib/sandbox/guest-image/image.ts';
import { QmpProbe } from '../../../helpers/qmp.ts';
import { missingForX11, startX11 } from '../../../helpers/x11.ts';
import { freePort, machineSpec, MachineLog, temporaryFolder, waitUntil } from './machine-log.ts';

const PASSWORD = 'correct horse 🐎';
const MIB = 1024 * 1024;

/** Starts the machine in another process and kills that one, without a chance to tidy up, when the guest is there. */
async function startElsewhere(spec: MachineSpec, guest: GuestImage): Promise<MachineLog> {
  const script = path.join(import.meta.dirname, 'start-machine.ts');
  const child = spawn(process.execPath, [script, JSON.stringify(spec), JSON.stringify(guest)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const log = new MachineLog();
  createInterface(child.stdout).on('line', (line) => {
    const event: MachineEvent = JSON.parse(line);
    log.add(event);
  });
  await log.agent(220);
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
  return log;
}

function skip(t: TestContext, reason: string): undefined {
  t.skip(reason);
}

async function canRun(t: TestContext): Promise<GuestImage | undefined> {
  const qemu = await findQemu(process.env);
  if ('missing' in qemu) return skip(t, qemu.missing);
  const guest = await guestImage({ env: process.env });
  if ('missing' in guest) return skip(t, guest.missing);
  return guest;
}

test('a real guest', async (t) => {
  const guest = await canRun(t);
  if (guest === undefined) return;
  const directory = await temporaryFolder((remove) => t.after(remove));
  const spicePort = await freePort();
  const spec = machineSpec(directory, { spicePort });
  const driver = createQemuDriver({ guest });
  t.after(async () => await driver.reap(directory));
  const files = machineFiles(directory);
  const serial = async (): Promise<string> => await readFile(files.serialLog, 'utf8');

  await t.test('boots: created with one CPU, resized, started, booted, greeted', async () => {
    const log = await startElsewhere(spec, guest);
    const types = log.types().filter((type) => type !== 'log');
    assert.deepEqual(types, ['created', 'resized', 'started', 'booted', 'agentLine', 'agentLine']);
    assert.deepEqual(
      log.events.find(({ type }) => type === 'created'),
      {
        type: 'created',
        cpus: 1,
        ramBytes: 256 * MIB,
      },
    );
    const booted = log.events.find((event) => event.type === 'booted');
    assert.equal(booted?.osinfo?.['id'], 'vmop-guest');
  });

  const log = new MachineLog();
  const rebooted = log.next('booted', ({ type }) => type === 'booted');
  const machine = await driver.adopt(spec, log.add);
  assert.ok(machine, 'QEMU did not outlive the process that started it');
  const probe = await QmpProbe.connect(directory);
  t.after(() => probe.close());

  await t.test('is found again after its owner was killed', async () => {
    await rebooted;
    const types = log.types().filter((type) => type !== 'log');
    assert.deepEqual(types.slice(0, 3), ['created', 'started', 'booted']);
    assert.deepEqual(
      log.events.find(({ type }) => type === 'created'),
      {
        type: 'created',
        cpus: 2,
        ramBytes: 256 * MIB,
      },
    );
    // The agent does not greet again: whoever does would be told whom to log in, which ends a session.
    assert.equal(
      log.events.some((event) => event.type === 'agentLine' && event.line.startsWith('220')),
      false,
    );
  });

  await t.test('the agent logs users in and out', async () => {
    const ask = async (line: string, code: number): Promise<string> => {
      const answer = log.agent(code);
      machine.sendToAgent(line);
      return await answer;
    };
    assert.equal(await ask('login alice', 201), '201 alice is logged in');
    await waitUntil('the screen names alice', async () =>
      (await probe.screenText()).includes('alice is logged in, by the agent'),
    );
    assert.equal(await ask('login alice', 201), '201 alice is logged in already');
    assert.equal(await ask('login root', 504), '504 root is not logged in');
    assert.equal(await ask('login nobody', 451), '451 cannot log in nobody');
    assert.equal(await ask('login a;id', 451), '451 cannot log in a;id');
    assert.equal(await ask('login bob', 201), '201 bob is logged in');
    assert.equal(await ask('nonsense', 500), '500 not understood: nonsense');
    assert.equal(await ask('logout', 202), '202 nobody is logged in');
    assert.throws(() => machine.sendToAgent('login a\nlogout'), RangeError);
  });

  await t.test('the display is locked, then opens for the password', async (t) => {
    const missing = await missingForX11();
    if (missing !== undefined) return t.skip(missing);
    const x11 = await startX11();
    t.after(async () => await x11.close());
    assert.equal(asObject(await probe.execute('query-spice'))['auth'], 'spice');
    await assert.rejects(machine.setDisplayPassword(PASSWORD, 'tomorrow'), /password expiry/);
    await machine.setDisplayPassword(PASSWORD, '+60');

    const connected = log.next('console', ({ type }) => type === 'consoleConnected');
    const viewer = spawn('remote-viewer', ['-'], { env: x11.env, stdio: ['pipe', 'ignore', 'ignore'] });
    t.after(() => viewer.kill());
    const connection = { type: 'spice', host: '127.0.0.1', port: spicePort, password: PASSWORD };
    const lines = Object.entries(connection).map(([key, value]) => `${key}=${value}`);
    viewer.stdin.end(`[virt-viewer]\n${lines.join('\n')}\n`);
    const console = await connected;
    assert.equal(console.type === 'consoleConnected' && console.client, '127.0.0.1');
    for (const channel of [1, 2, 3]) await probe.waitForChannel(channel);

    // What is typed in the viewer arrives: a session is opened by hand.
    await x11.type(await x11.window(/\(1\)|Viewer/), 'carol\n');
    await waitUntil('carol has a session', async () => (await serial()).includes('seat: carol hand'));
    await machine.setDisplayPassword(undefined, 'now');
    const over = log.next('end of the console', ({ type }) => type === 'consoleDisconnected');
    viewer.kill();
    await over;
    const everything = [...log.events, ...(await logs(directory))].map((part) => JSON.stringify(part)).join();
    assert.equal(everything.includes('correct horse'), false, 'the password was written down');
  });

  await t.test('a session by hand ends with logout, as on the stock agent', async () => {
    const answer = log.agent(202);
    machine.sendToAgent('logout');
    await answer;
    await waitUntil('nobody is there', async () => (await serial()).trimEnd().endsWith('seat: nobody'));
  });

  await t.test('gets CPUs and gives memory back', async () => {
    assert.deepEqual(await machine.resize(3, 128 * MIB), { cpus: 3, ramBytes: 128 * MIB });
    assert.deepEqual(
      log.events.findLast(({ type }) => type === 'resized'),
      {
        type: 'resized',
        cpus: 3,
        ramBytes: 128 * MIB,
      },
    );
  });

  await t.test('boots again after a reset', async () => {
    const again = log.agent(220);
    await machine.reset();
    await again;
    assert.equal(log.types().includes('agentGone'), true);
  });

  await t.test('powers off when asked, and leaves no process and no socket', async () => {
    const exited = log.next('exited', ({ type }) => type === 'exited');
    await machine.powerDown();
    assert.deepEqual(await exited, {
      type: 'exited',
      cause: 'host',
      message: 'the machine was powered down',
    });
    assert.equal(await findRunningQemu(files), undefined);
    assert.deepEqual((await readdir(directory)).sort(), ['qemu.log', 'serial.log']);
    await assert.rejects(machine.reset(), /QEMU is gone/);
  });
});

/** What QEMU and the guest have written. */
async function logs(directory: string): Promise<string[]> {
  const { serialLog, qemuLog } = machineFiles(directory);
  return await Promise.all([serialLog, qemuLog].map(async (file) => await readFile(file, 'utf8')));
}
