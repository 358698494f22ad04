/** Where the demo's viewer appears: the person's own display, or a virtual one. */
import { execFile, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { VmopError } from '../../src/lib/errors.ts';

const execute = promisify(execFile);

export interface Screen {
  env: Record<string, string>;
  /** It is ours, and nobody sees it. */
  own: boolean;
  close(): void;
}

/** The person's display when there is one, else Xvfb on a free number. */
export async function startXvfb(folder: string): Promise<Screen> {
  const { DISPLAY: display } = process.env;
  if (display && (await answers(display)))
    return { env: { DISPLAY: display }, own: false, close: () => undefined };
  const runtime = path.join(folder, 'runtime');
  mkdirSync(runtime, { mode: 0o700 });
  const args = ['-displayfd', '3', '-screen', '0', '1024x768x24', '-nolisten', 'tcp'];
  const xvfb = spawn('Xvfb', args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  const number = await new Promise<string>((resolve, reject) => {
    xvfb.once('error', reject);
    xvfb.once('exit', () => reject(new VmopError('failed', 'Xvfb, the virtual screen, ended at once')));
    xvfb.stdio[3]?.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
  });
  return {
    env: { DISPLAY: `:${number}`, XDG_RUNTIME_DIR: runtime, DBUS_SESSION_BUS_ADDRESS: 'disabled:' },
    own: true,
    close: () => void xvfb.kill('SIGTERM'),
  };
}

/** A DISPLAY left over from another session is none. */
async function answers(display: string): Promise<boolean> {
  try {
    await execute('xwininfo', ['-root'], { env: { ...process.env, DISPLAY: display }, timeout: 5000 });
    return true;
  } catch {
    return false;
  }
}

const ATTEMPTS = 60;

/** A PNG of the viewer's window, which has this title once there is a picture in it. */
export async function takePicture(
  { env }: Screen,
  title: string,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const options = { env: { ...process.env, ...env }, signal, timeout: 5000 };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      const { stdout: window } = await execute('xwininfo', ['-name', title], options);
      const id = /Window id: (0x[0-9a-f]+)/.exec(window)?.[1] ?? 'root';
      await execute('import', ['-window', id, file], options);
      // A viewer without a picture is grey, and the guest's desktop is not.
      const measure = ['-colorspace', 'HSL', '-channel', 'G', '-separate', '-format', '%[fx:mean]', 'info:'];
      const { stdout } = await execute('convert', [file, ...measure], options);
      if (Number(stdout) > COLOURFUL) return;
    } catch {
      // No window of that name yet.
      signal.throwIfAborted();
    }
    await sleep(500, undefined, { signal });
  }
  throw new VmopError('console', `no picture came in a window called ${title}`);
}

/** Mean saturation. */
const COLOURFUL = 0.1;
