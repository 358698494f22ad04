import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { startBridge } from '../../src/lib/console/bridge/index.ts';
import { endpointDial } from '../../src/lib/console/reach/dial.ts';
import { startWebConsole } from '../../src/lib/console/web/index.ts';
import { checkListen } from '../../src/lib/console/web/listen.ts';
import { waitUntil } from '../lib/sandbox/qemu/machine-log.ts';
import {
  CLIPBOARD,
  CLIPBOARD_GRAB,
  CLIPBOARD_REQUEST,
  MONITORS_CONFIG,
  startAgentServer,
  u32,
  UTF8_TEXT,
  type AgentServer,
  type AgentWord,
} from './agent-server.ts';
import { findChromium, startChromium } from './web-desktop.ts';

const LIMIT_MS = 30_000;
const PASSWORD = 'of the agent’s server';
const skip = (await findChromium()) === undefined ? 'chromium is not installed' : undefined;
/** Of the clipboards that a desktop may have: the usual one, which all programs share. */
const SELECTION = u32(0);

describe('what the page and the guest’s agent tell each other', { skip }, () => {
  let browser: Browser;
  before(async () => {
    browser = await startChromium();
  });
  after(async () => await browser.close());

  async function open(t: TestContext): Promise<{ page: Page; agent: AgentServer }> {
    const agent = await startAgentServer(PASSWORD);
    t.after(async () => await agent.server.close());
    const source = 'the test';
    const endpoint = { host: { value: '127.0.0.1', source }, port: { value: agent.server.port, source } };
    const target = { vm: 'default/desktop-1', destination: 'here' };
    const web = await startWebConsole({
      bridge: async () =>
        await startBridge({
          dial: endpointDial(endpoint),
          password: async () => await Promise.resolve(PASSWORD),
          onEvent: () => {},
        }),
      vm: { namespace: 'default', name: 'desktop-1', argument: 'desktop-1' },
      target,
      admit: async () => await Promise.resolve(target),
      plan: checkListen(),
      linkValidMs: LIMIT_MS,
      signal: new AbortController().signal,
    });
    t.after(async () => await web.close());
    const context = await browser.newContext();
    t.after(async () => await context.close());
    const { origin } = new URL(web.url);
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin });
    const page = await context.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    const failed: string[] = [];
    page.on('requestfailed', (request) => failed.push(`${request.url()} ${request.failure()?.errorText}`));
    page.on('pageerror', ({ message }) => failed.push(message));
    await page.goto(web.url);
    try {
      await page.locator('[data-state=connected]').waitFor();
    } catch (cause) {
      throw new Error(`the page shows ${await page.locator('body').innerText()}; ${failed.join(', ')}`, {
        cause,
      });
    }
    return { page, agent };
  }

  /** The latest word of this type, once there is one that is right. */
  async function heard(
    { words }: AgentServer,
    type: number,
    isRight: (word: AgentWord) => boolean = () => true,
  ): Promise<AgentWord> {
    const find = (): AgentWord | undefined => words.findLast((word) => word.type === type && isRight(word));
    await waitUntil(`the agent is told ${type}`, async () => await Promise.resolve(find() !== undefined));
    const word = find();
    assert.ok(word);
    return word;
  }

  async function clipboard(page: Page): Promise<unknown> {
    return await page.evaluate('navigator.clipboard.readText()');
  }

  test('the guest gets the window’s size, once it has an agent', async (t) => {
    const { page, agent } = await open(t);
    await page.setViewportSize({ width: 900, height: 700 });
    await page.waitForTimeout(500);
    assert.deepEqual(agent.words, [], 'there is no agent');
    agent.connect();
    for (const size of [
      { width: 900, height: 700 },
      { width: 1203, height: 801 },
    ]) {
      await page.setViewportSize(size);
      const room = await page.locator('#stage').boundingBox();
      assert.ok(room);
      const [width, height] = [room.width, room.height].map((length) => Math.floor(length / 8) * 8);
      const { data } = await heard(
        agent,
        MONITORS_CONFIG,
        (word) => word.data.readUInt32LE(12) === width && word.data.readUInt32LE(8) === height,
      );
      assert.deepEqual([...data.subarray(0, 4)], [1, 0, 0, 0], 'one monitor');
    }
    // Who wants the desktop’s own size changes nothing there.
    await page.locator('#fit').click();
    const before = agent.words.length;
    await page.setViewportSize({ width: 640, height: 480 });
    await page.waitForTimeout(500);
    assert.equal(agent.words.length, before);
  });

  test('what is copied in the browser can be pasted in the desktop, when the person shares it', async (t) => {
    const { page, agent } = await open(t);
    assert.ok(
      await page.locator('#clipboard').isHidden(),
      'without an agent there is nobody to share it with',
    );
    agent.connect();
    // More than fits into one message.
    const text = `Grüße, 你好 ${'x'.repeat(5000)}`;
    await page.evaluate(`navigator.clipboard.writeText(${JSON.stringify(text)})`);
    await page.locator('#clipboard').click();
    const grab = await heard(agent, CLIPBOARD_GRAB);
    assert.deepEqual(grab.data, Buffer.concat([SELECTION, u32(UTF8_TEXT)]));
    assert.ok(!agent.words.some(({ type }) => type === CLIPBOARD), 'it is offered, not sent');
    agent.say(CLIPBOARD_REQUEST, Buffer.concat([SELECTION, u32(UTF8_TEXT)]));
    const { data } = await heard(agent, CLIPBOARD);
    assert.deepEqual(data.subarray(0, 8), Buffer.concat([SELECTION, u32(UTF8_TEXT)]));
    assert.equal(data.subarray(8).toString(), text);
  });

  test('what is copied in the desktop can be pasted in the browser', async (t) => {
    const { page, agent } = await open(t);
    agent.connect();
    agent.say(CLIPBOARD_GRAB, Buffer.concat([SELECTION, u32(UTF8_TEXT)]));
    await heard(agent, CLIPBOARD_REQUEST);
    // The server cuts the long one into pieces.
    for (const text of ['Grüße aus dem Gast', 'kürzer', `lang ${'ü'.repeat(50_000)}`, 'zuletzt']) {
      agent.say(CLIPBOARD, Buffer.concat([SELECTION, u32(UTF8_TEXT), Buffer.from(text)]));
      await waitUntil('it is there', async () => (await clipboard(page)) === text);
    }
  });

  test('what is too much to copy is left out, and the next text arrives', async (t) => {
    const { page, agent } = await open(t);
    agent.connect();
    agent.say(CLIPBOARD_GRAB, Buffer.concat([SELECTION, u32(UTF8_TEXT)]));
    await heard(agent, CLIPBOARD_REQUEST);
    for (const text of ['x'.repeat(17 * 1024 * 1024), 'small']) {
      agent.say(CLIPBOARD, Buffer.concat([SELECTION, u32(UTF8_TEXT), Buffer.from(text)]));
    }
    await waitUntil('it is there', async () => (await clipboard(page)) === 'small');
  });
});
