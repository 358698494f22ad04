import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { missingForWeb, startChromium } from './web-desktop.ts';
import { WebStage } from './web-stage.ts';

const missing = await missingForWeb();

describe('the browser console is for nobody else', { skip: missing }, () => {
  let stage: WebStage;
  before(async () => {
    stage = await WebStage.start();
  });
  after(async () => await stage.close());

  test('an address without a link, and a link that was used', async (t) => {
    const { web } = await stage.open(t);
    const stranger = await stage.newPage(t);
    await stranger.page.goto(new URL('/', web.url).href);
    await stranger.page.locator('[data-state=ended]').waitFor();
    assert.match((await stranger.page.locator('#text').textContent()) ?? '', /no console that is open/);
    const late = await stage.newPage(t);
    await late.page.goto(web.url);
    await late.page.locator('[data-state=ended]').waitFor();
    assert.match((await late.page.locator('#text').textContent()) ?? '', /used already/);
    assert.match((await late.page.locator('#hint').textContent()) ?? '', /vmop console .* --web/);
  });

  test('pages of other sites get nothing', async (t) => {
    const { web, page: victim } = await stage.open(t);
    const host = new URL(web.url).host;
    const evil = http.createServer((_request, response) => {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>evil</title>');
    });
    evil.listen(0, '127.0.0.1');
    await once(evil, 'listening');
    t.after(() => evil.close().closeAllConnections());
    const address = evil.address();
    assert.ok(typeof address === 'object' && address !== null);
    const { page } = await stage.newPage(t);
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
    const web = await stage.serve(t);
    const { port, hash } = new URL(web.url);
    const rebound = await startChromium('--host-resolver-rules=MAP evil.example 127.0.0.1');
    t.after(async () => await rebound.close());
    const page = await rebound.newPage();
    const answer = await page.goto(`http://evil.example:${port}/${hash}`);
    assert.equal(answer?.status(), 421);
    assert.match(await page.content(), /not the host that the console was opened for/);
  });
});
