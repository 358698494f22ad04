import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DisconnectAction } from '../../../src/lib/console-choices.ts';
import type { ConsoleHooks, ConsoleRequest } from '../../../src/lib/console/request.ts';
import {
  runSessions,
  type ConsoleOutcome,
  type SessionsOptions,
} from '../../../src/lib/console/session/sessions.ts';
import { whereOf } from '../../../src/lib/console/reach/route.ts';
import type { Presentation } from '../../../src/lib/console/session/show.ts';
import type { DisplayEvent } from '../../../src/lib/console/session/display-event.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { userRules } from '../../../src/lib/sandbox/rules.ts';
import { VMS } from '../../../src/lib/vm/parse.ts';
import { agentOf, consoleUse } from '../../../src/lib/vm/state.ts';
import type { Permission } from '../../../src/lib/vm/types.ts';
import { Situations } from '../../e2e/situations.ts';
import { startFakeServer } from '../../lib/console/bridge/spice-server.ts';
import { until } from '../suite.ts';
import { consoleStage, type StagedVm } from './stage.ts';

/** Alice may set passwords, and not say that a console is hers. */
const stage = consoleStage({
  rules: [
    ...userRules([]),
    { subjects: { users: ['alice'] }, verbs: ['patch'], apiGroups: [''], resources: ['secrets'] },
  ],
});
const situations = new Situations('Reconnecting');
const UP: DisplayEvent[] = [{ type: 'mainOpened' }, { type: 'displayCreated', display: 0 }];
const LOST: DisplayEvent = { type: 'mainClosed' };

/** What a viewer reports, and what happens meanwhile, in one session after the other; the last one is closed by its person. */
type Play = (DisplayEvent | (() => Promise<unknown>))[][];

interface Run {
  outcome: ConsoleOutcome;
  pauses: number[];
  told: string[];
  /** Where it was opened, each time. */
  places: string[];
}

interface RunOptions {
  user?: string;
  request?: Partial<ConsoleRequest>;
  reconnect?: boolean;
  onDisconnect?: DisconnectAction;
  standing?: SessionsOptions['standing'];
  /** Of the presentation. */
  close?: () => Promise<void>;
  /** The last session stays until this was told. */
  until?: RegExp;
  /** Between two sessions. */
  meanwhile?: (attempt: number) => Promise<unknown>;
}

async function run(t: TestContext, vm: StagedVm, play: Play, options: RunOptions = {}): Promise<Run> {
  const {
    user = 'admin',
    reconnect = true,
    onDisconnect = 'none',
    meanwhile = async () => {},
    until: awaited = /^/,
    close,
    standing,
  } = options;
  const cluster = stage.sandbox.clusterFor(user);
  const controller = new AbortController();
  t.after(() => controller.abort());
  const { signal } = controller;
  const told: string[] = [];
  const places: string[] = [];
  const say = (text: string): void => void told.push(text);
  const hooks: ConsoleHooks = { onStep: say, onNote: say, onWarning: say, onDetail: say };
  const request: ConsoleRequest = {
    me: user,
    permissions: new Set(['takeConsole']),
    pool: undefined,
    take: false,
    login: undefined,
    loginMs: 20_000,
    overrides: {},
    hosts: {},
    tunnel: 'auto',
    validitySeconds: 60,
    confirmMs: 20_000,
    signal,
    afterwards: cluster,
    ...options.request,
  };
  let session = 0;
  const presentation: Presentation = {
    name: 'the viewer',
    understood: () => true,
    hangAfterMs: 60_000,
    ...(close && { close }),
    start: async ({ route }, onEvent) => {
      places.push(whereOf(route));
      const { promise: ended, resolve } = Promise.withResolvers<{
        code: number;
        signal: null;
        stopped: boolean;
      }>();
      const events = play[session];
      session += 1;
      const last = events === undefined || session === play.length;
      const perform = async (): Promise<void> => {
        for (const event of events ?? []) {
          if (typeof event === 'function') await event();
          else onEvent(event);
        }
        if (!last) return;
        await until(() => told.some((line) => awaited.test(line)));
        resolve({ code: 0, signal: null, stopped: false });
      };
      setImmediate(() => void perform());
      return {
        ended,
        output: () => [],
        stop: async () => {
          resolve({ code: 0, signal: null, stopped: true });
          return ended;
        },
      };
    },
  };
  const pauses: number[] = [];
  const pause = async (ms: number): Promise<void> => {
    pauses.push(ms);
    await meanwhile(pauses.length);
  };
  const found = await stage.sandbox.waitFor(vm.name, () => true);
  const sessions = { request, presentation, detach: false, reconnect, onDisconnect, standing, pause };
  try {
    return { outcome: await runSessions(cluster, found, sessions, hooks), pauses, told, places };
  } catch (error) {
    assert.ok(error instanceof VmopError, String(error));
    throw Object.assign(error, { pauses, told });
  }
}

describe('sessions that are opened again', { concurrency: true }, () => {
  test('a connection that was lost, once', async (t) => {
    const vm = await stage.vm(t, { name: 'once' });
    const { outcome, pauses } = await run(t, vm, [
      [...UP, LOST],
      [...UP, { type: 'windowClosing' }],
    ]);
    assert.deepEqual([outcome.session.outcome, pauses], [{ kind: 'windowClosed' }, [1000]]);
  });

  test('the pauses grow while it does not come back, and it is given up', async (t) => {
    const vm = await stage.vm(t, { name: 'gone' });
    const meanwhile = async (attempt: number): Promise<void> => {
      if (attempt === 1) await vm.server.close();
    };
    await assert.rejects(run(t, vm, [[...UP, LOST], []], { meanwhile }), (error) => {
      assert.ok(error instanceof VmopError && 'pauses' in error);
      assert.deepEqual(
        [error.code, error.pauses],
        ['console', [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30].map((s) => s * 1000)],
      );
      assert.match(error.message, /^nothing accepts connections at .*; 12 attempts to come back failed$/);
      situations.sawError('the connection breaks, and does not come back for four minutes', error, vm.name);
      return true;
    });
  });

  test('not one that was never there', async (t) => {
    const vm = await stage.vm(t, { name: 'never' });
    const { outcome, pauses } = await run(t, vm, [[{ type: 'connectFailed', reason: 'no' }], []]);
    assert.deepEqual([outcome.session.outcome.kind, pauses], ['unreachable', []]);
  });

  test('not without being asked', async (t) => {
    const vm = await stage.vm(t, { name: 'unasked' });
    const { outcome, pauses } = await run(t, vm, [[...UP, LOST], []], { reconnect: false });
    assert.deepEqual([outcome.session.outcome.kind, pauses], ['connectionLost', []]);
  });

  test('not one that somebody has taken', async (t) => {
    const vm = await stage.vm(t, { name: 'robbed' });
    const taken = async (): Promise<void> => void vm.takenBy('bob', '10.0.0.9');
    const { outcome, pauses } = await run(t, vm, [[...UP, taken, LOST], []]);
    assert.deepEqual(
      [outcome.session.outcome, pauses],
      [{ kind: 'takenOver', by: 'bob', from: '10.0.0.9' }, []],
    );
  });

  test('nor while somebody else has come meanwhile', async (t) => {
    const vm = await stage.vm(t, { name: 'occupied' });
    await assert.rejects(
      run(t, vm, [[...UP, LOST], []], { meanwhile: () => vm.takenBy('bob', '10.0.0.9') }),
      (error) => {
        assert.ok(error instanceof VmopError && error.code === 'conflict');
        situations.sawError('somebody else has come meanwhile', error, vm.name);
        return error.message.startsWith('bob is connected');
      },
    );
  });

  test('nor is it taken once more, where --take took it first', async (t) => {
    const vm = await stage.vm(t, { name: 'taken-once' });
    await vm.takenBy('bob', '10.0.0.9');
    await assert.rejects(
      run(t, vm, [[...UP, LOST], []], {
        request: { take: true },
        meanwhile: () => vm.takenBy('carol', '10.0.0.8'),
      }),
      (error) => error instanceof VmopError && error.message.startsWith('carol is connected'),
    );
  });

  for (const [user, name] of [
    ['admin', 'still-shown'],
    ['alice', 'still-shown-nameless'],
  ] as const) {
    test(`${user}’s own connection, which QEMU still shows`, async (t) => {
      const vm = await stage.vm(t, { name });
      await stage.sandbox.patchStatus(vm.name, { consoleUser: 'carol' });
      const connects = async (): Promise<void> => {
        vm.machine().connectConsole('10.0.0.7');
        await stage.sandbox.waitFor(vm.name, (current) => consoleUse(current).connected);
        await sleep(300);
      };
      const { outcome, told } = await run(t, vm, [[...UP, connects, LOST], UP], {
        user,
        request: { permissions: new Set(['accessConsole']) },
      });
      assert.equal(outcome.session.outcome.kind, 'windowClosed');
      assert.match(told.join('\n'), /^your own console is connected from 10\.0\.0\.7/m);
    });
  }

  test('after the VM has been restarted, as soon as it runs', async (t) => {
    const vm = await stage.vm(t, { name: 'restarted' });
    const meanwhile = async (): Promise<void> => {
      await stage.sandbox.patchSpec(vm.name, { vm: { state: 'Stopped' } });
      await stage.sandbox.waitFor(vm.name, ({ status }) => status.runnerVersion === undefined);
      setImmediate(() => void stage.sandbox.patchSpec(vm.name, { vm: { state: 'Running' } }));
    };
    const { outcome, told } = await run(t, vm, [[...UP, LOST], UP], { meanwhile });
    assert.equal(outcome.session.outcome.kind, 'windowClosed');
    const stderr = told.join('\n');
    situations.saw(
      'the VM is down for a while',
      { code: 0, stderr },
      vm.name,
      /^waiting until .* runs again/,
    );
  });

  for (const [way, name, tunnel, suffix] of [
    ['directly', 'moving', 'never', ''],
    ['behind the API server', 'moving-tunnel', 'always', ' through the API server'],
  ] as const) {
    test(`after the VM has moved, ${way}`, async (t) => {
      const vm = await stage.vm(t, { name });
      const other = await startFakeServer({ passwords: () => [] });
      t.after(() => other.close());
      const meanwhile = async (): Promise<void> => {
        const spice = { port: other.port, server: 'localhost' };
        await stage.sandbox.patchSpec(vm.name, { vm: { display: { spice } } });
        await vm.server.close();
      };
      const { outcome, places } = await run(t, vm, [[...UP, LOST], UP], { meanwhile, request: { tunnel } });
      assert.equal(outcome.session.outcome.kind, 'windowClosed');
      assert.deepEqual(places, [`127.0.0.1:${vm.server.port}${suffix}`, `localhost:${other.port}${suffix}`]);
    });
  }

  test('not with a permission that was withdrawn meanwhile', async (t) => {
    const vm = await stage.vm(t, { name: 'withdrawn' });
    const standing = async () => ({ permissions: new Set<Permission>(), pool: undefined });
    await assert.rejects(run(t, vm, [[...UP, LOST], []], { standing }), (error) => {
      assert.ok(error instanceof VmopError && error.code === 'forbidden');
      situations.sawError('the permission was withdrawn meanwhile', error, vm.name);
      return true;
    });
  });

  test('not another VM that was made under its name', async (t) => {
    const vm = await stage.vm(t, { name: 'replaced' });
    const meanwhile = async (): Promise<void> => {
      await stage.sandbox.admin.delete(VMS, { namespace: 'default', name: vm.name });
      await stage.sandbox.addVm({ name: vm.name, spec: { vm: { state: 'Running' } } });
    };
    await assert.rejects(run(t, vm, [[...UP, LOST], []], { meanwhile }), (error) => {
      assert.ok(error instanceof VmopError && error.code === 'notFound');
      situations.sawError('the VM was deleted and made anew meanwhile', error, vm.name);
      return true;
    });
  });

  test('not where a new password would end the desktop session', async (t) => {
    const vm = await stage.vm(t, { name: 'manual', annotations: { 'sandbox.vmop/agent': 'normal' } });
    await stage.sandbox.waitFor(vm.name, (current) => agentOf(current) === 'connected');
    let password: string | undefined;
    const meanwhile = async (): Promise<void> => void ({ password } = await vm.secret());
    const play: Play = [[...UP, LOST], []];
    const request = { validitySeconds: 10 };
    await assert.rejects(run(t, vm, play, { request, meanwhile }), (error) => {
      assert.ok(error instanceof VmopError && error.code === 'console' && 'told' in error);
      situations.sawError('a new password would log somebody out', error, vm.name);
      const told = String(error.told);
      assert.match(told, /--reconnect brings vm-manual back only while its display password lasts/);
      return true;
    });
    assert.equal((await vm.secret()).password, password);
  });

  test('one that breaks at once each time is given up, too', async (t) => {
    const vm = await stage.vm(t, { name: 'flapping' });
    const broken: DisplayEvent[] = [{ type: 'mainOpened' }, { type: 'passwordRefused' }];
    const play = Array.from({ length: 30 }, () => broken);
    await assert.rejects(run(t, vm, play), (error) => {
      assert.ok(error instanceof VmopError && 'pauses' in error && Array.isArray(error.pauses));
      assert.equal(error.pauses.length, 12);
      return error.message.endsWith('refused the password; 12 attempts to come back failed');
    });
  });
});

describe('the desktop afterwards', { concurrency: true }, () => {
  async function usedByBob(t: TestContext, name: string): Promise<StagedVm> {
    const vm = await stage.vm(t, { name, annotations: { 'sandbox.vmop/agent': 'normal' }, login: 'bob' });
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === 'bob');
    return vm;
  }

  test('the session that counts is the last one that was connected', async (t) => {
    const vm = await usedByBob(t, 'not-back');
    const play: Play = [[...UP, LOST], [{ type: 'passwordRefused' }], []];
    const { outcome, told } = await run(t, vm, play, { onDisconnect: 'logout' });
    assert.equal(outcome.session.connected, false);
    assert.match(told.join('\n'), /^bob was logged out on vm-not-back/m);
  });

  test('nor does it stay because the page could not be taken away', async (t) => {
    const vm = await usedByBob(t, 'stuck');
    const close = async (): Promise<void> => {
      throw new VmopError('failed', 'it does not close');
    };
    await assert.rejects(run(t, vm, [UP], { onDisconnect: 'logout', close }), /it does not close/);
    await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === undefined);
  });
});

describe('--login', { concurrency: true }, () => {
  const login = { user: 'alice', first: false };
  const annotations = { 'sandbox.vmop/agent': 'normal' };

  test('nobody is logged in before the console is connected', async (t) => {
    const vm = await stage.vm(t, { name: 'unconnected', annotations });
    await run(t, vm, [[{ type: 'passwordRefused' }], []], { request: { login } });
    assert.equal(vm.machine().agentInput.includes('login alice'), false);
  });

  test('the password is ended only after the log-in', async (t) => {
    const vm = await stage.vm(t, { name: 'greeted', annotations: { 'sandbox.vmop/agent': 'slow:2500' } });
    const { told } = await run(t, vm, [UP], { request: { login }, until: /the display password was ended/ });
    const lines = told.filter((line) => /^alice is logged in|the display password was ended/.test(line));
    assert.equal(lines.length, 2, told.join('\n'));
    assert.match(lines[0] ?? '', /alice is logged in/);
  });
});

test('docs/console.md tells these', () =>
  situations.assertDocumented('node --test test/commands/console/sessions.test.ts'));
