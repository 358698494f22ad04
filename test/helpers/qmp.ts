import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { asArray, asInteger, asObject, asString } from '../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../src/lib/cluster/types.ts';
import { machineFiles } from '../../src/lib/sandbox/drivers/qemu/files.ts';
import { QmpClient, type QmpEvent } from '../../src/lib/sandbox/drivers/qemu/qmp.ts';

const WAIT_MS = 30_000;

/** A test's own view of a machine, through QEMU's second control socket. */
export class QmpProbe {
  /** Everything that QEMU told since the probe was connected. */
  readonly events: QmpEvent[] = [];
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #directory: string;
  #client: QmpClient | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** `directory`: the machine's folder. */
  static async connect(directory: string): Promise<QmpProbe> {
    const probe = new QmpProbe(directory);
    probe.#client = await QmpClient.connect(machineFiles(directory).qmpDebug, {
      onEvent: (event) => {
        probe.events.push(event);
        for (const listener of probe.#listeners) listener(event);
      },
    });
    return probe;
  }

  async execute(command: string, args?: JsonObject): Promise<unknown> {
    if (this.#client === undefined) throw new Error('the probe is not connected');
    return await this.#client.execute(command, args);
  }

  /** The first event that matches, also one that came before. */
  async waitFor(what: string, matches: (event: QmpEvent) => boolean): Promise<QmpEvent> {
    const known = this.events.find(matches);
    if (known !== undefined) return known;
    return await new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
      };
      const listener = (event: QmpEvent): void => {
        if (!matches(event)) return;
        stop();
        resolve(event);
      };
      const timer = setTimeout(() => {
        stop();
        reject(new Error(`QEMU did not tell of ${what} within ${WAIT_MS / 1000} s`));
      }, WAIT_MS);
      this.#listeners.add(listener);
    });
  }

  /** A channel of SPICE passed authentication. */
  async waitForChannel(type: number): Promise<QmpEvent> {
    return await this.waitFor(`channel ${type}`, (event) => spiceChannelType(event) === type);
  }

  /** The types of the channels that are connected: 1 main, 2 display, 3 inputs, 4 cursor. */
  async spiceChannels(): Promise<number[]> {
    const channels = asArray(asObject(await this.execute('query-spice'))['channels']);
    return channels
      .map((channel) => asInteger(asObject(channel)['channel-type']) ?? -1)
      .sort((a, b) => a - b);
  }

  /** A PNG of the screen, as the machine has it. */
  async screenshot(file: string): Promise<void> {
    await this.execute('screendump', { filename: path.resolve(file), format: 'png' });
  }

  /** How many colours the screen shows. */
  async screenColours(): Promise<number> {
    const file = path.join(this.#directory, 'screen.ppm');
    await this.execute('screendump', { filename: file });
    const pixels = (await readFile(file)).subarray(PPM_HEADER_BYTES);
    await rm(file);
    const colours = new Set<number>();
    for (let at = 0; at + 3 <= pixels.length; at += 3) colours.add(pixels.readUIntBE(at, 3));
    return colours.size;
  }

  /** What stands on a screen in text mode, a line each; ASCII only, and what has scrolled away as well. */
  async screenText(): Promise<string> {
    const file = path.join(this.#directory, 'screen.bin');
    await this.execute('pmemsave', { val: TEXT_MEMORY, size: TEXT_MEMORY_BYTES, filename: file });
    const memory = await readFile(file);
    await rm(file);
    const characters = Buffer.from(memory.filter((_byte, index) => index % 2 === 0)).toString('latin1');
    const lines = characters.match(/[^]{80}/g) ?? [];
    return lines.map((line) => line.replaceAll(/[^ -~]/g, ' ').trimEnd()).join('\n');
  }

  /** What QEMU calls the machine's state: `running`, `prelaunch`, `paused`, … */
  async status(): Promise<string | undefined> {
    return asString(asObject(await this.execute('query-status'))['status']);
  }

  close(): void {
    this.#client?.close();
  }
}

const PPM_HEADER_BYTES = 15;
const TEXT_MEMORY = 0xb8000;
const TEXT_MEMORY_BYTES = 0x8000;

export function spiceChannelType({ name, data }: QmpEvent): number | undefined {
  return name === 'SPICE_INITIALIZED' ? asInteger(asObject(data['client'])['channel-type']) : undefined;
}
