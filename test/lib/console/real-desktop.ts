import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asObject } from '../../../src/lib/cluster/parse.ts';

/** A virtual desktop and a machine with a SPICE display, both real. */
export interface RealDesktop {
  /** The environment of a viewer that shows itself on the desktop. */
  env: Record<string, string>;
  port: number;
  setPassword(password: string, expiry: string): Promise<void>;
  /** The types of the SPICE channels that are open. */
  channels(): Promise<number[]>;
  /** Ends the machine at once. */
  kill(): void;
  close(): Promise<void>;
}

const PROGRAMS = ['remote-viewer', 'Xvfb', 'qemu-system-x86_64'];

/** Which program this machine lacks; undefined: none. */
export function missingProgram(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':');
  const isThere = (file: string): boolean => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return PROGRAMS.find((name) => !folders.some((folder) => isThere(path.join(folder, name))));
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  server.close();
  await once(server, 'close');
  return address.port;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

/** One command after the other over QMP; events are passed over. */
class Monitor {
  readonly #socket: Socket;
  readonly #answers: ((answer: unknown) => void)[] = [];
  #rest = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    socket
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        const lines = (this.#rest + chunk.toString('utf8')).split('\n');
        this.#rest = lines.pop() ?? '';
        for (const line of lines) {
          const message = asObject(JSON.parse(line));
          if ('return' in message || 'error' in message) this.#answers.shift()?.(message['return']);
        }
      });
  }

  execute(command: string, args?: object): Promise<unknown> {
    this.#socket.write(`${JSON.stringify({ execute: command, ...(args && { arguments: args }) })}\n`);
    return new Promise((resolve) => this.#answers.push(resolve));
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function monitor(file: string): Promise<Monitor> {
  while (!existsSync(file)) await sleep(20);
  const socket = connect(file);
  await once(socket, 'connect');
  const found = new Monitor(socket);
  await found.execute('qmp_capabilities');
  return found;
}

export async function realDesktop(): Promise<RealDesktop> {
  const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  const screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1024x768x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const display = screen.stdio[3];
  assert.ok(display);
  const [number] = await once(display, 'data');
  const port = await freePort();
  const socket = path.join(folder, 'qmp');
  const machine = spawn(
    'qemu-system-x86_64',
    ['-accel', 'tcg', '-nodefaults', '-vga', 'std', '-display', 'none']
      .concat('-spice', `addr=127.0.0.1,port=${port},disable-ticketing=off`)
      .concat('-qmp', `unix:${socket},server=on,wait=off`),
    { stdio: 'ignore' },
  );
  const qmp = await monitor(socket);
  return {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: folder,
      XDG_RUNTIME_DIR: folder,
      DISPLAY: `:${String(number).trim()}`,
    },
    port,
    setPassword: async (password, time) => {
      await qmp.execute('set_password', { protocol: 'spice', password });
      await qmp.execute('expire_password', { protocol: 'spice', time });
    },
    channels: async () => {
      const { channels } = asObject(await qmp.execute('query-spice'));
      const list: unknown[] = Array.isArray(channels) ? channels : [];
      return list.map((channel) => Number(asObject(channel)['channel-type']));
    },
    kill: () => machine.kill('SIGKILL'),
    close: async () => {
      qmp.close();
      await end(machine, 'SIGKILL');
      await end(screen, 'SIGTERM');
      await rm(folder, { recursive: true, force: true });
    },
  };
}
