import type { TestContext } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import {
  startWebConsole,
  type WebConsole,
  type WebConsoleEvent,
  type WebConsoleOptions,
} from '../../src/lib/console/web/index.ts';
import { checkListen } from '../../src/lib/console/web/listen.ts';
import { asObject } from '../../src/lib/cluster/parse.ts';
import { waitUntil } from '../lib/sandbox/qemu/machine-log.ts';
import { startChromium, WebDesktop } from './web-desktop.ts';

const LIMIT_MS = 30_000;
/** What Shift makes of keys of a US keyboard. */
const SHIFTED = '!@#$%^&*()_+{}|:"~<>?';
const PLAIN = "1234567890-=[]\\;'`,./";

export interface OpenConsole {
  web: WebConsole;
  page: Page;
  events: WebConsoleEvent[];
  /** What the browser forbade, and what went wrong in the page. */
  troubles: string[];
}

/** A machine, a browser, and consoles between them. */
export class WebStage {
  readonly desktop: WebDesktop;
  readonly browser: Browser;

  private constructor(desktop: WebDesktop, browser: Browser) {
    this.desktop = desktop;
    this.browser = browser;
  }

  static async start(): Promise<WebStage> {
    const [desktop, browser] = await Promise.all([WebDesktop.start(), startChromium()]);
    return new WebStage(desktop, browser);
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.desktop.close();
  }

  async serve(t: TestContext, options: Partial<WebConsoleOptions> = {}): Promise<WebConsole> {
    const controller = new AbortController();
    const target = { vm: 'default/desktop-1', destination: 'here' };
    const web = await startWebConsole({
      bridge: async () => await this.desktop.bridge(),
      vm: { namespace: 'default', name: 'desktop-1', argument: 'desktop-1' },
      target,
      admit: async () => await Promise.resolve(target),
      plan: checkListen(),
      linkValidMs: LIMIT_MS,
      signal: controller.signal,
      ...options,
    });
    t.after(async () => await web.close());
    return web;
  }

  async newPage(t: TestContext): Promise<{ page: Page; troubles: string[] }> {
    const troubles: string[] = [];
    const page = await this.browser.newPage();
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
  async open(t: TestContext, options: Partial<WebConsoleOptions> = {}): Promise<OpenConsole> {
    const events: WebConsoleEvent[] = [];
    const web = await this.serve(t, { ...options, onEvent: (event) => void events.push(event) });
    const { page, troubles } = await this.newPage(t);
    await page.goto(web.url);
    await this.shown(page);
    return { web, page, events, troubles };
  }

  async shown(page: Page): Promise<void> {
    try {
      await page.locator('[data-state=connected] #screen canvas').waitFor();
      await page.locator('#panel').waitFor({ state: 'hidden' });
    } catch (cause) {
      const says = await page.evaluate(
        'document.documentElement.dataset.state + ": " + document.body.innerText',
      );
      throw new Error(`the page shows ${String(says)}`, { cause });
    }
  }

  /** The differing pixels between what the page shows and what QEMU has; undefined: other sizes. */
  async differing(page: Page): Promise<number | undefined> {
    const { width, height, pixels } = await this.desktop.picture();
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
  async typeLine(page: Page, text: string): Promise<void> {
    for (const character of text) {
      const shifted = SHIFTED.indexOf(character);
      const key = shifted >= 0 ? PLAIN.charAt(shifted) : character.toLowerCase();
      const withShift = shifted >= 0 || key !== character;
      await page.keyboard.press(`${withShift ? 'Shift+' : ''}${key === ' ' ? 'Space' : key}`, { delay: 10 });
    }
    await page.keyboard.press('Enter');
    await waitUntil(`the guest got ${text}`, async () =>
      (await this.desktop.serial()).includes(`typed: ${text}\r\n`),
    );
  }
}
