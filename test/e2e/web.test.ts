import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Browser, Page, WebSocketRoute } from 'playwright-core';
import {
  startWebConsole,
  type WebConsole,
  type WebConsoleEvent,
  type WebConsoleOptions,
} from '../../src/lib/console/web/index.ts';
import { launchHtml } from '../../src/lib/console/web/browser.ts';
import { asArray, asNumber, asObject } from '../../src/lib/cluster/parse.ts';
import { waitUntil } from '../lib/sandbox/qemu/machine-log.ts';
import { missingForWeb, startChromium, WebDesktop } from './web-desktop.ts';

const missing = await missingForWeb();
const LIMIT_MS = 30_000;
const PRINTABLE = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).join('');
/** What Shift makes of keys of a US keyboard. */
const SHIFTED = '!@#$%^&*()_+{}|:"~<>?';
const PLAIN = "1234567890-=[]\\;'`,./";

describe('the browser console, in a real browser', { skip: missing }, () => {
  let desktop: WebDesktop;
  let browser: Browser;
  before(async () => {
    [desktop, browser] = await Promise.all([WebDesktop.start(), startChromium()]);
  });
  after(async () => {
    await browser.close();
    await desktop.close();
  });

  interface OpenConsole {
    web: WebConsole;
    page: Page;
    events: WebConsoleEvent[];
    /** What the browser forbade, and what went wrong in the page. */
    troubles: string[];
  }

  async function serve(t: TestContext, options: Partial<WebConsoleOptions> = {}): Promise<WebConsole> {
    const controller = new AbortController();
    const bridge = await desktop.bridge();
    t.after(async () => await bridge.close());
    const web = await startWebConsole({
      bridge,
      vm: { namespace: 'default', name: 'desktop-1' },
      target: () => ({ vm: 'default/desktop-1', destination: 'here' }),
      linkValidMs: LIMIT_MS,
      signal: controller.signal,
      ...options,
    });
    t.after(async () => await web.close());
    return web;
  }

  async function newPage(t: TestContext): Promise<{ page: Page; troubles: string[] }> {
    const troubles: string[] = [];
    const page = await browser.newPage();
    t.after(async () => await page.close());
    page.setDefaultTimeout(LIMIT_MS);
    page.on('dialog', (dialog) => void dialog.accept());
    page.on('pageerror', (error) => troubles.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') troubles.push(message.text());
    });
    await page.addInitScript(
      `addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective, e.blockedURI))`,
    );
    return { page, troubles };
  }

  /** Opens the console and waits for the picture. */
  async function open(t: TestContext, options: Partial<WebConsoleOptions> = {}): Promise<OpenConsole> {
    const events: WebConsoleEvent[] = [];
    const web = await serve(t, { ...options, onEvent: (event) => void events.push(event) });
    const { page, troubles } = await newPage(t);
    await page.goto(web.url);
    await shown(page);
    return { web, page, events, troubles };
  }

  async function shown(page: Page): Promise<void> {
    await page.locator('[data-state=connected] #screen canvas').waitFor();
    await page.locator('#panel').waitFor({ state: 'hidden' });
  }

  /** The differing pixels between what the page shows and what QEMU has; undefined: other sizes. */
  async function differing(page: Page): Promise<number | undefined> {
    const { width, height, pixels } = await desktop.picture();
    const answer: unknown = await page.evaluate(`(() => {
      const { width, height } = document.querySelector('#screen canvas');
      const { data } = document.querySelector('#screen canvas').getContext('2d').getImageData(0, 0, width, height);
      return { width, height, data: data.toBase64?.() ?? btoa(Array.from(data, (b) => String.fromCharCode(b)).join('')) };
    })()`);
    const drawn = asObject(answer);
    if (drawn['width'] !== width || drawn['height'] !== height) return undefined;
    const rgba = Buffer.from(String(drawn['data']), 'base64');
    let count = 0;
    for (let at = 0; at < width * height; at++) {
      if (rgba.readUIntBE(at * 4, 3) !== pixels.readUIntBE(at * 3, 3)) count += 1;
    }
    return count;
  }

  /** Presses the keys of a US keyboard that write the text, no faster than a machine's keyboard port takes them. */
  async function typeLine(page: Page, text: string): Promise<void> {
    for (const character of text) {
      const shifted = SHIFTED.indexOf(character);
      const key = shifted >= 0 ? PLAIN.charAt(shifted) : character.toLowerCase();
      const withShift = shifted >= 0 || key !== character;
      await page.keyboard.press(`${withShift ? 'Shift+' : ''}${key === ' ' ? 'Space' : key}`, { delay: 10 });
    }
    await page.keyboard.press('Enter');
    await waitUntil(`the guest got ${text}`, async () =>
      (await desktop.serial()).includes(`typed: ${text}\r\n`),
    );
  }

  test('shows the picture pixel by pixel, and keys arrive', async (t) => {
    const { page, web, events, troubles } = await open(t);
    assert.equal(await page.title(), 'desktop-1 · vmop console');
    assert.equal(page.url(), new URL('/', web.url).href, 'the link’s secret is not in the address');
    // A cursor that blinks may be in one of the two pictures only.
    await waitUntil('no pixel differs', async () => (await differing(page)) === 0);
    await page.evaluate(`document.querySelector('#screen canvas').getContext('2d').clearRect(5, 5, 1, 1)`);
    await waitUntil('one pixel differs that was wiped', async () => ((await differing(page)) ?? 0) > 0);

    await typeLine(page, PRINTABLE);
    await typeLine(page, 'carol');
    await waitUntil('carol is logged in', async () => (await desktop.serial()).includes('seat: carol hand'));
    await waitUntil('the picture of her session', async () => ((await differing(page)) ?? 2) <= 1);
    assert.deepEqual(troubles, []);
    const types = events.map(({ type }) => type);
    assert.deepEqual(types, ['opened', 'page', 'connected', 'picture']);
  });

  test('a reload keeps the session, closing the page ends it', async (t) => {
    const { page, web, troubles } = await open(t, { awayMs: 3000 });
    await page.reload();
    await shown(page);
    await page.reload();
    await shown(page);
    await typeLine(page, 'echo still here');
    assert.deepEqual(troubles, []);
    await page.close();
    assert.deepEqual(await web.ended, { kind: 'pageClosed' });
    await waitUntil('nobody is connected', async () => (await desktop.probe.spiceChannels()).length === 0);
  });

  test('a page is not left unasked while the desktop has the keyboard', async (t) => {
    const { page } = await open(t);
    const asks = async (): Promise<unknown> =>
      await page.evaluate(`!dispatchEvent(new Event('beforeunload', { cancelable: true }))`);
    await page.locator('#screen canvas').click();
    assert.equal(await asks(), true);
    await page.keyboard.press('Shift+F12');
    assert.equal(await asks(), false);
  });

  test('the private file that the browser is given leads to the desktop', async (t) => {
    const web = await serve(t);
    const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
    t.after(async () => await rm(folder, { recursive: true, force: true }));
    const file = path.join(folder, 'console.html');
    await writeFile(file, launchHtml(web.url), { mode: 0o600 });
    const { page, troubles } = await newPage(t);
    await page.goto(pathToFileURL(file).href);
    await shown(page);
    assert.deepEqual(troubles, []);
  });

  test('fills the screen', async (t) => {
    const { page } = await open(t);
    await page.locator('#full').click();
    await page.locator('header').waitFor({ state: 'hidden' });
    assert.equal(await page.evaluate('document.activeElement.id'), 'spice_surface_0');
    await page.evaluate('document.exitFullscreen()');
    await page.locator('header').waitFor();
  });

  test('says that vmop is gone when it has died', async (t) => {
    const web = await serve(t);
    const { page } = await newPage(t);
    const connected = Promise.withResolvers<WebSocketRoute>();
    await page.routeWebSocket(/\/control\//, (route) => {
      route.connectToServer();
      connected.resolve(route);
    });
    await page.goto(web.url);
    await shown(page);
    await (await connected.promise).close();
    await page.locator('[data-state=ended]').waitFor();
    assert.match((await page.locator('#text').textContent()) ?? '', /vmop has ended/);
    const hint = (await page.locator('#hint').textContent()) ?? '';
    assert.match(hint, /vmop console desktop-1 -n default --web/);
    assert.equal(await page.evaluate('sessionStorage.length'), 0);
  });

  test('says why a session ended, and shows the picture no more', async (t) => {
    const { page, web } = await open(t);
    await web.close({ text: 'bob has taken the console.', hint: 'Ask bob, or take it back with --take.' });
    await page.locator('[data-state=ended] #panel[role=alert]').waitFor();
    assert.equal(await page.locator('#text').textContent(), 'bob has taken the console.');
    assert.equal(await page.locator('#hint').textContent(), 'Ask bob, or take it back with --take.');
    assert.equal(await page.locator('#screen canvas').count(), 0);
    assert.ok(await page.locator('#keys').isDisabled());
  });

  test('a connection that was lost is made again when vmop says so', async (t) => {
    const { page, web, events } = await open(t);
    const other = await open(t);
    await page.locator('[data-state=lost]').waitFor();
    assert.ok(events.some(({ type }) => type === 'lost'));
    await other.web.close();
    web.reopen();
    await shown(page);
    await waitUntil('no pixel differs', async () => (await differing(page)) === 0);
  });

  test('an address without a link, and a link that was used', async (t) => {
    const { web } = await open(t);
    const stranger = await newPage(t);
    await stranger.page.goto(new URL('/', web.url).href);
    await stranger.page.locator('[data-state=ended]').waitFor();
    assert.match((await stranger.page.locator('#text').textContent()) ?? '', /no console that is open/);
    const late = await newPage(t);
    await late.page.goto(web.url);
    await late.page.locator('[data-state=ended]').waitFor();
    assert.match((await late.page.locator('#text').textContent()) ?? '', /used already/);
    assert.match((await late.page.locator('#hint').textContent()) ?? '', /vmop console .* --web/);
  });

  test('the desktop fits the window, and the mouse still points where it should', async (t) => {
    const { page } = await open(t);
    const canvas = page.locator('#screen canvas');
    await page.evaluate(`window.seen = []; document.querySelector('#screen canvas').addEventListener('mousemove',
      ({ offsetX, offsetY }) => window.seen.push(offsetX, offsetY))`);
    for (const size of [
      { width: 500, height: 400 },
      { width: 1600, height: 1000 },
    ]) {
      await page.setViewportSize(size);
      const stage = await page.locator('#stage').boundingBox();
      assert.ok(stage);
      const picture = await desktop.picture();
      const scale = Math.min(stage.width / picture.width, stage.height / picture.height);
      await waitUntil('it fits', async () => {
        const box = await canvas.boundingBox();
        return box !== null && Math.abs(box.width - picture.width * scale) < 1;
      });
      const box = await canvas.boundingBox();
      assert.ok(box);
      await page.evaluate('window.seen.length = 0');
      await page.mouse.move(box.x + 100 * scale, box.y + 50 * scale);
      const [x = 0, y = 0] = asArray(await page.evaluate('window.seen.slice(-2)')).map(
        (at) => asNumber(at) ?? 0,
      );
      assert.ok(Math.abs(x - 100) <= 2 && Math.abs(y - 50) <= 2, `${x},${y} at ${scale}`);
    }
    await page.locator('#fit').click();
    assert.equal(await page.locator('#fit').getAttribute('aria-pressed'), 'false');
    await waitUntil('it has its own size', async () => (await canvas.boundingBox())?.width === 720);
  });

  test('the keyboard can leave the desktop, and no key stays down in it', async (t) => {
    const { page } = await open(t);
    const focused = async (): Promise<unknown> => await page.evaluate('document.activeElement.id');
    assert.equal(await focused(), 'spice_surface_0');
    await page.keyboard.press('Shift+F12');
    assert.equal(await focused(), 'keys');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'fit');
    await page.mouse.click(600, 300);
    assert.equal(await focused(), 'spice_surface_0');
    await page.mouse.move(5, 5);
    assert.equal(await focused(), 'spice_surface_0', 'a mouse that goes away takes no keyboard with it');
    // Shift is down when the window loses the keyboard; nothing may be in capitals later.
    await page.keyboard.down('Shift');
    await page.evaluate(`dispatchEvent(new Event('blur'))`);
    await page.keyboard.up('Shift');
    await typeLine(page, 'echo small');
  });

  test('pages of other sites get nothing', async (t) => {
    const { web, page: victim } = await open(t);
    const host = new URL(web.url).host;
    const evil = http.createServer((_request, response) => {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>evil</title>');
    });
    evil.listen(0, '127.0.0.1');
    await once(evil, 'listening');
    t.after(() => evil.close().closeAllConnections());
    const address = evil.address();
    assert.ok(typeof address === 'object' && address !== null);
    const { page } = await newPage(t);
    await page.goto(`http://127.0.0.1:${address.port}/`);
    const sid: unknown = await victim.evaluate(`JSON.parse(sessionStorage.getItem('vmop.console')).spice`);
    const tries: unknown = await page.evaluate(`(async () => {
      const outcome = async (attempt) => { try { return await attempt(); } catch (error) { return 'refused'; } };
      const socket = (path, protocol) => new Promise((resolve) => {
        const ws = new WebSocket('ws://${host}' + path, protocol);
        ws.onopen = () => resolve('open');
        ws.onerror = () => resolve('refused');
      });
      return {
        read: await outcome(async () => (await fetch('http://${host}/')).status),
        post: await outcome(async () => (await fetch('http://${host}/session', { method: 'POST',
          headers: { 'content-type': 'application/json' }, body: '{}' })).status),
        blindPost: await outcome(async () => (await fetch('http://${host}/session', { method: 'POST', mode: 'no-cors',
          body: '{}' })).type),
        spice: await socket(${JSON.stringify(sid)}, 'binary'),
        control: await socket(${JSON.stringify(sid)}.replace('spice', 'control'), 'vmop.console'),
        script: await new Promise((resolve) => {
          const script = document.createElement('script');
          script.onload = () => resolve('loaded');
          script.onerror = () => resolve('refused');
          script.src = 'http://${host}/link.js';
          document.head.append(script);
        }),
        frame: await new Promise((resolve) => {
          const frame = document.createElement('iframe');
          frame.src = 'http://${host}/';
          frame.onload = () => {
            try { resolve(frame.contentWindow.location.href === 'about:blank' ? 'blank' : 'read'); }
            catch { resolve('not readable, and ' + frame.contentWindow.length + ' frames'); }
          };
          document.body.append(frame);
        }),
      };
    })()`);
    assert.deepEqual(tries, {
      read: 'refused',
      post: 'refused',
      blindPost: 'refused',
      spice: 'refused',
      control: 'refused',
      script: 'refused',
      frame: 'not readable, and 0 frames',
    });
    const frames = page.frames().map((frame) => frame.url());
    assert.ok(
      frames.some((url) => url.startsWith('chrome-error:')),
      `not framed: ${frames.join(' ')}`,
    );
    assert.equal(await victim.evaluate('document.documentElement.dataset.state'), 'connected');
  });

  test('a name that was made to point here gets nothing', async (t) => {
    const web = await serve(t);
    const { port, hash } = new URL(web.url);
    const rebound = await startChromium('--host-resolver-rules=MAP evil.example 127.0.0.1');
    t.after(async () => await rebound.close());
    const page = await rebound.newPage();
    const answer = await page.goto(`http://evil.example:${port}/${hash}`);
    assert.equal(answer?.status(), 421);
    assert.match(await page.content(), /not the host that the console was opened for/);
  });

  // The last one: the guest starts anew.
  test('Ctrl-Alt-Del is for the desktop', async (t) => {
    const { page } = await open(t);
    const asked = desktop.probe.waitFor(
      'a reset',
      ({ name, data }) => name === 'RESET' && data['guest'] === true,
    );
    await page.locator('#keys').click();
    await asked;
  });
});
