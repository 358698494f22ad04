import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectionFile } from '../../../src/lib/console/connection-file.ts';
import { preflight } from '../../../src/lib/console/reach/preflight.ts';
import {
  superviseSession,
  type SessionOptions,
  type SessionResult,
} from '../../../src/lib/console/session/session.ts';
import { detectViewer, type ViewerPlan, type WantedViewer } from '../../../src/lib/console/viewer/detect.ts';
import { launchViewer } from '../../../src/lib/console/viewer/launch.ts';
import { describePlatform } from '../../../src/lib/console/viewer/platform.ts';
import { fakeApi, type FakeApi } from './fake-api.ts';
import { RUNNING, vmObject, vmOf } from './objects.ts';
import { freePort, missingProgram, realDesktop, type RealDesktop } from './real-desktop.ts';

const missing = missingProgram();
const PASSWORD = 'geheim\\ \n=';
const given = <T>(value: T) => ({ value, source: 'test' });

describe(
  'with the real remote-viewer',
  { skip: missing !== undefined && `${missing} is not installed` },
  () => {
    let desktop: RealDesktop;
    let api: FakeApi;
    before(async () => {
      desktop = await realDesktop();
      api = await fakeApi();
      api.put('vms', vmObject());
    });
    after(async () => {
      await api.close();
      await desktop.close();
    });

    async function planOf(wanted: WantedViewer = {}): Promise<ViewerPlan> {
      const search = detectViewer(await describePlatform(desktop.env), wanted);
      assert.ok('plan' in search);
      return search.plan;
    }

    /** A whole session; `onProgress` is told what happens in it. */
    async function session(
      { port = desktop.port, password = PASSWORD, wanted = {}, env = {}, hangAfterMs = 30_000 } = {},
      onProgress?: (step: 'connected' | 'channelsUp', interrupt: () => void) => void,
    ): Promise<SessionResult & { progress: string[] }> {
      const plan = await planOf(wanted);
      const endpoint = { host: given('127.0.0.1'), port: given(port) };
      const deleteThisFile = plan.input === 'file';
      const text = connectionFile({ endpoint, password, title: 'desktop-1 %d', deleteThisFile });
      const controller = new AbortController();
      const { signal } = controller;
      const progress: string[] = [];
      const options: SessionOptions = {
        cluster: api.cluster,
        vm: vmOf(),
        me: 'alice',
        understood: true,
        until: 'ended',
        hangAfterMs,
        launch: (onEvent) => launchViewer(plan, text, { signal, env: { ...desktop.env, ...env }, onEvent }),
        signal,
        onProgress: (step) => {
          progress.push(step);
          onProgress?.(step, () => controller.abort());
        },
      };
      return { ...(await superviseSession(options)), progress };
    }

    test('a console opens, a preflight does not disturb it, and an interruption closes it', async () => {
      await desktop.setPassword(PASSWORD, 'never');
      let open: number[] = [];
      let reachable = false;
      const looked = Promise.withResolvers<void>();
      const { outcome, connected, progress } = await session({}, (step, interrupt) => {
        if (step !== 'channelsUp') return;
        void (async () => {
          const endpoint = { host: given('127.0.0.1'), port: given(desktop.port) };
          ({ reachable } = await preflight(endpoint, {
            timeoutMs: 10_000,
            signal: new AbortController().signal,
          }));
          open = await desktop.channels();
          interrupt();
          looked.resolve();
        })();
      });
      await looked.promise;
      assert.deepEqual([outcome, connected, reachable], [{ kind: 'interrupted' }, true, true]);
      assert.deepEqual(progress, ['connected', 'channelsUp']);
      assert.deepEqual(
        open.toSorted((a, b) => a - b),
        [1, 2, 3, 4],
        'main, display, inputs and cursor',
      );
    });

    test('a private file in place of stdin works as well', async () => {
      await desktop.setPassword(PASSWORD, 'never');
      const { outcome } = await session({ wanted: { args: ['{file}'] } }, (step, interrupt) => {
        // Not earlier: the SPICE server of QEMU 7.2 crashes when a viewer goes while its display is being linked.
        if (step === 'channelsUp') interrupt();
      });
      assert.deepEqual(outcome, { kind: 'interrupted' });
    });

    test('a wrong password and one that has run out', async () => {
      await desktop.setPassword('another', 'never');
      assert.deepEqual((await session()).outcome, { kind: 'passwordRefused' });
      await desktop.setPassword(PASSWORD, 'now');
      assert.deepEqual((await session()).outcome, { kind: 'passwordRefused' });
    });

    test('nobody listens, and somebody who says nothing', async (t) => {
      const { outcome } = await session({ port: await freePort() });
      assert.equal(outcome.kind, 'unreachable');
      const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
      await once(silent, 'listening');
      t.after(() => silent.close());
      const address = silent.address();
      assert.ok(address !== null && typeof address === 'object');
      const hung = await session({ port: address.port, hangAfterMs: 1500 });
      assert.deepEqual(hung.outcome, { kind: 'viewerHung', stage: 'link' });
    });

    test('no desktop', async () => {
      const { outcome, output } = await session({ env: { DISPLAY: ':9999' } });
      assert.deepEqual(outcome, {
        kind: 'viewerFailed',
        reason: 'it finds no desktop to show itself on :9999',
      });
      assert.match(output.join('\n'), /cannot open display: :9999/);
    });

    test('a second viewer takes the console over', async () => {
      await desktop.setPassword(PASSWORD, 'never');
      const second = Promise.withResolvers<SessionResult>();
      const first = await session({}, (step) => {
        if (step !== 'channelsUp') return;
        const taken = session({}, (later, interrupt) => {
          if (later !== 'channelsUp') return;
          const ConsoleConnected = 'True/Connected@2026-07-01T12:00:00Z';
          api.put(
            'vms',
            vmObject({ conditions: { ...RUNNING, ConsoleConnected }, status: { consoleUser: 'bob' } }),
          );
          interrupt();
        });
        void taken.then(second.resolve, second.reject);
      });
      assert.deepEqual(first.outcome, { kind: 'takenOver', by: 'bob' });
      assert.deepEqual((await second.promise).outcome, { kind: 'interrupted' });
      api.put('vms', vmObject());
    });

    test('no session bus is left behind', async () => {
      assert.equal(existsSync(path.join(desktop.env['HOME'] ?? '', '.dbus')), false);
    });

    test('the machine dies', async () => {
      await desktop.setPassword(PASSWORD, 'never');
      const { outcome } = await session({}, (step) => {
        if (step !== 'channelsUp') return;
        api.put('vms', vmObject({ conditions: { Running: 'False/VmStopped' }, vm: { state: 'Stopped' } }));
        desktop.kill();
      });
      assert.deepEqual(outcome, { kind: 'vmStopped' });
    });
  },
);
