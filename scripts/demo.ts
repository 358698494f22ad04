/**
 * The main job, from nothing to a desktop on the screen: `npm run demo`. Prints each command that it runs with that
 * command's own output, leaves a picture of the viewer's window, and takes everything away again.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { VmopError, messageOf } from '../src/lib/errors.ts';
import { startXvfb, takePicture, type Screen } from './demo/screen.ts';
import { ensureSystemPackages } from './system-packages.ts';

const root = path.join(import.meta.dirname, '..');
const vmop = path.join(root, 'bin/run.js');
/** Here, or where everybody may write. */
const PICTURE = path.join(isWritable(process.cwd()) ? process.cwd() : os.tmpdir(), 'vmop-desktop.png');
const VM = 'desktop-1';
const USER = 'alice';

const folder = mkdtempSync(path.join(os.tmpdir(), 'vmop-demo-'));
const env: NodeJS.ProcessEnv = { ...process.env, VMOP_SANDBOX_DIR: path.join(folder, 'sandbox') };
// Only the sandbox that this demo starts, whatever clusters the person has.
delete env['KUBECONFIG'];
delete env['VMOP_CONTEXT'];
delete env['VMOP_NAMESPACE'];
env['HOME'] = folder;
// What takes long to make is kept where the person's own vmop looks for it.
env['XDG_CACHE_HOME'] ??= path.join(os.homedir(), '.cache');

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const say = (text = ''): void => void process.stdout.write(`${text}\n`);
const ending = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort(signal));

function start(args: string[]): ChildProcess {
  say(`\n$ vmop ${args.join(' ')}`);
  return spawn(process.execPath, [vmop, ...args], { env, stdio: ['ignore', 'inherit', 'inherit'] });
}

async function ended(child: ChildProcess): Promise<number> {
  if (child.exitCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1))));
}

/** Runs a command to its end; the demo ends with it when it fails. */
async function run(...args: string[]): Promise<void> {
  ending.signal.throwIfAborted();
  const child = start(args);
  const stop = (): void => void child.kill('SIGTERM');
  ending.signal.addEventListener('abort', stop);
  const code = await ended(child);
  ending.signal.removeEventListener('abort', stop);
  ending.signal.throwIfAborted();
  if (code !== 0) throw new VmopError('failed', `vmop ${args.join(' ')} ended with exit code ${code}`);
}

/** Opens the console, waits until it is connected, takes the picture. */
async function showConsole(screen: Screen): Promise<void> {
  Object.assign(env, screen.env);
  const console = start(['console', VM]);
  let over = false;
  const finished = ended(console).then((code) => {
    over = true;
    return code;
  });
  const stop = (): void => void console.kill('SIGINT');
  ending.signal.addEventListener('abort', stop);
  try {
    const connected = run('wait', VM, '--for', 'console', '--timeout', '60s');
    // Met below, or no longer of interest.
    connected.catch(() => {});
    await Promise.race([connected, finished]);
    if (over) throw new VmopError('console', 'the console ended before its picture could be taken');
    await connected;
    await takePicture(screen, `${VM} (1)`, PICTURE, ending.signal);
    await run('list');
    say(`\nA picture of the desktop in its viewer: ${PICTURE}`);
    if (screen.own) {
      say('\n^C (as a person would end the console)');
      stop();
    } else say('Close the viewer’s window, or press Ctrl-C, to end the demo.');
    await finished;
  } finally {
    stop();
    await finished;
    ending.signal.removeEventListener('abort', stop);
  }
}

async function demo(): Promise<void> {
  const began = Date.now();
  const missing = await ensureSystemPackages('demo');
  if (missing.length > 0)
    say(`Not installed, so simulated VMs without a screen are shown: ${missing.join(', ')}`);
  const real = missing.length === 0;
  let screen: Screen | undefined;
  try {
    await run('sandbox', 'start', '--driver', real ? 'qemu' : 'simulated');
    await run('list');
    await run('start', VM);
    await run('wait', VM, '--for', 'agent', '--timeout', '120s');
    await run('login', VM, '--user', USER);
    if (real) {
      screen = await startXvfb(folder);
      await showConsole(screen);
    } else {
      await run('list');
      say('\nThe console needs QEMU and a viewer: see the line above for what to install.');
    }
    say(`\nDone in ${Math.round((Date.now() - began) / 1000)} s.`);
  } finally {
    screen?.close();
    // Whatever happened: no machine and no process stays.
    await ended(start(['sandbox', 'stop', '--purge']));
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  await demo();
} catch (error) {
  process.exitCode = ending.signal.aborted ? 130 : 1;
  if (!ending.signal.aborted) process.stderr.write(`\nThe demo failed: ${messageOf(error)}\n`);
}
