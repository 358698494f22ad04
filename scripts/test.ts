/**
 * All checks and tests: `npm test`. Arguments are file patterns that narrow the tests (`npm test -- test/lib/vm/*`);
 * the static checks then do not run. The last line is `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from 'node:test';

const root = path.join(import.meta.dirname, '..');
const bin = (name: string): string => path.join(root, 'node_modules/.bin', name);
const counts = { passed: 0, failed: 0, skipped: 0 };
const skips: string[] = [];
const times: { seconds: number; file: string }[] = [];
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** One command that passes or fails as a whole; its output is shown when it fails. */
async function check(name: string, command: string, args: string[]): Promise<boolean> {
  const started = Date.now();
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  say(`${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
  if (code !== 0) say(Buffer.concat(output).toString('utf8'));
  counts[code === 0 ? 'passed' : 'failed'] += 1;
  return code === 0;
}

const node = process.execPath;

/** Takes minutes on a fresh machine: before the tests, whose time it is not, and with its progress to be seen. */
async function kubeBinaries(): Promise<void> {
  const build = spawn(node, ['scripts/kube-binaries.ts'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const code = await new Promise<number | null>((resolve) => {
    build.once('error', () => resolve(null));
    build.once('close', resolve);
  });
  if (code !== 0) say('without the programs of a Kubernetes API server some tests will be skipped');
}

async function staticChecks(): Promise<void> {
  await check('types', bin('tsc'), ['-p', '.']);
  await check('types of the browser console’s page', bin('tsc'), ['-p', 'src/lib/console/web/page']);
  await check('lint: layers, cycles, rules', bin('oxlint'), ['--deny-warnings']);
  await check('format', bin('prettier'), ['--check', '--log-level', 'warn', '.']);
  await check('command table, oclif.manifest.json and README are up to date', node, [
    'scripts/commands.ts',
    '--check',
  ]);
  await check('build', node, ['scripts/build.ts']);
}

/** Runs test files, each in a process of its own. Tests that hold a whole machine run one after the other. */
async function testFiles(files: string[], concurrency: number): Promise<void> {
  if (files.length === 0) return;
  const stream = run({ files, concurrency, timeout: 10 * 60_000, cwd: root });
  stream.on('test:pass', ({ name, file, skip, details }) => {
    // Of a suite that is skipped nothing else is heard: its tests are not even counted.
    if (skip !== undefined && skip !== false) {
      counts.skipped += 1;
      skips.push(`${path.relative(root, file ?? '')}: ${name}: ${skip === true ? 'no reason given' : skip}`);
    } else if (details.type !== 'suite') counts.passed += 1;
  });
  stream.on('test:fail', ({ name, file, line, details }) => {
    // A suite fails because of a test in it, which is told by itself.
    if (
      details.type === 'suite' &&
      'failureType' in details.error &&
      details.error.failureType === 'subtestsFailed'
    )
      return;
    counts.failed += 1;
    const { cause } = details.error;
    say(`FAIL ${path.relative(root, file ?? '')}:${line ?? 0}: ${name}`);
    say(
      cause instanceof Error
        ? (cause.stack ?? cause.message)
        : `${details.error.message} ${JSON.stringify(cause) ?? ''}`,
    );
  });
  stream.on('test:summary', ({ file, success, counts: inFile, duration_ms }) => {
    if (file === undefined) return;
    // The file's own: what it has to tell waits for the files before it.
    const seconds = duration_ms / 1000;
    const name = path.relative(root, file);
    times.push({ seconds, file: name });
    say(`${success ? 'ok  ' : 'FAIL'} ${name}: ${inFile.tests} tests (${seconds.toFixed(1)} s)`);
  });
  stream.on('test:stderr', ({ message }) => void process.stderr.write(message));
  for await (const _event of stream) void _event;
}

/** Tests tidy up after themselves: what is left in the folder for their temporary files is a failure. */
function checkTemporary(folder: string): void {
  const left = readdirSync(folder).filter((name) => name.startsWith('vmop-'));
  if (left.length > 0) {
    counts.failed += 1;
    say(`FAIL temporary files are left behind: ${left.join(', ')}`);
  }
  rmSync(folder, { recursive: true, force: true });
}

const SLOWEST = 5;

const wanted = process.argv.slice(2);
const files = (wanted.length > 0 ? wanted : ['test/**/*.test.ts']).flatMap((pattern) =>
  globSync(pattern, { cwd: root }),
);
const tests = [...new Set(files)].filter((file) => file.endsWith('.test.ts')).sort();
const heavy = (file: string): boolean => file.startsWith('test/e2e/') || file.includes('/qemu/');

const started = Date.now();
const ready = await check('system packages', node, ['scripts/system-packages.ts', 'test']);
if (!ready) say('some tests will be skipped or fail without these packages');
if (wanted.length === 0) {
  await kubeBinaries();
  await staticChecks();
}
const temporary = mkdtempSync(path.join(os.tmpdir(), 'vmop-'));
process.env['TMPDIR'] = temporary;
await testFiles(
  tests.filter((file) => !heavy(file)),
  2,
);
await testFiles(tests.filter(heavy), 1);
checkTemporary(temporary);
for (const skip of skips) say(`skipped ${skip}`);
const slowest = times.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST);
say(`slowest: ${slowest.map(({ seconds, file }) => `${file} ${seconds.toFixed(0)} s`).join(', ')}`);
say(`took ${Math.round((Date.now() - started) / 1000)} s`);
say(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
// CI has all that the tests need: there a skipped test is one that nobody ran.
process.exitCode = counts.failed > 0 || (process.env['CI'] && counts.skipped > 0) ? 1 : 0;
