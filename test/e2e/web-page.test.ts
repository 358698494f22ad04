import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { VmopError } from '../../src/lib/errors.ts';
import type { WebConsoleOptions } from '../../src/lib/console/web/index.ts';
import {
  enter,
  LIMIT_MS,
  openSession,
  TARGET,
  testConsole,
  type TestConsole,
} from '../lib/console/web/wire.ts';
import { findChromium, startChromium } from './web-desktop.ts';

const skip = (await findChromium()) === undefined ? 'chromium is not installed' : undefined;
/** What a program says to programmers. */
const RAW = /error|exception|unexpected|undefined|\[object|null|NaN|\bat \w+ \(/i;
const AGAIN = 'Run “vmop console VM --web” again.';

interface Seen {
  state: string;
  headline: string;
  text: string;
  hint: string;
}

describe('what the page says', { skip, concurrency: 4 }, () => {
  let browser: Browser;
  before(async () => {
    browser = await startChromium();
  });
  after(async () => await browser.close());

  async function newPage(t: TestContext): Promise<Page> {
    const context = await browser.newContext();
    t.after(async () => await context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    return page;
  }

  async function open(
    t: TestContext,
    options: Partial<WebConsoleOptions> = {},
    prepare: (page: Page, console: TestConsole) => Promise<unknown> = async () => {},
  ): Promise<{ page: Page; console: TestConsole }> {
    const console = await testConsole(t, options);
    const page = await newPage(t);
    await prepare(page, console);
    await page.goto(console.web.url);
    return { page, console };
  }

  async function seen(page: Page, state: string): Promise<Seen> {
    try {
      await page.locator(`[data-state=${state}]`).waitFor();
    } catch (cause) {
      throw new Error(`the page shows ${await page.locator('body').innerText()}`, { cause });
    }
    const says = async (id: string): Promise<string> => (await page.locator(`#${id}`).textContent()) ?? '';
    const all = await page.locator('body').innerText();
    assert.doesNotMatch(all, RAW);
    return { state, headline: await says('headline'), text: await says('text'), hint: await says('hint') };
  }

  test('an address without a link; and the link put into the same window then', async (t) => {
    const console = await testConsole(t);
    const page = await newPage(t);
    await page.goto(new URL('/', console.web.url).href);
    assert.deepEqual(await seen(page, 'ended'), {
      state: 'ended',
      headline: 'No console is here',
      text: 'This address belongs to no console that is open.',
      hint: AGAIN,
    });
    const opened = console.heard('opened');
    await page.goto(console.web.url);
    await opened;
    await seen(page, 'connecting');
  });

  test('a link whose console is open in another browser', async (t) => {
    const { page } = await open(t, {}, async (_page, console) => {
      const { page: first } = await enter(console);
      t.after(() => first.terminate());
    });
    const { headline, text, hint } = await seen(page, 'ended');
    assert.equal(headline, 'Open in another window');
    assert.match(text, /open in another window or browser/);
    assert.match(hint, /Go on there/);
  });

  test('a link that was used by a page that is gone', async (t) => {
    const { page } = await open(
      t,
      { awayMs: LIMIT_MS },
      async (_page, console) => await openSession(console),
    );
    const { headline, text } = await seen(page, 'ended');
    assert.deepEqual(
      [headline, text],
      ['The link was used', 'This link was used already: it opens one console only.'],
    );
  });

  for (const [what, reason, expected] of [
    [
      'has run out',
      'expired',
      { headline: 'The link has run out', text: 'This link was valid for a short time only, which is over.' },
    ],
    [
      'is wrong',
      'wrong',
      { headline: 'No console is here', text: 'This address belongs to no console that is open.' },
    ],
    [
      'is refused for a reason that the page does not know',
      'new',
      { headline: 'No console is here', text: 'This address belongs to no console that is open.' },
    ],
  ] as const) {
    test(`a link that ${what}`, async (t) => {
      const { page } = await open(
        t,
        {},
        async (_page) =>
          await _page.route(
            '**/session',
            async (route) => await route.fulfill({ status: 403, json: { reason } }),
          ),
      );
      assert.deepEqual(await seen(page, 'ended'), { state: 'ended', ...expected, hint: AGAIN });
    });
  }

  test('vmop does not answer, or something else does', async (t) => {
    const { page } = await open(
      t,
      {},
      async (_page) => await _page.route('**/session', async (route) => await route.abort()),
    );
    assert.equal((await seen(page, 'ended')).headline, 'vmop does not answer');
    const other = await open(
      t,
      {},
      async (_page) =>
        await _page.route(
          '**/session',
          async (route) => await route.fulfill({ status: 502, body: '<h1>Bad Gateway' }),
        ),
    );
    assert.equal((await seen(other.page, 'ended')).headline, 'vmop does not answer');
  });

  test('somebody else is connected by now', async (t) => {
    const error = new VmopError('conflict', 'bob is connected to desktop-1', { hint: 'ask bob to leave' });
    const { page } = await open(t, { admit: async () => await Promise.reject(error) });
    assert.deepEqual(await seen(page, 'ended'), {
      state: 'ended',
      headline: 'The console is not opened',
      text: 'bob is connected to desktop-1',
      hint: 'ask bob to leave',
    });
  });

  test('it is loaded anew while it waits for its session', async (t) => {
    const admitted = Promise.withResolvers<typeof TARGET>();
    const asked = Promise.withResolvers<undefined>();
    const { page, console } = await open(t, {
      admit: async () => {
        asked.resolve(undefined);
        return await admitted.promise;
      },
    });
    await asked.promise;
    assert.equal(new URL(page.url()).hash, '', 'the link is out of the address');
    await page.reload();
    await seen(page, 'connecting');
    const second = await newPage(t);
    await second.goto(console.web.url);
    const there = console.heard('page');
    admitted.resolve(TARGET);
    await there;
    assert.equal((await seen(page, 'connecting')).text, 'Waiting for the desktop …');
    await seen(second, 'ended');
    const stored = String(await page.evaluate('JSON.stringify(sessionStorage)'));
    assert.ok(!stored.includes(console.ticket), 'the link is kept no longer than it is needed');
    await page.reload();
    await page.getByText('Waiting for the desktop').waitFor();
  });

  test('the answer is lost on the way to it, and it is loaded anew', async (t) => {
    const { page, console } = await open(t, {}, async (first) =>
      first.route(
        '**/session',
        async (route) => {
          await route.fetch();
          await route.abort();
        },
        { times: 1 },
      ),
    );
    assert.equal((await seen(page, 'ended')).headline, 'vmop does not answer');
    const there = console.heard('page');
    await page.reload();
    await there;
    await seen(page, 'connecting');
  });

  test('the console is opened in a second window', async (t) => {
    const { page, console } = await open(t);
    await console.heard('page');
    const stored: unknown = await page.evaluate('sessionStorage.getItem("vmop.console")');
    const second = await page.context().newPage();
    await second.addInitScript(`sessionStorage.setItem('vmop.console', ${JSON.stringify(stored)})`);
    await second.goto(new URL('/', console.web.url).href);
    const { headline, text } = await seen(page, 'ended');
    assert.deepEqual(
      [headline, text],
      ['Open in another window', 'This console was opened in another window.'],
    );
    assert.equal(await second.evaluate('document.documentElement.dataset.state'), 'connecting');
  });

  test('the SPICE client gives up', async (t) => {
    const { page, console } = await open(t);
    const lost = console.heard('lost');
    await channelOf(console);
    for (const stream of console.streams) stream.destroy();
    await lost;
    assert.deepEqual(await seen(page, 'lost'), {
      state: 'lost',
      headline: 'The connection was lost',
      text: 'vmop is finding out why …',
      hint: '',
    });
    console.web.pause({ text: 'desktop-1 has stopped; opening it again in 2 s (attempt 2)' });
    await page.getByText('attempt 2').waitFor();
    assert.equal((await seen(page, 'lost')).headline, 'Opening it again');
    console.web.reopen();
    assert.equal((await seen(page, 'connecting')).text, 'Waiting for the desktop …');
  });

  test('the person is asked', async (t) => {
    const { page, console } = await open(t);
    await channelOf(console);
    console.web.ask({ text: 'The display password has run out.' });
    assert.equal((await seen(page, 'lost')).headline, 'Not connected');
    const again = console.heard('again');
    await page.getByRole('button', { name: 'Open it all the same' }).click();
    await again;
    console.web.reopen();
    await seen(page, 'connecting');
    assert.ok(await page.locator('#again').isHidden());
  });

  for (const words of [
    { text: 'bob has taken the console of desktop-1 from 10.0.0.9', hint: '--take takes it back' },
    { text: 'desktop-1 has stopped, and its console with it', hint: 'vmop start desktop-1' },
    { text: 'vmop has ended the session.', hint: undefined },
  ]) {
    test(`vmop ends it: ${words.text}`, async (t) => {
      const { page, console } = await open(t);
      await channelOf(console);
      await console.web.close(words);
      assert.deepEqual(await seen(page, 'ended'), {
        state: 'ended',
        headline: 'The session has ended',
        text: words.text,
        hint: words.hint ?? 'Run “vmop console desktop-1 -n default --web” again.',
      });
    });
  }

  async function channelOf({ streams }: TestConsole): Promise<void> {
    const deadline = performance.now() + LIMIT_MS;
    while (streams.length === 0) {
      assert.ok(performance.now() < deadline, 'the page opens no channel');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
});
