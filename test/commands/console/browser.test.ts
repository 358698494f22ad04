import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { createWebSocketStream, type WebSocket } from 'ws';
import { webPresentation } from '../../../src/lib/console/present/web.ts';
import type { ConsoleHooks, ConsoleRequest } from '../../../src/lib/console/request.ts';
import { runSessions } from '../../../src/lib/console/session/sessions.ts';
import { sessionError } from '../../../src/lib/console/session/report.ts';
import { Situations } from '../../e2e/situations.ts';
import type { VmopProcess } from '../../helpers/vmop.ts';
import { linkAsViewer } from '../../lib/console/bridge/spice-viewer.ts';

import { doorOf, opened, openSession, redeem, socketTo, type PageDoor } from '../../lib/console/web/wire.ts';
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
  const { spice, control, password } = await openSession(door);
  const sockets = [await opened(socketTo(door, control, { protocol: 'vmop.console' }))];
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
    const clusters = stage.sandbox.clusterFor('admin');
    const found = await stage.sandbox.waitFor(vm.name, () => true);
    const hooks: ConsoleHooks = {
      onStep: () => {},
      onNote: () => {},
      onWarning: () => {},
      onDetail: () => {},
    };
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
      hooks,
      linkValidMs: 1,
      signal,
    });
    const options = { request, presentation, detach: false, reconnect: false, onDisconnect: 'none' as const };
    const { session, prepared } = await runSessions(clusters, found, options, hooks);
    const error = sessionError(session, prepared, presentation, request);
    assert.ok(error);
    situations.sawError('nobody opens the link within two minutes', error, vm.name);
    assert.equal((await vm.secret()).expiry, 'now');
  });
});

test('docs/console.md tells these', () =>
  situations.assertDocumented('node --test test/commands/console/browser.test.ts'));
