import assert from 'node:assert/strict';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { guestCache } from '../../src/lib/sandbox/guest-image/build.ts';
import { CliHome, type CliProcess } from '../helpers/cli-process.ts';
import { sandboxApis } from '../helpers/sandbox-apis.ts';
import { missingForWeb, startChromium } from './web-desktop.ts';

const missing = await missingForWeb();
const LIMIT_MS = 30_000;
/** A machine takes some seconds to start, and more on a busy computer. */
const RESTART_MS = 90_000;
const RELOADS = 15;
const DESKTOP = 'desktop-1';
const LINK = /^http:\/\/127\.0\.0\.1:\d+\/#t=[\w-]{43}\n/m;

for (const api of await sandboxApis()) {
  describe(`vmop console --web, as a person uses it, on ${api.name}`, { skip: missing ?? api.skip }, () => {
    let home: CliHome;
    let browser: Browser;
    before(async () => {
      home = await CliHome.create(api.env);
      // The guest takes a download to make; a home without one is tested elsewhere.
      const cache = guestCache(home.env);
      await mkdir(path.dirname(cache), { recursive: true });
      await symlink(guestCache(process.env), cache);
      await home.succeed(['sandbox', 'start', '--driver', 'qemu', '--api', api.name]);
      await home.succeed(['start', DESKTOP]);
      await home.succeed(['wait', DESKTOP, '--for', 'agent', '--timeout', '50s']);
      browser = await startChromium();
    });
    after(async () => {
      await browser.close();
      await home.close();
    });

    async function shown(page: Page, timeout = LIMIT_MS): Promise<void> {
      await page.locator('[data-state=connected] #screen canvas').waitFor({ timeout });
      await page.locator('#panel').waitFor({ state: 'hidden' });
    }

    async function says(page: Page, id: string): Promise<string> {
      return (await page.locator(`#${id}`).textContent()) ?? '';
    }

    async function open(t: TestContext, ...args: string[]): Promise<{ vmop: CliProcess; page: Page }> {
      const vmop = home.start(['console', DESKTOP, '--web', '--no-browser', ...args]);
      t.after(async () => {
        vmop.kill('SIGTERM');
        await vmop.ended();
      });
      await vmop.shows(LINK);
      const page = await browser.newPage();
      t.after(async () => await page.close());
      page.setDefaultTimeout(LIMIT_MS);
      page.on('dialog', (dialog) => void dialog.accept());
      await page.goto(vmop.stdout().trim());
      // On a busy machine a page was seen to wait for ever, now and then: a person loads it anew.
      await shown(page, LIMIT_MS / 2).catch(async () => {
        await page.reload();
        await shown(page);
      });
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
      assert.equal(await says(page, 'text'), 'vmop was interrupted.');
      assert.equal((await vmop.ended()).code, 130);
    });

    test('the page says that vmop was killed', async (t) => {
      const { vmop, page } = await open(t);
      vmop.kill('SIGKILL');
      await page.locator('[data-state=ended]').waitFor();
      assert.match(await says(page, 'text'), /vmop has ended/);
    });

    test('a page that is loaded anew at once comes back, each time', async (t) => {
      const { vmop, page } = await open(t);
      for (let count = 0; count < RELOADS; count++) {
        await page.reload();
        // The main channel is there, the others are still being linked.
        await page.locator('[data-state=connected], [data-state=ended]').waitFor();
        assert.equal(await says(page, 'state'), 'connected', `${await says(page, 'text')} ${vmop.stderr()}`);
      }
      await shown(page);
    });

    test('through the API server, with --login: the user is logged in once the page is connected', async (t) => {
      const { vmop } = await open(t, '--tunnel', 'always', '--login', 'alice');
      await vmop.shows(/alice is logged in on desktop-1/);
      await home.succeed(['wait', DESKTOP, '--for', 'login=alice', '--timeout', '20s']);
    });

    test('--on-disconnect logout: who closes the page is logged out', async (t) => {
      const { vmop, page } = await open(t, '--on-disconnect', 'logout');
      await page.close();
      const { code, stderr } = await vmop.ended();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /alice was logged out|is logged out|logged out/);
      await home.succeed(['wait', DESKTOP, '--for', 'logout', '--timeout', '20s']);
    });

    test('--reconnect: the VM is restarted, and the page comes back by itself', async (t) => {
      const { vmop, page } = await open(t, '--reconnect');
      await home.succeed(['restart', DESKTOP, '--yes', '--force', '--timeout', '90s']);
      await vmop.shows(/opening it again/);
      await shown(page, RESTART_MS);
      await page.close();
      assert.equal((await vmop.ended()).code, 0);
    });

    // The last one: the machine is stopped.
    test('the page says that the VM was stopped', async (t) => {
      const { vmop, page } = await open(t);
      await home.succeed(['stop', DESKTOP, '--force', '--yes']);
      await page.locator('[data-state=ended]').waitFor();
      assert.match(await says(page, 'text'), /stopped/);
      assert.notEqual((await vmop.ended()).code, 0);
    });
  });
}
