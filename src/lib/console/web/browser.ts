import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { VmopError, messageOf } from '../../errors.ts';
import { sanitize } from '../../text.ts';
import { createPrivateFile } from '../private-file.ts';
import { pathCandidates, type Environment } from '../viewer/platform.ts';

/** How to open a page. */
export interface BrowserCommand {
  /** For a person to read. */
  name: string;
  command: string;
  args: string[];
}

/** What a browser was given to open. */
export interface LaunchPage {
  /** The program that was asked, for a person to read. */
  browser: string;
  /** Removes the file that the browser was given. Any number of times. */
  remove(): Promise<void>;
}

export interface BrowserMachine {
  platform: NodeJS.Platform;
  env: Environment;
  /** Whether a program is there. */
  isProgram: (file: string) => boolean;
}

/** Programs that open what the person has chosen for a kind of file; the first that is there. */
const LINUX = [
  ['xdg-open'],
  ['gio', 'open'],
  ['x-www-browser'],
  ['firefox'],
  ['chromium'],
  ['google-chrome'],
];
const WSL = [['wslview'], ...LINUX];

/**
 * The command that opens `page`, which is a file's URL. `BROWSER` (programs separated by `:`, `%s` for the page) goes
 * first. Otherwise what opens pages on this system; undefined when there is nothing, or no desktop to show it on.
 */
export function browserCommand(
  page: string,
  { platform, env, isProgram }: BrowserMachine,
): BrowserCommand | undefined {
  const os = platform === 'win32' || platform === 'darwin' ? platform : 'linux';
  const find = (name: string): string | undefined =>
    /[\\/]/.test(name)
      ? [name].find((file) => isProgram(file))
      : pathCandidates(os, env, name).find((file) => isProgram(file));
  const commandOf = ([name = '', ...args]: string[]): BrowserCommand | undefined => {
    const command = find(name);
    const filled = args.map((argument) => argument.replaceAll('%s', () => page));
    const given = filled.some((argument, index) => argument !== args[index]) ? filled : [...args, page];
    return command === undefined ? undefined : { name, command, args: given };
  };
  const wanted = (env['BROWSER'] ?? '')
    .split(os === 'win32' ? ';' : ':')
    .map((one) => one.trim().split(/\s+/));
  for (const words of wanted) {
    const command = words[0] === '' ? undefined : commandOf(words);
    if (command) return command;
  }
  if (os === 'darwin') return { name: 'open', command: '/usr/bin/open', args: [page] };
  if (os === 'win32') return windowsCommand(page, env);
  const isWsl = env['WSL_DISTRO_NAME'] !== undefined;
  if (!isWsl && !env['DISPLAY'] && !env['WAYLAND_DISPLAY']) return undefined;
  for (const words of isWsl ? WSL : LINUX) {
    const command = commandOf(words);
    if (command) return command;
  }
  return undefined;
}

/** `start` is a word of cmd.exe, which would read signs in the page's name; this asks Windows itself. */
function windowsCommand(page: string, env: Environment): BrowserCommand {
  const root = env['SystemRoot'] ?? env['SYSTEMROOT'] ?? 'C:\\Windows';
  const command = `${root}\\System32\\rundll32.exe`;
  return { name: 'the browser', command, args: ['url.dll,FileProtocolHandler', page] };
}

/** How soon a program that opens pages says that it cannot. */
const FAILS_WITHIN_MS = 1500;

export interface OpenOptions {
  env: Environment;
  platform?: NodeJS.Platform;
  /** Told of the private folder that the link is put into. */
  onFolder?: ((folder: string) => void) | undefined;
}

/**
 * Opens the link in the person's browser without naming it in an argument, which everybody on this computer can
 * read: the browser gets a file that nobody else can read and that leads on to the link. Errors: `console` without a
 * browser, and when it cannot be started.
 */
export async function openInBrowser(
  url: string,
  { env, platform = process.platform, onFolder }: OpenOptions,
): Promise<LaunchPage> {
  const file = await createPrivateFile('console.html', launchHtml(url), onFolder);
  try {
    const page = pathToFileURL(file.path).href;
    const machine: BrowserMachine = { platform, env, isProgram };
    // wslview turns paths into Windows's own, but not URLs of files.
    const place = env['WSL_DISTRO_NAME'] === undefined ? page : file.path;
    const command = browserCommand(place, machine);
    if (command === undefined) throw new VmopError('console', 'no browser is found on this computer');
    await start(command, env);
    return { browser: command.name, remove: async () => await file.remove() };
  } catch (error) {
    await file.remove();
    throw error;
  }
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Resolves when the program has done its part, or runs on: it is the person's browser then. */
async function start({ name, command, args }: BrowserCommand, env: Environment): Promise<void> {
  const child = spawn(command, args, { stdio: 'ignore', detached: true, env, windowsHide: true });
  const failed = (why: string, cause?: unknown): VmopError =>
    new VmopError('console', `${name} does not open a browser: ${why}`, { cause });
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', (error) => reject(failed(sanitize(messageOf(error)), error)));
      child.once('exit', (code, signal) =>
        code === 0 ? resolve() : reject(failed(`it ended with ${code ?? signal ?? 'an error'}`)),
      );
      timer = setTimeout(resolve, FAILS_WITHIN_MS);
    });
  } finally {
    clearTimeout(timer);
    child.removeAllListeners().on('error', () => {});
    child.unref();
  }
}

/** A page that leads on to the link. */
export function launchHtml(url: string): string {
  const escaped = url.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  return [
    '<!doctype html>',
    '<meta charset="utf-8">',
    '<meta name="referrer" content="no-referrer">',
    `<meta http-equiv="refresh" content="0;url=${escaped}">`,
    '<title>vmop console</title>',
    `<p><a href="${escaped}">Open the console</a></p>`,
    '',
  ].join('\n');
}
