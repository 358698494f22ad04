import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import type { DisplayEvent } from '../../../../src/lib/console/session/display-event.ts';
import type { ViewerPlan } from '../../../../src/lib/console/viewer/detect.ts';
import {
  launchViewer,
  viewerArguments,
  viewerEnvironment,
  type LaunchOptions,
} from '../../../../src/lib/console/viewer/launch.ts';
import { rejectionOf } from '../helpers.ts';
import { fakeViewer } from './fake-viewer.ts';

const TEXT = '[virt-viewer]\ntype=spice\npassword=hunter2\n';
const FILE: Partial<ViewerPlan> = { args: ['{file}'], input: 'file' };
const PATH = process.env['PATH'];

/** Options that collect events; `until` resolves with the first event of a type. */
function listener(overrides: Partial<LaunchOptions> = {}) {
  const controller = new AbortController();
  const events: DisplayEvent[] = [];
  const waiting = new Map<string, () => void>();
  const onEvent = (event: DisplayEvent): void => {
    events.push(event);
    waiting.get(event.type)?.();
  };
  const until = (type: DisplayEvent['type']): Promise<void> =>
    new Promise((resolve) => {
      if (events.some((event) => event.type === type)) resolve();
      else waiting.set(type, resolve);
    });
  const options: LaunchOptions = { signal: controller.signal, env: { PATH }, onEvent, ...overrides };
  return { controller, events, until, options };
}

const listeners = (): number[] =>
  ['exit', 'SIGINT', 'SIGTERM', 'SIGHUP'].map((name) => process.listenerCount(name));

test('a program that is held back, and then is none, says why it did not begin', async (t) => {
  const { plan } = await fakeViewer(t, 'closed-by-user', { command: '/nowhere/viewer' });
  const { options } = listener({ onProcess: () => {} });
  const viewer = await launchViewer(plan, TEXT, options);
  const { code, notStarted } = await viewer.ended;
  assert.equal(code, 127);
  assert.match(notStarted ?? '', /^\/nowhere\/viewer: /);
});

test('the connection file goes through stdin, its password into no argument', async (t) => {
  const before = listeners();
  const { plan, report } = await fakeViewer(t, 'closed-by-user');
  const { events, options } = listener();
  const viewer = await launchViewer(plan, TEXT, options);
  const got = await report;
  assert.equal(got.text, TEXT);
  assert.deepEqual(got.args, ['--debug', '-']);
  assert.equal(got.pid, viewer.pid);
  assert.deepEqual(await viewer.ended, { code: 0, signal: null, stopped: false });
  assert.deepEqual(
    events.map(({ type }) => type),
    [
      'linking',
      'mainOpened',
      'displayCreated',
      'windowClosing',
      'windowClosing',
      'mainDestroyed',
      'mainClosed',
    ],
  );
  assert.deepEqual(viewer.output(), [], 'nothing of what was typed is kept');
  assert.deepEqual(listeners(), before);
});

test('a private file is gone as soon as it was read', async (t) => {
  const { plan, report } = await fakeViewer(t, 'server-silent', FILE);
  const { options, until } = listener();
  const viewer = await launchViewer(plan, TEXT, options);
  const { args, modes, text } = await report;
  await until('linking');
  const file = args.at(-1) ?? '';
  assert.equal(text, TEXT);
  assert.deepEqual(modes, ['600', '700']);
  await viewer.stop();
  assert.equal(existsSync(path.dirname(file)), false);
});

test('a private file of a viewer that tells nothing is gone with the viewer', async (t) => {
  const { plan, report } = await fakeViewer(t, 'exit 0', { ...FILE, output: 'none' });
  const viewer = await launchViewer(plan, TEXT, listener().options);
  const { args } = await report;
  await viewer.ended;
  assert.equal(existsSync(path.dirname(args.at(-1) ?? '')), false);
});

test('an abort ends the viewer and takes the file away', async (t) => {
  const before = listeners();
  const { plan, report, gone } = await fakeViewer(t, 'stay', { ...FILE, output: 'none' });
  const { controller, options } = listener();
  const viewer = await launchViewer(plan, TEXT, options);
  const { args } = await report;
  controller.abort();
  assert.deepEqual(await viewer.ended, { code: null, signal: 'SIGTERM', stopped: true });
  await gone;
  assert.equal(existsSync(path.dirname(args.at(-1) ?? '')), false);
  assert.deepEqual(listeners(), before);
});

test('a viewer that is deaf to TERM is killed', async (t) => {
  const { plan } = await fakeViewer(t, 'deaf \nout x: main channel: opened\nstay');
  const { options, until } = listener();
  const viewer = await launchViewer(plan, TEXT, options);
  await until('mainOpened');
  assert.deepEqual(await viewer.stop(), { code: null, signal: 'SIGKILL', stopped: true });
});

test('a viewer whose display is being linked is ended after that', async (t) => {
  const { plan } = await fakeViewer(
    t,
    'out x: main channel: opened\nlater x: creating spice display (#:0)\nstay',
  );
  const { options, until, events } = listener();
  const viewer = await launchViewer(plan, TEXT, options);
  await until('mainOpened');
  assert.deepEqual(await viewer.stop(), { code: null, signal: 'SIGTERM', stopped: true });
  assert.deepEqual(events, [{ type: 'mainOpened' }, { type: 'displayCreated', display: 0 }]);
});

test('what a script has started ends with it', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  t.after(() => rm(folder, { recursive: true }));
  const { plan, report, gone } = await fakeViewer(t, 'stay');
  const script = path.join(folder, 'viewer');
  const inner = [plan.command, ...plan.launcherArgs].map((word) => `'${word}'`).join(' ');
  await writeFile(script, `#!/bin/sh\n${inner} "$@"\necho after\n`, { mode: 0o755 });
  const viewer = await launchViewer({ ...plan, command: script, launcherArgs: [] }, TEXT, listener().options);
  assert.deepEqual((await report).args, ['--debug', '-']);
  await viewer.stop();
  await gone;
});

test('a signal that kills it is told, and its last lines are kept', async (t) => {
  const { plan } = await fakeViewer(t, 'err segfault \u001b[31mhere\nerr  \ndie SIGSEGV', { output: 'none' });
  const viewer = await launchViewer(plan, TEXT, listener().options);
  assert.deepEqual(await viewer.ended, { code: null, signal: 'SIGSEGV', stopped: false });
  assert.deepEqual(viewer.output(), ['segfault \\x1b[31mhere']);
});

test('the kept output is bounded', async (t) => {
  const script = [
    ...Array.from({ length: 80 }, (_, index) => `err line ${index} ${'x'.repeat(600)}`),
    'exit 0',
  ];
  const { plan } = await fakeViewer(t, script.join('\n'));
  const viewer = await launchViewer(plan, TEXT, listener().options);
  await viewer.ended;
  assert.equal(viewer.output().length, 50);
  assert.match(viewer.output()[0] ?? '', /^line 30 x+…$/);
  assert.ok(viewer.output().every((line) => line.length <= 500));
});

test('what cannot be started is an error, and leaves no file and no listener', async () => {
  const before = listeners();
  const plan: ViewerPlan = {
    name: 'missing',
    command: '/nowhere/viewer',
    launcherArgs: [],
    args: ['{file}'],
    input: 'file',
    pathStyle: 'native',
    output: 'none',
  };
  const error = await rejectionOf(launchViewer(plan, TEXT, listener().options));
  assert.equal(error.code, 'console');
  assert.match(error.message, /^missing cannot be started: .*ENOENT/);
  assert.deepEqual(listeners(), before);
});

test('nothing is started after an abort', async (t) => {
  const { plan } = await fakeViewer(t, 'stay');
  const { controller, options } = listener();
  controller.abort(new Error('too late'));
  await assert.rejects(launchViewer(plan, TEXT, options), /too late/);
});

/** Starts the launcher as a process of its own, which has a viewer. */
async function launcher(t: TestContext, plan: ViewerPlan, how: string) {
  const script = path.join(import.meta.dirname, '..', 'fixtures', 'launcher.ts');
  const child = spawn(process.execPath, [script, JSON.stringify(plan), `${TEXT}delete-this-file=1`, how], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [started] = await once(child.stdout, 'data');
  assert.equal(String(started), 'started\n');
  return child;
}

const ENDS: [how: string, end: NodeJS.Signals | 'exit'][] = [
  ['wait', 'SIGTERM'],
  ['wait', 'SIGINT'],
  ['wait', 'SIGHUP'],
  ['exit', 'exit'],
];
for (const [how, end] of ENDS) {
  test(`${end} of this process takes viewer and file with it`, async (t) => {
    const { plan, report, gone } = await fakeViewer(t, 'stay', { ...FILE, output: 'none' });
    const child = await launcher(t, plan, how);
    const { args } = await report;
    if (end === 'exit') child.stdin.write('now');
    else child.kill(end);
    const [code, signal] = await once(child, 'exit');
    assert.deepEqual([code, signal], end === 'exit' ? [0, null] : [null, end]);
    await gone;
    assert.equal(existsSync(path.dirname(args.at(-1) ?? '')), false);
  });
}

test('a detached viewer outlives this process', async (t) => {
  const { plan, report, gone } = await fakeViewer(t, 'stay');
  const child = await launcher(t, plan, 'detach');
  await once(child, 'exit');
  const { pid, text } = await report;
  assert.match(text, /hunter2/);
  process.kill(pid, 'SIGTERM');
  await gone;
});

test('arguments: debug for a viewer that is listened to, the file in its place', () => {
  const plan: ViewerPlan = {
    name: 'x',
    command: 'flatpak',
    launcherArgs: ['run', 'app'],
    args: ['--zoom=200', 'file://{file}'],
    input: 'file',
    pathStyle: 'native',
    output: 'remote-viewer',
  };
  assert.deepEqual(viewerArguments(plan, '/tmp/$&/c.vv', {}), [
    'run',
    'app',
    '--debug',
    '--zoom=200',
    'file:///tmp/$&/c.vv',
  ]);
  assert.deepEqual(viewerArguments({ ...plan, args: ['-'] }, undefined, { detach: true }), [
    'run',
    'app',
    '-',
  ]);
  assert.deepEqual(viewerArguments({ ...plan, output: 'none' }, '/f', {}), [
    'run',
    'app',
    '--zoom=200',
    'file:///f',
  ]);
});

test('a session bus is kept; without one none is started', { skip: process.platform !== 'linux' }, () => {
  const env = { PATH: '/bin', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/run/bus' };
  assert.equal(viewerEnvironment(env)['DBUS_SESSION_BUS_ADDRESS'], 'unix:path=/run/bus');
  const none = { XDG_RUNTIME_DIR: '/nowhere' };
  assert.equal(viewerEnvironment(none)['DBUS_SESSION_BUS_ADDRESS'], 'disabled:');
  assert.equal(viewerEnvironment({ DBUS_SESSION_BUS_ADDRESS: '' })['DBUS_SESSION_BUS_ADDRESS'], 'disabled:');
});
