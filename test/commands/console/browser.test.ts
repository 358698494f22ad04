import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { createWebSocketStream, type WebSocket } from 'ws';
import { asObject, parseJson } from '../../../src/lib/cluster/parse.ts';
import type { Cluster } from '../../../src/lib/cluster/types.ts';
import { admitNow, linkTarget } from '../../../src/lib/console/present/page-link.ts';
import {
  LINK_VALID_MS,
  triesAgain,
  unopened,
  webPresentation,
} from '../../../src/lib/console/present/web.ts';
import type { ConsoleHooks, ConsoleRequest } from '../../../src/lib/console/request.ts';
import { runSessions, type SessionsOptions } from '../../../src/lib/console/session/sessions.ts';
import type { Presentation } from '../../../src/lib/console/session/show.ts';
import { agentOf } from '../../../src/lib/vm/state.ts';
import type { Vm } from '../../../src/lib/vm/types.ts';
import { sessionError } from '../../../src/lib/console/session/report.ts';
import { Situations } from '../../e2e/situations.ts';
import type { VmopProcess } from '../../helpers/vmop.ts';
import { linkAsViewer } from '../../lib/console/bridge/spice-viewer.ts';

import {
  doorOf,
  enter,
  load,
  message,
  opened,
  redeem,
  socketTo,
  type PageDoor,
  type TestPage,
} from '../../lib/console/web/wire.ts';
import { until } from '../suite.ts';
import { consoleStage, type StagedVm } from './stage.ts';

const stage = consoleStage();
const situations = new Situations('Browser');
const LINK = /^http:\/\/127\.0\.0\.1:\d+\/#t=[\w-]+$/m;

interface Page {
  console: VmopProcess;
  door: PageDoor;
}

async function open(vm: StagedVm, args: string[] = ['--no-browser']): Promise<Page> {
  const console = stage.start([vm.name, '--web', ...args]);
  await console.shows('#t=');
  const [link = ''] = LINK.exec(console.runtime.stdoutText()) ?? [];
  return { console, door: doorOf(link) };
}

/** As a browser that opens the link: its control connection, and main and display. */
async function shown(t: TestContext, door: PageDoor): Promise<WebSocket[]> {
  return await connect(t, door, await enter(door));
}

async function connect(
  t: TestContext,
  door: PageDoor,
  { page, spice, password }: TestPage,
): Promise<WebSocket[]> {
  const sockets = [page];
  for (const type of [1, 2]) {
    const socket = await opened(socketTo(door, spice));
    sockets.push(socket);
    const { result } = await linkAsViewer(createWebSocketStream(socket), password, {
      type,
      connectionId: type - 1,
    });
    assert.equal(result, 0);
  }
  t.after(() => sockets.forEach((socket) => socket.terminate()));
  return sockets;
}

describe('--web', { concurrency: true }, () => {
  test('the page is closed', async (t) => {
    const vm = await stage.vm(t, { name: 'page' });
    const { console, door } = await open(vm);
    const sockets = await shown(t, door);
    await console.shows('connected to vm-page');
    for (const socket of sockets) socket.close();
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stdout, /^http:[^\n]+\n$/);
    situations.saw('the page is closed', ended, vm.name, /^the console of/);
    assert.equal((await vm.secret()).expiry, 'now');
  });

  test('with --json: the link on one line, and an error on another', async (t) => {
    const vm = await stage.vm(t, { name: 'lines' });
    const console = stage.start([vm.name, '--web', '--no-browser', '--json']);
    await console.shows('#t=');
    await vm.takenBy('bob', '10.0.0.9');
    const { url } = asObject(parseJson(console.runtime.stdoutText()));
    assert.equal((await redeem(doorOf(String(url)))).status, 403);
    const { stdout } = await console.ended;
    const [link, error, ...more] = stdout.split('\n').map((line) => asObject(parseJson(line)));
    assert.equal(link?.['url'], url);
    assert.equal(asObject(error?.['error'])['code'], 'conflict');
    assert.deepEqual(more, [{}], 'nothing but a line end');
  });

  test('the link is used twice', async (t) => {
    const vm = await stage.vm(t, { name: 'twice' });
    const { console, door } = await open(vm);
    await shown(t, door);
    assert.equal((await redeem(door)).status, 403);
    await console.shows('used before');
    console.runtime.interrupt('SIGINT');
    const ended = await console.ended;
    assert.equal(ended.code, 130, ended.stderr);
    situations.saw('the link is used twice: the first page stays', ended, vm.name, /^warning: .*refused/);
  });

  test('another site asks for the page', async (t) => {
    const vm = await stage.vm(t, { name: 'site' });
    const { console, door } = await open(vm);
    assert.equal((await redeem(door, { origin: 'https://evil.example' })).status, 403);
    await console.shows('evil.example');
    console.runtime.interrupt('SIGINT');
    const ended = await console.ended;
    situations.saw('a page of another site asks for the session', ended, vm.name, /^warning: .*refused/);
  });

  test('an address that is taken, and a certificate that is none, show before the password is changed', async (t) => {
    const vm = await stage.vm(t, { name: 'address' });
    const taken = createServer().listen(0, '127.0.0.1');
    t.after(() => taken.close());
    await once(taken, 'listening');
    const address = taken.address();
    assert.ok(typeof address === 'object' && address !== null);
    const before = await vm.secret();
    for (const [args, code, says] of [
      [[`127.0.0.1:${address.port}`], 9, /nothing can listen/],
      [['127.0.0.1', '--listen-cert', '/nowhere', '--listen-key', '/nowhere'], 2, /cannot be used/],
    ] as const) {
      const ended = await stage.start([vm.name, '--web', '--no-browser', '--listen', ...args]).ended;
      assert.equal(ended.code, code, ended.stderr);
      assert.match(ended.stderr, says);
      assert.deepEqual(await vm.secret(), before);
    }
  });

  test('there is no browser', async (t) => {
    const vm = await stage.vm(t, { name: 'browserless' });
    const console = stage.start([vm.name, '--web'], { env: { PATH: '/nowhere', DISPLAY: undefined } });
    await console.shows('by hand');
    console.runtime.interrupt('SIGINT');
    situations.saw('no browser is found', await console.ended, vm.name, /by hand/);
  });

  for (const [situation, name, end] of [
    ['the VM is stopped under the page', 'ended', 'stop'],
    ['somebody takes the console from the page', 'lost-page', 'take'],
  ] as const) {
    test(situation, async (t) => {
      const vm = await stage.vm(t, { name });
      const { console, door } = await open(vm);
      await shown(t, door);
      await console.shows('connected to');
      if (end === 'take') await vm.takenBy('bob', '10.0.0.9');
      else {
        await stage.sandbox.patchSpec(vm.name, { vm: { state: 'Stopped' } });
        await stage.sandbox.waitFor(vm.name, ({ status }) => status.runnerVersion === undefined);
        vm.hangUp();
      }
      const ended = await console.ended;
      assert.equal(ended.code, end === 'take' ? 5 : 8, ended.stderr);
      situations.saw(situation, ended, vm.name);
    });
  }

  test('nobody opens the link', async (t) => {
    const vm = await stage.vm(t, { name: 'unopened' });
    const { options, clusters, found, presentation, request } = await presented(vm, { linkValidMs: 1 });
    const { session, prepared } = await runSessions(clusters, found, options, SILENT);
    const error = sessionError(session, prepared, presentation, request);
    assert.ok(error);
    assert.equal(error.message, `the page failed: ${unopened(1)}`);
    assert.equal(unopened(LINK_VALID_MS), 'nobody opened its link within 120 s');
    situations.sawError('nobody opens the link within two minutes', error, vm.name);
    assert.equal((await vm.secret()).expiry, 'now');
  });

  test('the link cannot be printed: nothing is left open', async (t) => {
    const vm = await stage.vm(t, { name: 'unprinted' });
    let link = '';
    const { options, clusters, found } = await presented(vm, {
      onUrl: async (url) => {
        link = url;
        return await Promise.reject(new Error('EPIPE'));
      },
    });
    await assert.rejects(runSessions(clusters, found, options, SILENT), /EPIPE/);
    await assert.rejects(fetch(link), 'its server is gone');
  });

  test('somebody has connected before the link is used', async (t) => {
    const vm = await stage.vm(t, { name: 'late' });
    const { console, door } = await open(vm);
    const before = vm.server.messages.length;
    await vm.takenBy('bob', '10.0.0.9');
    const { status, body } = await redeem(door);
    const { reason, text } = asObject(parseJson(body));
    assert.deepEqual([status, reason], [403, 'notAdmitted']);
    assert.match(String(text), /^bob is connected to vm-late from 10\.0\.0\.9/);
    const ended = await console.ended;
    assert.equal(ended.code, 5, ended.stderr);
    situations.saw('somebody has connected before the link is used', ended, vm.name);
    assert.equal(vm.server.messages.length, before, 'nobody was thrown out');
  });

  test('the machine was made anew before the link is used', async (t) => {
    const vm = await stage.vm(t, { name: 'anew' });
    const { options, clusters, found, presentation, request } = await presented(vm, {
      onUrl: async (url) => {
        assert.equal((await redeem(doorOf(url))).status, 403);
      },
      admit: async (prepared) => ({ ...linkTarget(prepared.vm, prepared.route), vm: 'another' }),
    });
    const { session, prepared } = await runSessions(clusters, found, options, SILENT);
    const error = sessionError(session, prepared, presentation, request);
    assert.equal(error?.code, 'state');
    situations.sawError('the VM has moved, or is another one, when the link is used', error, vm.name);
  });

  for (const [situation, name, connected] of [
    ['the page’s client gives up though its connection is there', 'gives-up', true],
    ['the page’s client never gets as far as SPICE', 'never', false],
  ] as const) {
    test(situation, async (t) => {
      const vm = await stage.vm(t, { name });
      const { console, door } = await open(vm);
      const session = await enter(door);
      if (connected) {
        await connect(t, door, session);
        await console.shows('connected to');
      }
      const { page, attempt } = session;
      const word = nextWord(page);
      page.send(JSON.stringify({ type: 'lost', text: 'Unexpected protocol error', attempt }));
      const { type, text } = await word;
      assert.equal(type, 'ended');
      const ended = await console.ended;
      assert.equal(ended.code, 9, ended.stderr);
      assert.ok(ended.stderr.includes(String(text)), 'page and vmop say the same');
      situations.saw(situation, ended, vm.name);
    });
  }

  test('a server that ends a reloaded page’s session with the one before is asked once more', async (t) => {
    const vm = await stage.vm(t, { name: 'reloaded' });
    const { console, door } = await open(vm);
    const first = await enter(door);
    for (const socket of await connect(t, door, first)) socket.terminate();
    const second = await load(door, first);
    await connect(t, door, second);
    const word = nextWord(second.page);
    vm.hangUp();
    const { type, password } = await word;
    assert.equal(type, 'open');
    await connect(t, door, { ...second, password: String(password) });
    const last = nextWord(second.page);
    vm.hangUp();
    assert.equal((await last)['type'], 'ended', 'but not for ever');
    assert.equal((await console.ended).code, 9);
  });

  test('a page that comes back after the password is over asks before somebody is logged out', async (t) => {
    const annotations = { 'sandbox.vmop/agent': 'normal' };
    const vm = await stage.vm(t, { name: 'asks', annotations });
    await stage.sandbox.waitFor(vm.name, (current) => agentOf(current) === 'connected');
    const { console, door } = await open(vm, ['--no-browser', '--validity', '8s']);
    const first = await enter(door);
    const sockets = await connect(t, door, first);
    const { password: before, expiry } = await vm.secret();
    await until(() => Date.now() > Number(expiry) * 1000 + 1000);
    for (const socket of sockets) socket.terminate();
    const second = await load(door, first);
    const word = nextWord(second.page);
    const channel = await opened(socketTo(door, second.spice));
    assert.equal((await linkAsViewer(createWebSocketStream(channel), second.password)).result, 7);
    const { type, text } = await word;
    assert.equal(type, 'asked');
    assert.match(String(text), /has run out, and a new one would log out/);
    assert.equal((await vm.secret()).password, before);
    const open2 = nextWord(second.page);
    second.page.send(JSON.stringify({ type: 'again' }));
    const { password } = await open2;
    await connect(t, door, { ...second, password: String(password) });
    assert.notEqual((await vm.secret()).password, before);
    second.page.close();
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    situations.saw(
      'the page is loaded anew when the password is over',
      ended,
      vm.name,
      /^warning: The display/,
    );
  });

  test('a link lives no longer than its password, where a new one would log somebody out', async (t) => {
    const vm = await stage.vm(t, { name: 'short', annotations: { 'sandbox.vmop/agent': 'normal' } });
    await stage.sandbox.waitFor(vm.name, (current) => agentOf(current) === 'connected');
    const { console } = await open(vm, ['--no-browser', '--validity', '6s']);
    const ended = await console.ended;
    assert.equal(ended.code, 9);
    assert.match(ended.stderr, /nobody opened its link within [01] s/);
  });

  test('the password lasts as long as the link, and a little longer', async (t) => {
    const vm = await stage.vm(t, { name: 'lasting' });
    const { console } = await open(vm);
    const { expiry } = await vm.secret();
    const seconds = Number(expiry) - Date.now() / 1000;
    assert.ok(seconds > LINK_VALID_MS / 1000, `${seconds} s`);
    console.runtime.interrupt('SIGINT');
    await console.ended;
  });
});

/** What vmop says to the page next. */
async function nextWord(page: WebSocket): Promise<Record<string, unknown>> {
  return asObject(await message(page));
}

const SILENT: ConsoleHooks = {
  onStep: () => {},
  onNote: () => {},
  onWarning: () => {},
  onDetail: () => {},
};

interface Presented {
  clusters: Cluster;
  found: Vm;
  request: ConsoleRequest;
  presentation: Presentation;
  options: SessionsOptions;
}

/** What `vmop console --web` does for a VM, but for what a test says. */
async function presented(
  vm: StagedVm,
  more: Partial<Parameters<typeof webPresentation>[0]>,
): Promise<Presented> {
  const clusters = stage.sandbox.clusterFor('admin');
  const found = await stage.sandbox.waitFor(vm.name, () => true);
  const { signal } = new AbortController();
  const request: ConsoleRequest = {
    me: 'admin',
    permissions: new Set(['takeConsole']),
    pool: undefined,
    take: false,
    login: undefined,
    loginMs: 10_000,
    overrides: {},
    hosts: {},
    tunnel: 'auto',
    validitySeconds: 60,
    confirmMs: 10_000,
    signal,
    afterwards: clusters,
  };
  const presentation = webPresentation({
    listen: { host: '127.0.0.1', port: 0, name: '127.0.0.1' },
    openInBrowser: undefined,
    onUrl: async () => {},
    hooks: SILENT,
    admit: async (prepared) => await admitNow(clusters, prepared, request),
    signal,
    ...more,
  });
  const options = { request, presentation, detach: false, reconnect: false, onDisconnect: 'none' as const };
  return { clusters, found, request, presentation, options };
}

for (const [what, load, now, again] of [
  ['the first load', { anew: false, retried: false, linkedAt: 1000 }, 1100, false],
  ['a load that is not linked', { anew: true, retried: false, linkedAt: undefined }, 1100, false],
  ['a reload', { anew: true, retried: false, linkedAt: 1000 }, 2999, true],
  ['a reload, some time after', { anew: true, retried: false, linkedAt: 1000 }, 3000, false],
  ['a reload that has tried again', { anew: true, retried: true, linkedAt: 1000 }, 1100, false],
] as const) {
  test(`tries once more by itself: ${what}`, () => assert.equal(triesAgain(load, now), again));
}

test('docs/console.md tells these', () =>
  situations.assertDocumented('node --test test/commands/console/browser.test.ts'));
