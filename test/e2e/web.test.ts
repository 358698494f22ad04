import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { WebSocketRoute } from 'playwright-core';
import { launchHtml } from '../../src/lib/console/web/browser.ts';
import { asArray, asNumber } from '../../src/lib/cluster/parse.ts';
import { waitUntil } from '../lib/sandbox/qemu/machine-log.ts';
import { missingForWeb } from './web-desktop.ts';
import { WebStage } from './web-stage.ts';

const missing = await missingForWeb();
const PRINTABLE = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).join('');

describe('the browser console, in a real browser', { skip: missing }, () => {
  let stage: WebStage;
  before(async () => {
    stage = await WebStage.start();
  });
  after(async () => await stage.close());

  test('shows the picture pixel by pixel, and keys arrive', async (t) => {
    const { page, web, events, troubles } = await stage.open(t);
    assert.equal(await page.title(), 'desktop-1 · vmop console');
    assert.equal(page.url(), new URL('/', web.url).href, 'the link’s secret is not in the address');
    // A cursor that blinks may be in one of the two pictures only.
    await waitUntil('no pixel differs', async () => (await stage.differing(page)) === 0);
    await page.evaluate(`document.querySelector('#screen canvas').getContext('2d').clearRect(5, 5, 1, 1)`);
    await waitUntil('one pixel differs that was wiped', async () => ((await stage.differing(page)) ?? 0) > 0);

    await stage.typeLine(page, PRINTABLE);
    await stage.typeLine(page, 'carol');
    await waitUntil('carol is logged in', async () =>
      (await stage.desktop.serial()).includes('seat: carol hand'),
    );
    await waitUntil('the picture of her session', async () => ((await stage.differing(page)) ?? 2) <= 1);
    assert.deepEqual(troubles, []);
    const types = events.map(({ type }) => type);
    assert.deepEqual(types, ['opened', 'page', 'connected', 'picture']);
  });

  test('a reload keeps the session, closing the page ends it', async (t) => {
    const { page, web, troubles } = await stage.open(t, { awayMs: 3000 });
    // SPICE servers do not like it when a session ends while its channels are still being linked.
    const linked = async (): Promise<void> =>
      await waitUntil('all channels are there', async () => {
        const channels = await stage.desktop.probe.spiceChannels();
        return [1, 2, 3, 4].every((type) => channels.filter((one) => one === type).length === 1);
      });
    await linked();
    await page.reload();
    await stage.shown(page);
    await linked();
    await page.reload();
    await stage.shown(page);
    await stage.typeLine(page, 'echo still here');
    assert.deepEqual(troubles, []);
    await page.close();
    assert.deepEqual(await web.ended, { kind: 'pageClosed' });
    await waitUntil(
      'nobody is connected',
      async () => (await stage.desktop.probe.spiceChannels()).length === 0,
    );
  });

  test('a page is not left unasked while the desktop has the keyboard', async (t) => {
    const { page } = await stage.open(t);
    const asks = async (): Promise<unknown> =>
      await page.evaluate(`!dispatchEvent(new Event('beforeunload', { cancelable: true }))`);
    await page.locator('#screen canvas').click();
    assert.equal(await asks(), true);
    await page.keyboard.press('Shift+F12');
    assert.equal(await asks(), false);
  });

  test('the private file that the browser is given leads to the desktop', async (t) => {
    const web = await stage.serve(t);
    const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
    t.after(async () => await rm(folder, { recursive: true, force: true }));
    const file = path.join(folder, 'console.html');
    await writeFile(file, launchHtml(web.url), { mode: 0o600 });
    const { page, troubles } = await stage.newPage(t);
    await page.goto(pathToFileURL(file).href);
    await stage.shown(page);
    assert.deepEqual(troubles, []);
  });

  test('fills the screen', async (t) => {
    const { page } = await stage.open(t);
    await page.locator('#full').click();
    await page.locator('header').waitFor({ state: 'hidden' });
    assert.equal(await page.evaluate('document.activeElement.id'), 'spice_surface_0');
    await page.evaluate('document.exitFullscreen()');
    await page.locator('header').waitFor();
  });

  test('says that vmop is gone when it has died', async (t) => {
    const web = await stage.serve(t);
    const { page } = await stage.newPage(t);
    const connected = Promise.withResolvers<WebSocketRoute>();
    await page.routeWebSocket(/\/control\//, (route) => {
      route.connectToServer();
      connected.resolve(route);
    });
    await page.goto(web.url);
    await stage.shown(page);
    await (await connected.promise).close();
    await page.locator('[data-state=ended]').waitFor();
    assert.match((await page.locator('#text').textContent()) ?? '', /vmop has ended/);
    const hint = (await page.locator('#hint').textContent()) ?? '';
    assert.match(hint, /vmop console desktop-1 -n default --web/);
    assert.equal(await page.evaluate('sessionStorage.length'), 0);
  });

  test('says why a session ended, and shows the picture no more', async (t) => {
    const { page, web } = await stage.open(t);
    await web.close({ text: 'bob has taken the console.', hint: 'Ask bob, or take it back with --take.' });
    await page.locator('[data-state=ended] #panel[role=alert]').waitFor();
    assert.equal(await page.locator('#text').textContent(), 'bob has taken the console.');
    assert.equal(await page.locator('#hint').textContent(), 'Ask bob, or take it back with --take.');
    assert.equal(await page.locator('#screen canvas').count(), 0);
    assert.ok(await page.locator('#keys').isDisabled());
  });

  test('a connection that was lost is made again when vmop says so', async (t) => {
    const { page, web, events } = await stage.open(t);
    const other = await stage.open(t);
    await page.locator('[data-state=lost]').waitFor();
    assert.ok(events.some(({ type }) => type === 'lost'));
    await other.web.close();
    web.reopen();
    await stage.shown(page);
    await waitUntil('no pixel differs', async () => (await stage.differing(page)) === 0);
  });

  test('the desktop fits the window, and the mouse still points where it should', async (t) => {
    const { page } = await stage.open(t);
    const canvas = page.locator('#screen canvas');
    await page.evaluate(`window.seen = []; document.querySelector('#screen canvas').addEventListener('mousemove',
      ({ offsetX, offsetY }) => window.seen.push(offsetX, offsetY))`);
    for (const size of [
      { width: 500, height: 400 },
      { width: 1600, height: 1000 },
    ]) {
      await page.setViewportSize(size);
      const room = await page.locator('#stage').boundingBox();
      assert.ok(room);
      const picture = await stage.desktop.picture();
      const scale = Math.min(room.width / picture.width, room.height / picture.height);
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
    const { page } = await stage.open(t);
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
    await stage.typeLine(page, 'echo small');
  });

  // The last one: the guest starts anew.
  test('Ctrl-Alt-Del is for the desktop', async (t) => {
    const { page } = await stage.open(t);
    const asked = stage.desktop.probe.waitFor(
      'a reset',
      ({ name, data }) => name === 'RESET' && data['guest'] === true,
    );
    await page.locator('#keys').click();
    await asked;
  });
});
