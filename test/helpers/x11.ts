import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

const WAIT_MS = 20_000;
const POLL_MS = 100;

/** A screen that nobody sees, for programs with windows. */
export interface X11 {
  /** What a program needs to appear here: DISPLAY, and a home and run-time folder of its own, without a session bus. */
  env: NodeJS.ProcessEnv;
  /** All that it shows now, as an X window dump: read without asking the screen, for those who look often. */
  frameFile: string;
  /** The titles of all windows. */
  titles(): Promise<string[]>;
  /** Waits for a window whose title matches; resolves to its X11 id. */
  window(title: RegExp): Promise<string>;
  /** Types into a window: clicks it first, so that it has the keyboard. `\n` is Return. */
  type(window: string, text: string): Promise<void>;
  /** Presses one combination, as xdotool names it: `ctrl+alt+End`. */
  press(window: string, keys: string): Promise<void>;
  /** A PNG of everything. */
  screenshot(file: string): Promise<void>;
  /** Ends the screen, and with it whatever shows a window there. */
  close(): Promise<void>;
}

/** What of the screen's programs is not installed; undefined when all is there. */
export async function missingForX11(): Promise<string | undefined> {
  for (const program of ['Xvfb', 'xdotool', 'import']) {
    try {
      await run('which', [program]);
    } catch {
      return `${program} is not installed`;
    }
  }
  return undefined;
}

/** Starts Xvfb on a free display number. */
export async function startX11({ width = 1024, height = 768 } = {}): Promise<X11> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-x11-'));
  const xvfb = spawn(
    'Xvfb',
    [
      '-displayfd',
      '3',
      '-screen',
      '0',
      `${width}x${height}x24`,
      '-fbdir',
      folder,
      '-nolisten',
      'tcp',
      '-noreset',
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] },
  );
  const close = async (): Promise<void> => {
    await ended(xvfb);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const env = await environment(folder, await displayNumber(xvfb));
    return { ...actions(env), env, frameFile: path.join(folder, 'Xvfb_screen0'), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function displayNumber(xvfb: ChildProcess): Promise<string> {
  return await new Promise((resolve, reject) => {
    xvfb.once('error', reject);
    xvfb.once('exit', () => reject(new Error('Xvfb ended at once')));
    xvfb.stdio[3]?.once('data', (chunk) => resolve(String(chunk).trim()));
  });
}

async function environment(folder: string, display: string): Promise<NodeJS.ProcessEnv> {
  const home = path.join(folder, 'home');
  const runtime = path.join(folder, 'run');
  for (const made of [home, runtime]) await mkdir(made, { mode: 0o700 });
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    DISPLAY: `:${display}`,
    HOME: home,
    XDG_RUNTIME_DIR: runtime,
    // Otherwise the viewer starts a bus that outlives it.
    DBUS_SESSION_BUS_ADDRESS: 'disabled:',
    NO_AT_BRIDGE: '1',
  };
  for (const name of ['XDG_CONFIG_HOME', 'XDG_CACHE_HOME', 'XDG_STATE_HOME', 'XDG_DATA_HOME'])
    delete env[name];
  for (const name of ['WAYLAND_DISPLAY', 'XAUTHORITY']) delete env[name];
  return env;
}

function actions(env: NodeJS.ProcessEnv): Omit<X11, 'env' | 'frameFile' | 'close'> {
  const xdotool = async (...args: string[]): Promise<string> =>
    (await run('xdotool', args, { env, timeout: WAIT_MS })).stdout.trim();

  const windows = async (): Promise<{ id: string; title: string }[]> => {
    // Fails when there is none.
    const ids = await xdotool('search', '--onlyvisible', '--name', '.').catch(() => '');
    const named = ids.split('\n').map(async (id) => ({
      id,
      // It may be gone by now.
      title: await xdotool('getwindowname', id).catch(() => ''),
    }));
    return (await Promise.all(named)).filter(({ title }) => title !== '');
  };

  const click = async (window: string): Promise<void> => {
    // There is no window manager: the window is given the keyboard by hand.
    await xdotool('windowfocus', '--sync', window);
    const shell = await xdotool('getwindowgeometry', '--shell', window);
    const size = (name: string): number => Number(new RegExp(`^${name}=(\\d+)$`, 'm').exec(shell)?.[1] ?? 0);
    const middle = [size('WIDTH'), size('HEIGHT')].map((length) => String(Math.floor(length / 2)));
    await xdotool('mousemove', '--window', window, ...middle, 'click', '1');
  };

  return {
    titles: async () => (await windows()).map(({ title }) => title),
    async window(title) {
      const deadline = performance.now() + WAIT_MS;
      for (;;) {
        const found = await windows();
        const match = found.find((candidate) => title.test(candidate.title));
        if (match !== undefined) return match.id;
        if (performance.now() > deadline) {
          throw new Error(`no window ${title}; there are: ${found.map((other) => other.title).join(', ')}`);
        }
        await delay(POLL_MS);
      }
    },
    async type(window, text) {
      await click(window);
      for (const [index, line] of text.split('\n').entries()) {
        if (index > 0) await xdotool('key', 'Return');
        if (line !== '') await xdotool('type', '--delay', '40', '--', line);
      }
    },
    async press(window, keys) {
      await click(window);
      await xdotool('key', keys);
    },
    async screenshot(file) {
      await run('import', ['-window', 'root', file], { env, timeout: WAIT_MS });
    },
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await exit;
  clearTimeout(timer);
}
