import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { existsSync, watch } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  browserCommand,
  launchHtml,
  openInBrowser,
  type BrowserMachine,
} from '../../../../src/lib/console/web/browser.ts';
import { LIMIT_MS, openSession, testConsole } from './wire.ts';

const PAGE = 'file:///tmp/vmop-x/console.html';
const LINUX = { PATH: '/usr/bin:relative', DISPLAY: ':0' };

type Row = [string, Partial<Omit<BrowserMachine, 'isProgram'>>, string[], string[] | undefined];
const COMMANDS: Row[] = [
  ['Linux', {}, ['/usr/bin/xdg-open', '/usr/bin/firefox'], ['/usr/bin/xdg-open', PAGE]],
  [
    'Wayland',
    { env: { PATH: '/usr/bin', WAYLAND_DISPLAY: 'w' } },
    ['/usr/bin/xdg-open'],
    ['/usr/bin/xdg-open', PAGE],
  ],
  ['GNOME without xdg-open', {}, ['/usr/bin/gio'], ['/usr/bin/gio', 'open', PAGE]],
  ['only a browser', {}, ['/usr/bin/chromium'], ['/usr/bin/chromium', PAGE]],
  ['a program in the current folder', {}, ['relative/xdg-open'], undefined],
  ['nothing', {}, [], undefined],
  ['no desktop', { env: { PATH: '/usr/bin' } }, ['/usr/bin/xdg-open'], undefined],
  [
    'BROWSER without a desktop',
    { env: { PATH: '/usr/bin', BROWSER: 'w3m' } },
    ['/usr/bin/w3m', '/usr/bin/xdg-open'],
    ['/usr/bin/w3m', PAGE],
  ],
  [
    'BROWSER with a place for the page',
    { env: { ...LINUX, BROWSER: '/opt/b --new-window %s --quiet' } },
    ['/opt/b', '/usr/bin/xdg-open'],
    ['/opt/b', '--new-window', PAGE, '--quiet'],
  ],
  [
    'BROWSER with several, the first missing',
    { env: { ...LINUX, BROWSER: 'none:firefox' } },
    ['/usr/bin/firefox'],
    ['/usr/bin/firefox', PAGE],
  ],
  [
    'BROWSER with none that is there',
    { env: { ...LINUX, BROWSER: 'none' } },
    ['/usr/bin/xdg-open'],
    ['/usr/bin/xdg-open', PAGE],
  ],
  ['macOS', { platform: 'darwin', env: {} }, [], ['/usr/bin/open', PAGE]],
  [
    'Windows',
    { platform: 'win32', env: { SystemRoot: 'D:\\Windows' } },
    [],
    ['D:\\Windows\\System32\\rundll32.exe', 'url.dll,FileProtocolHandler', PAGE],
  ],
  [
    'WSL',
    { env: { PATH: '/usr/bin', WSL_DISTRO_NAME: 'Debian' } },
    ['/usr/bin/wslview', '/usr/bin/xdg-open'],
    ['/usr/bin/wslview', PAGE],
  ],
];

for (const [what, machine, programs, expected] of COMMANDS) {
  test(`opens pages: ${what}`, () => {
    const found = browserCommand(PAGE, {
      platform: 'linux',
      env: LINUX,
      ...machine,
      isProgram: (file) => programs.includes(file),
    });
    assert.deepEqual(found && [found.command, ...found.args], expected);
  });
}

test('the page that leads on cannot be broken out of', () => {
  const html = launchHtml('http://127.0.0.1:1/#t="><script>&');
  assert.doesNotMatch(html, /<script/);
  assert.match(html, /content="0;url=http:\/\/127\.0\.0\.1:1\/#t=&quot;>&lt;script>&amp;"/);
});

/** A browser that notes what it is asked to open, and how it could read it. */
async function fakeBrowser(
  t: TestContext,
  lines: string[],
): Promise<{ file: string; noted: () => Promise<string> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'browser');
  const note = path.join(folder, 'note');
  await writeFile(file, ['#!/bin/sh', ...lines.map((line) => line.replaceAll('NOTE', note))].join('\n'));
  await chmod(file, 0o700);
  return {
    file,
    noted: async () => {
      const watcher = watch(folder, { signal: AbortSignal.timeout(LIMIT_MS) });
      while (!existsSync(note)) await once(watcher, 'change');
      watcher.close();
      return await readFile(note, 'utf8');
    },
  };
}

test('the link is in a private file, not in an argument, and goes when it was used', async (t) => {
  const browser = await fakeBrowser(t, ['printf %s "$*" > NOTE.new; mv NOTE.new NOTE; exec sleep 0.1']);
  const env = { ...process.env, BROWSER: browser.file };
  const events: string[] = [];
  const console = await testConsole(t, {
    openInBrowser: async (url) => await openInBrowser(url, { env }),
    onEvent: ({ type }) => void events.push(type),
  });
  const argument = await browser.noted();
  assert.ok(!argument.includes(console.ticket));
  const file = fileURLToPath(argument);
  assert.ok((await readFile(file, 'utf8')).includes(console.web.url));
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await stat(path.dirname(file))).mode & 0o777, 0o700);
  await openSession(console);
  await console.web.close();
  assert.ok(!existsSync(path.dirname(file)));
  assert.deepEqual(events.toSorted(), ['browser', 'opened']);
});

test('a browser that cannot be started leaves the link to the person, and no file', async (t) => {
  const broken = await fakeBrowser(t, ['printf %s "$*" > NOTE.new; mv NOTE.new NOTE; exit 3']);
  const console = await testConsole(t, {
    openInBrowser: async (url) => await openInBrowser(url, { env: { ...process.env, BROWSER: broken.file } }),
  });
  const reason = `${broken.file} does not open a browser: it ended with 3`;
  assert.deepEqual(await console.heard('noBrowser'), { type: 'noBrowser', reason });
  assert.ok(!existsSync(fileURLToPath(await broken.noted())));
  await openSession(console);
});

test('no browser at all', async () => {
  await assert.rejects(
    openInBrowser('http://127.0.0.1:1/', { env: {}, platform: 'linux' }),
    /no browser is found/,
  );
});
