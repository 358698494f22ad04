import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { superviseSession, type SessionOptions } from '../../../../src/lib/console/session/session.ts';
import type { ViewerPlan } from '../../../../src/lib/console/viewer/detect.ts';
import { launchViewer } from '../../../../src/lib/console/viewer/launch.ts';
import { fakeApi, type FakeApi } from '../fake-api.ts';
import { rejectionOf } from '../helpers.ts';
import { RUNNING, vmObject, vmOf, type VmFields } from '../objects.ts';
import { fakeViewer, type FakeViewer } from '../viewer/fake-viewer.ts';

const UP = ['linking', 'opened', 'displayed'];
const LINES: Record<string, string> = {
  linking: 'out x: New spice channel 0x1 SpiceMainChannel 0',
  opened: 'out x: main channel: opened',
  displayed: 'out x: creating spice display (#:0)',
  closed: 'out x: main channel: closed',
};
const script = (...names: string[]): string => names.map((name) => LINES[name] ?? name).join('\n');

const used = (user: string, second: number): VmFields => ({
  conditions: { ...RUNNING, ConsoleConnected: `True/Connected@2026-07-01T12:00:0${second}Z` },
  status: { consoleUser: user, consoleClient: `10.0.0.${second}` },
});

interface Setup {
  api: FakeApi;
  viewer: FakeViewer;
  options: SessionOptions;
  controller: AbortController;
}

async function setUp(
  t: TestContext,
  recording: string,
  overrides: Partial<SessionOptions> = {},
  plan: Partial<ViewerPlan> = {},
): Promise<Setup> {
  const api = await fakeApi();
  t.after(() => api.close());
  api.put('vms', vmObject());
  const viewer = await fakeViewer(t, recording, plan);
  const controller = new AbortController();
  const { signal } = controller;
  const options: SessionOptions = {
    cluster: api.cluster,
    vm: vmOf(),
    me: 'alice',
    understood: viewer.plan.output === 'remote-viewer',
    until: 'ended',
    hangAfterMs: 30_000,
    launch: (onEvent) => launchViewer(viewer.plan, 'text', { signal, env: process.env, onEvent }),
    signal,
    ...overrides,
  };
  return { api, viewer, options, controller };
}

const listeners = (): number[] => ['exit', 'SIGINT', 'SIGTERM'].map((name) => process.listenerCount(name));

test('a refused password ends the viewer, whose dialog nobody needs', async (t) => {
  const before = listeners();
  const { options } = await setUp(t, 'server-silent');
  const refused = await setUp(t, script('linking', 'out x: main channel: auth failure (wrong)', 'stay'));
  const result = await superviseSession(refused.options);
  assert.deepEqual(result, {
    outcome: { kind: 'passwordRefused' },
    connected: false,
    connection: undefined,
    user: undefined,
    output: [],
  });
  await refused.viewer.gone;
  const hung = await superviseSession({ ...options, hangAfterMs: 400 });
  // It may have been ended before it could say that it is there.
  assert.deepEqual(hung.outcome, { kind: 'viewerHung', stage: 'link' });
  assert.deepEqual(listeners(), before);
});

test('a session that the user ends', async (t) => {
  const { options } = await setUp(t, 'closed-by-user');
  const progress: string[] = [];
  const result = await superviseSession({ ...options, onProgress: (step) => progress.push(step) });
  assert.deepEqual(result, {
    outcome: { kind: 'windowClosed' },
    connected: true,
    connection: undefined,
    user: undefined,
    output: [],
  });
  assert.deepEqual(progress, ['connected']);
});

test('somebody takes the console over', async (t) => {
  const { api, options } = await setUp(t, script(...UP, 'closed', 'exit 0'));
  api.put('vms', vmObject(used('alice', 1)));
  const onProgress = (): void => api.put('vms', vmObject(used('bob', 5)));
  const { outcome } = await superviseSession({ ...options, onProgress });
  assert.deepEqual(outcome, { kind: 'takenOver', by: 'bob', from: '10.0.0.5' });
});

test('channels are up after a while, and an interruption ends all', async (t) => {
  const { viewer, options, controller } = await setUp(t, script(...UP, 'stay'));
  const progress: string[] = [];
  const onProgress = (step: string): void => {
    progress.push(step);
    if (step === 'channelsUp') controller.abort();
  };
  const { outcome, connected } = await superviseSession({ ...options, onProgress });
  assert.deepEqual(
    [outcome, connected, progress],
    [{ kind: 'interrupted' }, true, ['connected', 'channelsUp']],
  );
  await viewer.gone;
});

test('a viewer that reports nothing is known by the VM, and left alone when asked', async (t) => {
  const { api, viewer, options } = await setUp(t, 'stay', { until: 'connected' }, { output: 'none' });
  api.onWatch = () => api.put('vms', vmObject(used('alice', 1)));
  const { outcome, connected } = await superviseSession(options);
  assert.deepEqual([outcome, connected], [{ kind: 'connected' }, true]);
  const { pid } = await viewer.report;
  process.kill(pid, 'SIGTERM');
  await viewer.gone;
});

test('the last words of a viewer that dies', async (t) => {
  const { options } = await setUp(t, 'err remote-viewer: error while loading libspice.so\nexit 127');
  const result = await superviseSession(options);
  assert.deepEqual(result.outcome, {
    kind: 'viewerFailed',
    reason: 'it ended with code 127: remote-viewer: error while loading libspice.so',
  });
  assert.deepEqual(result.output, ['remote-viewer: error while loading libspice.so']);
});

test('a VM that may not be watched is no obstacle', async (t) => {
  const { api, options } = await setUp(t, 'closed-by-user');
  await api.close();
  const { outcome } = await superviseSession(options);
  assert.deepEqual(outcome, { kind: 'windowClosed' });
});

test('a viewer that cannot be started', async (t) => {
  const before = listeners();
  const { options } = await setUp(t, 'stay', {}, { command: '/nowhere/viewer' });
  assert.match((await rejectionOf(superviseSession(options))).message, /cannot be started/);
  assert.deepEqual(listeners(), before);
});
