import assert from 'node:assert/strict';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { guestCache } from '../../src/lib/sandbox/guest-image/build.ts';
import { CliHome, type CliProcess } from '../helpers/cli-process.ts';
import { missingForWeb, startChromium } from './web-desktop.ts';

const missing = await missingForWeb();
const LIMIT_MS = 30_000;
const DESKTOP = 'desktop-1';

describe('vmop console --web, as a person uses it', { skip: missing }, () => {
  let home: CliHome;
  let browser: Browser;
  before(async () => {
    home = await CliHome.create();
    // The guest takes a download to make; a home without one is tested elsewhere.
    const cache = guestCache(home.env);
    await mkdir(path.dirname(cache), { recursive: true });
    await symlink(guestCache(process.env), cache);
    await home.succeed(['sandbox', 'start', '--driver', 'qemu']);
    await home.succeed(['start', DESKTOP]);
    await home.succeed(['wait', DESKTOP, '--for', 'agent', '--timeout', '50s']);
    browser = await startChromium();
  });
  after(async () => {
    await browser.close();
    await home.close();
  });

  async function open(t: TestContext): Promise<{ vmop: CliProcess; page: Page }> {
    const vmop = home.start(['console', DESKTOP, '--web', '--no-browser']);
    t.after(async () => {
      vmop.kill('SIGTERM');
      await vmop.ended();
    });
    await vmop.shows(/^http:\/\/127\.0\.0\.1:\d+\/#t=[\w-]{43}\n/m);
    const page = await browser.newPage();
    t.after(async () => await page.close());
    page.setDefaultTimeout(LIMIT_MS);
    await page.goto(vmop.stdout().trim());
    await page.locator('[data-state=connected] #screen canvas').waitFor();
    await page.locator('#panel').waitFor({ state: 'hidden' });
    return { vmop, page };
  }

  test('stdout is the link; the session ends with the page', async (t) => {
    const { vmop, page } = await open(t);
    await vmop.shows(/connected to desktop-1/);
    await home.succeed(['wait', DESKTOP, '--for', 'console', '--timeout', '20s']);
    await page.close();
    const { code, stdout } = await vmop.ended();
    assert.equal(code, 0);
    assert.match(stdout, /^http:[^\n]+\n$/);
  });

  test('Ctrl-C ends it, and the page says so', async (t) => {
    const { vmop, page } = await open(t);
    vmop.kill('SIGINT');
    await page.locator('[data-state=ended]').waitFor();
    assert.equal(await page.locator('#text').textContent(), 'vmop was interrupted.');
    assert.equal((await vmop.ended()).code, 130);
  });

  test('the page says that vmop was killed', async (t) => {
    const { vmop, page } = await open(t);
    vmop.kill('SIGKILL');
    await page.locator('[data-state=ended]').waitFor();
    assert.match((await page.locator('#text').textContent()) ?? '', /vmop has ended/);
  });

  // The last one: the machine is stopped.
  test('the page says that the VM was stopped', async (t) => {
    const { vmop, page } = await open(t);
    await home.succeed(['stop', DESKTOP, '--force', '--yes']);
    await page.locator('[data-state=ended]').waitFor();
    assert.match((await page.locator('#text').textContent()) ?? '', /stopped/);
    assert.notEqual((await vmop.ended()).code, 0);
  });
});
