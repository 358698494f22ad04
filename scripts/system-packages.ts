/**
 * The Debian packages that the demo and the tests need beside Node:
 * `node scripts/system-packages.ts demo|test [--check]` installs what is missing where it may (root, or sudo without a
 * password), else prints the line to run and exits with 3. `--check` installs nothing.
 */
import { execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, realpathSync } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type Purpose = 'demo' | 'test';

interface SystemPackage {
  name: string;
  /** It is there when this is in PATH, whoever installed it. */
  program?: string;
  /** It is there when a folder of QEMU's modules has this file. Not every release has such a package. */
  qemuModule?: string;
}

const DEMO: SystemPackage[] = [
  { name: 'qemu-system-x86', program: 'qemu-system-x86_64' },
  { name: 'qemu-system-modules-spice', qemuModule: 'ui-spice-core.so' },
  { name: 'virt-viewer', program: 'remote-viewer' },
  { name: 'xvfb', program: 'Xvfb' },
  { name: 'imagemagick', program: 'import' },
  { name: 'x11-utils', program: 'xwininfo' },
  { name: 'fonts-dejavu-core' },
];

const TEST: SystemPackage[] = [
  ...DEMO,
  { name: 'xdotool', program: 'xdotool' },
  { name: 'spice-client-gtk', program: 'spicy' },
  { name: 'chromium', program: 'chromium' },
];

const PACKAGES: Record<Purpose, SystemPackage[]> = { demo: DEMO, test: TEST };

/** What is not there, as names of packages. Without dpkg only programs count. */
export async function missingSystemPackages(purpose: Purpose): Promise<string[]> {
  const unsure = PACKAGES[purpose].filter(({ program, qemuModule }) => {
    if (program !== undefined) return !isInPath(program);
    return qemuModule === undefined || !hasQemuModule(qemuModule);
  });
  if (unsure.length === 0) return [];
  const installed = await installedPackages(unsure.map(({ name }) => name));
  return (
    unsure
      // A program that is not in PATH is not there, whatever the package list says.
      .filter(
        ({ name, program }) => program !== undefined || (installed !== undefined && !installed.has(name)),
      )
      .map(({ name }) => name)
  );
}

/**
 * Installs what is missing, if that is possible; resolves to what is missing still. Progress, and the line to run where
 * a person has to, go to stderr.
 */
export async function ensureSystemPackages(purpose: Purpose): Promise<string[]> {
  const wanted = await missingSystemPackages(purpose);
  if (wanted.length === 0) return [];
  const missing = isInPath('apt-get') ? await knownPackages(wanted) : wanted;
  if (missing.length === 0) return [];
  if (!isInPath('apt-get')) {
    say(
      `missing, as Debian names them: ${missing.join(', ')}. Install them with this system's package manager.`,
    );
    return missing;
  }
  const root = await rootCommand();
  if (root === undefined) {
    say(`missing: ${missing.join(', ')}. To install them, run:`);
    say(`  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing.join(' ')}`);
    return missing;
  }
  await install(root, missing);
  return await knownPackages(await missingSystemPackages(purpose));
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const folders = (process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => path.isAbsolute(folder));
const isInPath = (program: string): boolean =>
  folders.some((folder) => existsSync(path.join(folder, program)));

const LIBRARIES = '/usr/lib';

function hasQemuModule(file: string): boolean {
  if (!existsSync(LIBRARIES)) return false;
  return ['', ...readdirSync(LIBRARIES)].some((folder) =>
    existsSync(path.join(LIBRARIES, folder, 'qemu', file)),
  );
}

/** undefined: there is no dpkg here. */
async function installedPackages(names: string[]): Promise<Set<string> | undefined> {
  if (!isInPath('dpkg-query')) return undefined;
  // It fails when a package is unknown, and prints the others all the same.
  const format = '-f=${Package} ${db:Status-Abbrev}\\n';
  const stdout = await run('dpkg-query', ['-W', format, ...names]).then(
    (result) => result.stdout,
    (error: unknown) => (error instanceof Error && 'stdout' in error ? String(error.stdout) : ''),
  );
  const lines = stdout.split('\n').map((line) => line.split(' '));
  return new Set(lines.flatMap(([name, status]) => (name !== undefined && status === 'ii' ? [name] : [])));
}

/** Leaves out what this release does not have; everything stays where apt knows nothing yet. */
async function knownPackages(names: string[]): Promise<string[]> {
  const optional = new Set(TEST.flatMap(({ name, qemuModule }) => (qemuModule === undefined ? [] : [name])));
  const known = await Promise.all(
    names.map(async (name) => {
      if (!optional.has(name)) return name;
      const found = await run('apt-cache', ['show', '--no-all-versions', name]).catch(() => undefined);
      return found === undefined ? undefined : name;
    }),
  );
  return known.filter((name) => name !== undefined);
}

/** What goes before a command to run it as root; undefined: that is not possible without asking. */
async function rootCommand(): Promise<string[] | undefined> {
  if (process.getuid?.() === 0) return [];
  if (!isInPath('sudo')) return undefined;
  return await run('sudo', ['-n', 'true']).then(
    () => ['sudo', '-n'],
    () => undefined,
  );
}

const APT = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-o', 'DPkg::Lock::Timeout=300'];
const LISTS = '/var/lib/apt/lists';
const OLD_MS = 7 * 24 * 3600 * 1000;

async function install(root: string[], names: string[]): Promise<void> {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'vmop-packages-'));
  const log = path.join(folder, 'apt.log');
  const apt = async (...args: string[]): Promise<boolean> => await quietly([...root, ...APT, ...args], log);
  const update = async (): Promise<void> => {
    say('updating the package lists');
    await apt('update');
  };
  const attempt = async (): Promise<boolean> => {
    // A release's optional packages are known only with its lists.
    const known = await knownPackages(names);
    say(`installing ${known.join(', ')}`);
    return await apt('install', '-y', '--no-install-recommends', ...known);
  };
  try {
    const fresh = await listsAreFresh();
    if (!fresh) await update();
    if (await attempt()) return;
    // Lists that look fresh can name files that their server has replaced.
    if (fresh) await update();
    if (fresh && (await attempt())) return;
    const lines = (await fs.readFile(log, 'utf8')).trimEnd().split('\n');
    say(`that failed:\n${lines.slice(-LINES_OF_A_FAILURE).join('\n')}`);
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

const LINES_OF_A_FAILURE = 25;

async function listsAreFresh(): Promise<boolean> {
  const names = await fs.readdir(LISTS).catch(() => []);
  if (!names.some((name) => name.includes('_Packages'))) return false;
  return Date.now() - (await fs.stat(LISTS)).mtimeMs < OLD_MS;
}

/** Runs a command with its output in a file; resolves to whether it went well. */
async function quietly([program = '', ...args]: string[], log: string): Promise<boolean> {
  const output = openSync(log, 'a');
  try {
    return await new Promise((resolve) => {
      const child = spawn(program, args, { stdio: ['ignore', output, output] });
      child.once('error', () => resolve(false));
      child.once('exit', (code) => resolve(code === 0));
    });
  } finally {
    closeSync(output);
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === import.meta.filename) {
  const [purpose, ...flags] = process.argv.slice(2);
  if (purpose !== 'demo' && purpose !== 'test') {
    say('usage: node scripts/system-packages.ts demo|test [--check]');
    process.exitCode = 2;
  } else {
    const check = flags.includes('--check');
    const missing = await (check ? missingSystemPackages(purpose) : ensureSystemPackages(purpose));
    if (check && missing.length > 0) say(`missing: ${missing.join(', ')}`);
    if (missing.length > 0) process.exitCode = 3;
  }
}
