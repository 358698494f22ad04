import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Resource } from '../../src/lib/cluster/types.ts';
import { filesThatHold, holds, memoryThatHolds, processesThatHold } from '../helpers/canary.ts';
import type { CliRun } from '../helpers/cli-process.ts';
import { DESKTOP, missingForDesktop, RealSandbox } from './real-sandbox.ts';
import { missingForWeb, startChromium } from './web-desktop.ts';

const missing = await missingForDesktop();
const missingBrowser = await missingForWeb();

/** Where the sandbox's API keeps its objects: a cluster knows the passwords of its Secrets. */
const JOURNAL = 'sandbox/api/objects.jsonl';
const TALKATIVE = { VMOP_DEBUG: '1' };

const EVENTS: Resource<string> = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
  parse: (raw) => JSON.stringify(raw),
};

describe('the display password is nowhere but in its Secret', { skip: missing }, () => {
  let real: RealSandbox;
  before(async () => {
    real = await RealSandbox.create();
    await real.startDesktop();
  });
  after(async () => await real.close());

  async function pids(): Promise<number[]> {
    return (await real.home.processes()).map(({ pid }) => pid);
  }

  /** `files`: that may hold it, beside the API's own. */
  async function assertNowhere(password: string, files: string[] = []): Promise<void> {
    // That the journal is found shows that the search finds.
    assert.deepEqual(await filesThatHold(real.home.folder, password), [...files, JOURNAL]);
    assert.deepEqual(await processesThatHold(await pids(), password), []);
    const pod = { namespace: 'default', name: DESKTOP };
    const log = await real.cluster.log(pod);
    assert.match(log, /set_password/);
    assert.equal(holds(log, password), false, 'the log of the runner');
    const { items } = await real.cluster.list(EVENTS, { namespace: undefined });
    assert.ok(items.length > 0);
    assert.equal(holds(items.join('\n'), password), false, 'events');
  }

  function assertNotTold({ stdout, stderr }: CliRun, password: string): void {
    assert.equal(holds(stdout + stderr, password), false, 'vmop told it');
  }

  test('the search finds it in arguments and environments', async () => {
    const args = ['-e', 'setTimeout(() => {}, 60_000)', 'a canary/'];
    const child = spawn(process.execPath, args, { env: { ...real.home.env, CANARY: 'a canary/' } });
    await once(child, 'spawn');
    const { pid = 0 } = child;
    assert.deepEqual(await processesThatHold(await pids(), 'a canary/'), [
      `${pid} cmdline`,
      `${pid} environ`,
    ]);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  test('while the viewer starts, while it runs, and afterwards', async () => {
    const console = real.home.start(['console', DESKTOP, '-v'], TALKATIVE);
    await console.shows(/starting remote-viewer/);
    const { password } = await real.secret();
    await assertNowhere(password);
    await console.shows(/connected to desktop-1/);
    assert.equal((await real.viewers()).length, 1);
    await assertNowhere(password);
    await console.shows(/the display password was ended/);
    await real.guestIsShown();
    console.kill('SIGINT');
    const run = await console.ended();
    assert.equal(run.code, 130);
    assertNotTold(run, password);
    await assertNowhere(password);
  });

  test('through the API server, where the viewer itself is given a ticket', async () => {
    const console = real.home.start(['console', DESKTOP, '-v', '--tunnel', 'always'], TALKATIVE);
    await console.shows(/connected to desktop-1/);
    const { password } = await real.secret();
    await assertNowhere(password);
    const [viewer = 0] = await real.viewers();
    assert.deepEqual(await memoryThatHolds(viewer, password), [], 'the viewer’s memory');
    await real.guestIsShown();
    console.kill('SIGINT');
    assertNotTold(await console.ended(), password);
    await assertNowhere(password);
  });

  test('in a browser, which is given a ticket', { skip: missingBrowser }, async (t) => {
    const browser = await startChromium();
    t.after(async () => await browser.close());
    const console = real.home.start(['console', DESKTOP, '-v', '--web', '--no-browser'], TALKATIVE);
    await console.shows(/#t=/);
    const page = await browser.newPage();
    const heard: (string | Buffer)[] = [];
    page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => heard.push(payload));
      socket.on('framereceived', ({ payload }) => heard.push(payload));
    });
    page.on('console', (message) => heard.push(message.text()));
    const answered = page.waitForResponse((response) => response.url().endsWith('/session'));
    await page.goto(console.stdout().trim());
    heard.push(await (await answered).text());
    await page.locator('[data-state=connected] #screen canvas').waitFor();
    await page.locator('#panel').waitFor({ state: 'hidden' });
    await console.shows(/connected to desktop-1/);
    const { password } = await real.secret();
    await assertNowhere(password);
    const kept: unknown = await page.evaluate(
      'JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie, location.href, history.state])',
    );
    // That these are found shows that it is looked for in the right places.
    assert.ok(heard.some((one) => one.includes('"type":"open"')));
    assert.match(String(kept), /spice/);
    for (const text of [...heard, await page.content(), String(kept)])
      assert.equal(holds(text, password), false);
    await page.close();
    const run = await console.ended();
    assert.equal(run.code, 0, run.stderr);
    assertNotTold(run, password);
    await assertNowhere(password);
  });

  test('with a viewer that reads its connection file from disk', async () => {
    const args = ['console', DESKTOP, '-v', '--viewer-arg', '{file}'];
    const console = real.home.start(args, TALKATIVE);
    await console.shows(/connected to desktop-1/);
    const { password } = await real.secret();
    await assertNowhere(password);
    await real.guestIsShown();
    console.kill('SIGTERM');
    assertNotTold(await console.ended(), password);
    await assertNowhere(password);
  });

  test('when the viewer fails', async () => {
    const run = await real.home.run(
      ['console', DESKTOP, '-v', '--viewer', '/bin/false', '--json'],
      TALKATIVE,
    );
    assert.equal(run.code, 9, run.stderr);
    const { password } = await real.secret();
    assertNotTold(run, password);
    await assertNowhere(password);
  });

  test('--file writes it to that file alone', async () => {
    const file = 'asked-for.vv';
    const place = path.join(real.home.folder, file);
    const run = await real.home.succeed(['console', DESKTOP, '-v', '--file', place, '--json'], TALKATIVE);
    const { password } = await real.secret();
    assertNotTold(run, password);
    await assertNowhere(password, [file]);
  });

  test('secret rotate and show do not tell it', async () => {
    const runs = [
      await real.home.succeed(['secret', 'rotate', DESKTOP, '-v', '--json'], TALKATIVE),
      await real.home.succeed(['secret', 'show', DESKTOP, '-v'], TALKATIVE),
      await real.home.succeed(['show', DESKTOP, '-v', '--json'], TALKATIVE),
    ];
    const { password } = await real.secret();
    for (const run of runs) assertNotTold(run, password);
    await assertNowhere(password);
  });
});
