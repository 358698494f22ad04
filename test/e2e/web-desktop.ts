import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { chromium, type Browser } from 'playwright-core';
import { startBridge, type Bridge } from '../../src/lib/console/bridge/index.ts';
import { endpointDial } from '../../src/lib/console/reach/dial.ts';
import { createQemuDriver } from '../../src/lib/sandbox/drivers/qemu/driver.ts';
import type { Machine, MachineEvent } from '../../src/lib/sandbox/drivers/driver.ts';
import { machineFiles } from '../../src/lib/sandbox/drivers/qemu/files.ts';
import { findQemu } from '../../src/lib/sandbox/drivers/qemu/find.ts';
import { guestImage } from '../../src/lib/sandbox/guest-image/build.ts';
import { QmpProbe } from '../helpers/qmp.ts';
import { freePort, machineSpec, MachineLog } from '../lib/sandbox/qemu/machine-log.ts';
import { parsePpm, type Picture } from './picture.ts';

const PASSWORD = 'only the bridge knows it';

/** Chromium's program; undefined: there is none. */
export async function findChromium(): Promise<string | undefined> {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    const found = await promisify(execFile)('which', [name]).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a real desktop in a real browser needs and this machine lacks; undefined: nothing. */
export async function missingForWeb(): Promise<string | undefined> {
  if ((await findChromium()) === undefined) return 'chromium is not installed';
  const qemu = await findQemu(process.env);
  if ('missing' in qemu) return qemu.missing;
  const guest = await guestImage({ env: process.env });
  return 'missing' in guest ? guest.missing : undefined;
}

export async function startChromium(...more: string[]): Promise<Browser> {
  const executablePath = await findChromium();
  if (executablePath === undefined) throw new Error('chromium is not installed');
  // Its sandbox does not work for root, as whom tests may run in a container.
  const args = process.getuid?.() === 0 ? ['--no-sandbox', ...more] : more;
  return await chromium.launch({ executablePath, args, headless: true });
}

/** A machine with the tiny guest, and a way to its display that changes nothing. */
export class WebDesktop {
  readonly machine: Machine;
  readonly probe: QmpProbe;
  readonly #port: number;
  readonly #folder: string;

  private constructor(parts: { machine: Machine; probe: QmpProbe; port: number; folder: string }) {
    this.machine = parts.machine;
    this.probe = parts.probe;
    this.#port = parts.port;
    this.#folder = parts.folder;
  }

  /** Resolves when the guest's agent has spoken. */
  static async start(): Promise<WebDesktop> {
    const folder = await mkdtemp(path.join(tmpdir(), 'vmop-web-'));
    const guest = await guestImage({ env: process.env });
    if ('missing' in guest) throw new Error(guest.missing);
    const port = await freePort();
    const log = new MachineLog();
    const spoken = log.agent(220);
    const driver = createQemuDriver({ guest });
    const onEvent = (event: MachineEvent): void => log.add(event);
    const machine = await driver.start(machineSpec(folder, { spicePort: port }), onEvent);
    await spoken;
    await machine.setDisplayPassword(PASSWORD, 'never');
    const probe = await QmpProbe.connect(folder);
    return new WebDesktop({ machine, probe, port, folder });
  }

  /** What `vmop console --web` has between page and machine. */
  async bridge(): Promise<Bridge> {
    const source = 'the test';
    const endpoint = { host: { value: '127.0.0.1', source }, port: { value: this.#port, source } };
    return await startBridge({
      dial: endpointDial(endpoint),
      password: async () => await Promise.resolve(PASSWORD),
      onEvent: () => {},
    });
  }

  /** The screen, as QEMU has it. */
  async picture(): Promise<Picture> {
    const file = path.join(this.#folder, 'picture.ppm');
    await this.probe.execute('screendump', { filename: file });
    const picture = parsePpm(await readFile(file));
    await rm(file);
    return picture;
  }

  /** What the guest wrote on its serial port. */
  async serial(): Promise<string> {
    return await readFile(machineFiles(this.#folder).serialLog, 'utf8');
  }

  async close(): Promise<void> {
    this.probe.close();
    await this.machine.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
