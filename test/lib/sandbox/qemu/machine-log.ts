import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { MachineEvent, MachineSpec } from '../../../../src/lib/sandbox/drivers/driver.ts';

const WAIT_MS = 60_000;

/** Collects a machine's events, so that a test can wait for one. */
export class MachineLog {
  readonly events: MachineEvent[] = [];
  readonly #listeners = new Set<(event: MachineEvent) => void>();

  readonly add = (event: MachineEvent): void => {
    this.events.push(event);
    for (const listener of this.#listeners) listener(event);
  };

  /** The types of what came, in order. */
  types(): MachineEvent['type'][] {
    return this.events.map(({ type }) => type);
  }

  /** The next event that matches; what came before this call does not count. */
  async next(what: string, matches: (event: MachineEvent) => boolean): Promise<MachineEvent> {
    return await new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
      };
      const listener = (event: MachineEvent): void => {
        if (!matches(event)) return;
        stop();
        resolve(event);
      };
      const timer = setTimeout(() => {
        stop();
        reject(
          new Error(
            `no ${what} within ${WAIT_MS / 1000} s; events: ${JSON.stringify(this.events.slice(-5))}`,
          ),
        );
      }, WAIT_MS);
      this.#listeners.add(listener);
    });
  }

  /** The agent's next line with this code. */
  async agent(code: number): Promise<string> {
    const isLine = (event: MachineEvent): boolean =>
      event.type === 'agentLine' && event.line.startsWith(`${code} `);
    const event = await this.next(`agent's ${code}`, isLine);
    return event.type === 'agentLine' ? event.line : '';
  }
}

/** Looks again and again, because nothing tells. */
export async function waitUntil(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it did not come true that ${what}`);
    await delay(25);
  }
}

/** A port of this computer that nobody uses at the moment. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** A folder that goes away with the test. */
export async function temporaryFolder(after: (remove: () => Promise<void>) => void): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-qemu-'));
  after(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

const MIB = 1024 * 1024;

/** Two of three CPUs, 256 MiB, a display with a password on a port of its own. */
export function machineSpec(directory: string, spec: Partial<MachineSpec> = {}): MachineSpec {
  return {
    name: 'desktop-1',
    namespace: 'default',
    uid: '0c9a7c54-6a6b-4f3c-9c1c-8f3b6f6c1d01',
    directory,
    maximumCpus: 3,
    currentCpus: 2,
    maximumRamBytes: 256 * MIB,
    currentRamBytes: 256 * MIB,
    spicePort: undefined,
    passwordProtected: true,
    annotations: {},
    ...spec,
  };
}
