import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { bigLetter, bigLettersShell } from '../../../../src/lib/sandbox/guest-image/big-letters.ts';
import { guestCache, guestImage } from '../../../../src/lib/sandbox/guest-image/build.ts';
import { cpioArchive, cpioFile, cpioFolder } from '../../../../src/lib/sandbox/guest-image/cpio.ts';
import { GUEST_FILES, GUEST_MODULES } from '../../../../src/lib/sandbox/guest-image/guest-files.ts';
import { parsePackage } from '../../../../src/lib/sandbox/guest-image/packages.ts';
import { temporaryFolder } from './machine-log.ts';

const run = promisify(execFile);

/** Reads a newc archive back: path, mode in octal, content. */
function readCpio(archive: Buffer): [string, string, string][] {
  const entries: [string, string, string][] = [];
  const aligned = (at: number): number => Math.ceil(at / 4) * 4;
  for (let at = 0; ;) {
    const header = archive.toString('latin1', at, at + 110);
    assert.equal(header.slice(0, 6), '070701');
    const fields = (header.slice(6).match(/.{8}/g) ?? []).map((field) => Number.parseInt(field, 16));
    const [mode = 0, size = 0, nameLength = 0] = [fields[1], fields[6], fields[11]];
    const name = archive.toString('utf8', at + 110, at + 110 + nameLength - 1);
    if (name === 'TRAILER!!!') return entries;
    const start = aligned(at + 110 + nameLength);
    entries.push([name, mode.toString(8), archive.toString('utf8', start, start + size)]);
    at = aligned(start + size);
  }
}

test('the guest’s files are the same in a build, which is in ASCII', async (t) => {
  const source = new URL('../../../../src/lib/sandbox/guest-image/', import.meta.url);
  const text = await readFile(new URL('guest-files.ts', source), 'utf8');
  const escaped = text
    .replaceAll('./', source.href)
    .replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  assert.notEqual(escaped, text);
  const built = path.join(await temporaryFolder((end) => t.after(end)), 'guest-files.ts');
  await writeFile(built, escaped);
  const { GUEST_FILES: files } = await import(pathToFileURL(built).href);
  assert.deepEqual(files, GUEST_FILES);
});

test('an archive is what the kernel unpacks, the same bytes each time', () => {
  const entries = [cpioFolder('a'), cpioFile('a/f', 'hello'), cpioFile('a/x', '', 0o755)];
  assert.deepEqual(readCpio(cpioArchive(entries)), [
    ['a', '40755', ''],
    ['a/f', '100644', 'hello'],
    ['a/x', '100755', ''],
  ]);
  assert.deepEqual(cpioArchive(entries), cpioArchive(entries));
  assert.equal(cpioArchive(entries).length % 4, 0);
});

test('big letters have three rows of one width', () => {
  assert.deepEqual(bigLetter('l'), ['█    ', '█    ', '▀▀▀▀ ']);
  assert.equal(bigLetter('é'), undefined);
  for (const character of 'abcdefghijklmnopqrstuvwxyz0123456789-_.') {
    const rows = bigLetter(character) ?? [];
    assert.equal(rows.length, 3, character);
    assert.equal(new Set(rows.map((row) => row.length)).size, 1, character);
  }
  assert.match(bigLettersShell(), /^ {2}l\) lw=5 l1='█ {4}' l2='█ {4}' l3='▀▀▀▀ ' ;;$/m);
});

test('the guest’s scripts are shell', () => {
  for (const [name, text] of Object.entries(GUEST_FILES)) {
    const { status, stderr } = spawnSync('sh', ['-n'], { input: text, encoding: 'utf8' });
    assert.equal(status, 0, `${name}: ${stderr}`);
    assert.equal(text.includes('\\$') || text.includes('\\`'), false, `${name} has escapes of its template`);
  }
});

/** The names that the guest itself takes, by running its own rule. */
test('the guest judges user names as the host does', () => {
  const names = [
    'alice',
    '_x',
    'a-b',
    'a'.repeat(32),
    'root',
    '',
    'Alice',
    '1a',
    'a b',
    'a;b',
    '-a',
    'a'.repeat(33),
  ];
  const script = `${GUEST_FILES['lib/vmop/users']}\nfor name; do usable "$name" && echo yes || echo no; done`;
  const { stdout } = spawnSync('sh', ['-c', script, 'sh', ...names], { encoding: 'utf8' });
  assert.deepEqual(stdout.trim().split('\n'), [...Array(4).fill('yes'), ...Array(8).fill('no')]);
});

test('a package as apt-cache shows it', () => {
  const text = [
    'Package: linux-image-6.1.0-1-cloud-amd64',
    'Version: 6.1.1-1',
    'Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool',
    'Description: Package: not-this',
    '',
  ].join('\n');
  assert.deepEqual(parsePackage(text), {
    name: 'linux-image-6.1.0-1-cloud-amd64',
    version: '6.1.1-1',
    depends: ['kmod', 'linux-base', 'initramfs-tools'],
  });
  assert.equal(parsePackage('N: Unable to locate package x'), undefined);
  assert.equal(parsePackage(''), undefined);
});

interface FakeApt {
  env: Record<string, string>;
  /** How often each program of apt was called. */
  calls: () => Promise<string>;
}

/** Programs of apt that know two packages, made here; with `systemLists: false` only after `apt-get update`. */
async function fakeApt(t: TestContext, { systemLists = true, builtin = '' } = {}): Promise<FakeApt> {
  const folder = await temporaryFolder((remove) => t.after(remove));
  const debs = path.join(folder, 'debs');
  const modules = Object.fromEntries(
    GUEST_MODULES.filter((name) => name !== builtin).map((name) => [`lib/modules/6/kernel/${name}.ko`, name]),
  );
  await makeDeb(debs, 'linux-image-6.1.0-1-cloud-amd64', {
    'boot/vmlinuz-6': 'kernel',
    'lib/modules/6/modules.builtin': `kernel/${builtin}.ko\n`,
    ...modules,
    'lib/modules/6/kernel/other.ko': 'other',
  });
  await makeDeb(debs, 'busybox-static', { 'bin/busybox': 'busybox' });
  const log = path.join(folder, 'calls');
  const knows = systemLists ? 'true' : 'case "$*" in *Dir::State::lists=*) true ;; *) false ;; esac';
  const programs = {
    'apt-cache': `echo cache >> ${log}; ${knows} || { echo 'E: No packages found' >&2; exit 100; }
for name; do :; done
case $name in
  linux-image-cloud-amd64) echo "Package: $name"; echo Version: 1; echo Depends: linux-image-6.1.0-1-cloud-amd64 ;;
  linux-image-6.1.0-1-cloud-amd64|busybox-static) echo "Package: $name"; echo Version: 1:2 ;;
  *) exit 100 ;;
esac`,
    'apt-get': `echo get >> ${log}; case "$*" in *download*) cp ${debs}/* . ;; esac`,
  };
  const bin = path.join(folder, 'bin');
  await mkdir(bin);
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(path.join(bin, name), `#!/bin/sh\n${script}\n`);
    await chmod(path.join(bin, name), 0o755);
  }
  return {
    env: { PATH: `${bin}:${process.env['PATH']}`, XDG_CACHE_HOME: path.join(folder, 'cache') },
    calls: async () => (await readFile(log, 'utf8')).trim(),
  };
}

async function makeDeb(folder: string, name: string, files: Record<string, string>): Promise<void> {
  const tree = path.join(folder, `${name}.tree`);
  const control = `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@localhost>\nDescription: x\n`;
  for (const [file, content] of Object.entries({ ...files, 'DEBIAN/control': control })) {
    await mkdir(path.dirname(path.join(tree, file)), { recursive: true });
    await writeFile(path.join(tree, file), content);
  }
  await run('dpkg-deb', ['--build', '--root-owner-group', '-Znone', tree, path.join(folder, `${name}.deb`)]);
  await run('rm', ['-r', tree]);
}

function canBuild(t: TestContext): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') t.skip('the guest is for Linux on amd64');
  else if (spawnSync('dpkg-deb', ['--version']).status !== 0) t.skip('dpkg-deb is not installed');
  else return true;
  return false;
}

test('the guest is built from packages, once', async (t) => {
  if (!canBuild(t)) return;
  const { env, calls } = await fakeApt(t);
  const progress: string[] = [];
  const image = await guestImage({ env, onProgress: (what) => progress.push(what) });
  assert.ok(!('missing' in image));
  assert.deepEqual(progress, [
    'looking for the kernel and busybox',
    'downloading linux-image-6.1.0-1-cloud-amd64, busybox-static',
    'building the guest',
  ]);
  assert.equal(await readFile(image.kernel, 'utf8'), 'kernel');
  assert.match(image.description, /linux-image-6\.1\.0-1-cloud-amd64 1:2, busybox-static 1:2/);
  const entries = readCpio(await readFile(image.initramfs));
  const content = (name: string): string | undefined => entries.find(([file]) => file === name)?.[2];
  assert.equal(content('bin/busybox'), 'busybox');
  assert.equal(content('init'), GUEST_FILES['init']);
  assert.equal(content('lib/modules/order'), GUEST_MODULES.map((name) => `${name}.ko\n`).join(''));
  assert.equal(content('lib/modules/virtio.ko'), 'virtio');
  assert.equal(content('lib/modules/other.ko'), undefined);
  assert.deepEqual(entries.find(([file]) => file === 'init')?.[1], '100755');

  const called = await calls();
  assert.deepEqual(await guestImage({ env, onProgress: () => assert.fail('built again') }), image);
  assert.equal(await calls(), called, 'apt was asked for a guest that was there');
  assert.deepEqual((await readdir(guestCache(env))).length, 1);
});

test('a module may be built in; one that is nowhere is named', async (t) => {
  if (!canBuild(t)) return;
  const builtin = await guestImage({ env: (await fakeApt(t, { builtin: 'evdev' })).env });
  assert.ok(!('missing' in builtin));
  const order = readCpio(await readFile(builtin.initramfs)).find(
    ([file]) => file === 'lib/modules/order',
  )?.[2];
  assert.equal(order?.includes('evdev'), false);
});

test('without lists of the system own ones are fetched', async (t) => {
  if (!canBuild(t)) return;
  const { env } = await fakeApt(t, { systemLists: false });
  const progress: string[] = [];
  const image = await guestImage({ env, onProgress: (what) => progress.push(what) });
  assert.ok(!('missing' in image));
  assert.equal(progress[1], 'reading the package lists');
});

test('two builds at the same time do not disturb each other, and abandoned ones are removed', async (t) => {
  if (!canBuild(t)) return;
  const { env } = await fakeApt(t);
  const abandoned = path.join(guestCache(env), '.build-dead');
  await mkdir(abandoned, { recursive: true });
  await utimes(abandoned, 1, 1);
  const [one, two] = await Promise.all([guestImage({ env }), guestImage({ env })]);
  assert.deepEqual(one, two);
  assert.equal('missing' in one, false);
  assert.equal((await readdir(guestCache(env))).length, 1);
});

test('why there is no guest is said', async (t) => {
  if (!canBuild(t)) return;
  const folder = await temporaryFolder((remove) => t.after(remove));
  assert.deepEqual(await guestImage({ env: { PATH: folder, XDG_CACHE_HOME: folder } }), {
    missing: 'the tiny guest cannot be built: apt-cache is not installed',
  });
  const ending = AbortSignal.abort(new Error('interrupted'));
  const { env } = await fakeApt(t);
  await assert.rejects(guestImage({ env, signal: ending }), /interrupted/);
  assert.deepEqual(await readdir(guestCache(env)), []);
});
