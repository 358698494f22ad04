import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { Cluster, JsonObject, KubeObject, Resource } from '../../../src/lib/cluster/types.ts';
import { asObject } from '../../../src/lib/cluster/parse.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { logIn, requestLogin, type LoginWait } from '../../../src/lib/vm/login.ts';
import { VMS } from '../../../src/lib/vm/parse.ts';
import type { Vm } from '../../../src/lib/vm/types.ts';
import {
  CONFIG_MAPS,
  makeNamespaces,
  openTestCluster,
  rejectionOf,
  startTestApi,
} from '../cluster/fixture.ts';
import { conditionsOf, poolOfSpec, RUNNING, STOPPED, vmObject, type Conditions } from './objects.ts';

const PODS: Resource<KubeObject> = { ...CONFIG_MAPS, plural: 'pods', kind: 'Pod' };
const ref = { namespace: 'ns', name: 'desktop-1' };
const GREETED: Conditions = { ...RUNNING, Booted: 'True/VmBooted', VmopAgentConnected: 'True/Connected' };
const LOGGED_IN: Conditions = { ...GREETED, UserLoggedIn: 'True/LoggedIn' };

interface Guest {
  cluster: Cluster;
  vm(): Promise<Vm>;
  /** What the runner reports. */
  report(conditions: Conditions, status?: JsonObject): Promise<unknown>;
  /** What the runner logs. */
  says(text: string): void;
  /** Resolves when `spec.vm.display.loggedInUser` is this. */
  asked(user: string | undefined): Promise<void>;
}

/** A VM whose runner and agent are played by the test. */
async function guest(
  t: TestContext,
  conditions: Conditions,
  vm: JsonObject = {},
  status: JsonObject = {},
): Promise<Guest> {
  const lines: string[] = [];
  const api = await startTestApi(t, { podLog: async () => lines.join('') });
  const cluster = await openTestCluster(t, api);
  const player = await openTestCluster(t, api);
  await makeNamespaces(player, 'ns');
  await player.create(VMS, 'ns', { metadata: { name: ref.name }, spec: asObject(vmObject({ vm })['spec']) });
  await player.create(PODS, 'ns', {
    metadata: { name: ref.name },
    spec: { containers: [{ name: ref.name, image: 'x' }] },
  });
  const report = (now: Conditions, more: JsonObject = {}): Promise<unknown> => {
    const body = { status: { runnerVersion: '4.0.3', ...more, conditions: conditionsOf(now) } };
    return player.patch(VMS, ref, { type: 'merge', body }, { subresource: 'status' });
  };
  await report(conditions, status);
  return {
    cluster,
    vm: () => player.get(VMS, ref),
    report,
    says: (text) => void lines.push(`2026-07-01T10:00:0${lines.length}.000000000Z ${text}\n`),
    async asked(user) {
      const abort = new AbortController();
      for await (const change of player.watch(VMS, { namespace: 'ns', signal: abort.signal })) {
        const items = change.type === 'synced' ? change.items : [change.item];
        if (items.some(({ spec }) => spec.loggedInUser === user)) return;
      }
    },
  };
}

const waiting = (more: Partial<LoginWait> = {}): LoginWait => ({
  timeoutMs: 20_000,
  signal: new AbortController().signal,
  onWarning: () => {},
  ...more,
});

const as = (user: string | undefined) => ({ user });
const wish = (user: string): JsonObject => ({ display: { loggedInUser: user } });

describe('a login', () => {
  test('trap 1: is done when the status names the user, not when the condition is true', async (t) => {
    const { cluster, vm, asked, report } = await guest(t, GREETED);
    const warnings: string[] = [];
    const onWarning = (sentence: string): void => void warnings.push(sentence);
    let done = false;
    const login = logIn(cluster, await vm(), undefined, as('alice'), waiting({ onWarning })).finally(
      () => (done = true),
    );
    await asked('alice');
    await report(LOGGED_IN);
    // The watch has had its chance to take the condition for the login.
    await cluster.get(VMS, ref);
    assert.equal(done, false);
    await report(LOGGED_IN, { loggedInUser: 'alice' });
    assert.equal((await login).status.loggedInUser, 'alice');
    assert.equal(warnings.length, 1, 'seen 2: it may end a session that was opened by hand');
  });

  test('seen 5: alice → bob: done when the name has followed', async (t) => {
    const { cluster, vm, asked, report } = await guest(t, LOGGED_IN, wish('alice'), {
      loggedInUser: 'alice',
    });
    const login = logIn(cluster, await vm(), undefined, as('bob'), waiting());
    await asked('bob');
    await report(LOGGED_IN, { loggedInUser: 'bob' });
    assert.equal((await login).status.loggedInUser, 'bob');
  });

  test('of whoever is there already: nothing is written', async (t) => {
    const { cluster, vm } = await guest(t, LOGGED_IN, wish('alice'), { loggedInUser: 'alice' });
    const before = await vm();
    await logIn(cluster, before, undefined, as('alice'), waiting());
    assert.equal((await vm()).resourceVersion, before.resourceVersion);
  });

  test('trap 2, seen 5: a refusal, which only the log tells', async (t) => {
    const { cluster, vm, asked, says } = await guest(t, LOGGED_IN, wish('alice'), { loggedInUser: 'alice' });
    says('Error response from vmop agent: 504 an old one');
    const login = rejectionOf(logIn(cluster, await vm(), undefined, as('nobody'), waiting()));
    await asked('nobody');
    says('Error response from vmop agent: 504 Cannot log in nobody');
    const error = await login;
    assert.ok(error instanceof VmopError);
    assert.deepEqual([error.code, error.exitCode, error.vm], ['guest', 10, 'desktop-1']);
    assert.match(error.message, /refused to log in nobody: 504 Cannot log in nobody$/);
  });

  test('a wish that stood already and was refused then is still refused', async (t) => {
    const { cluster, vm, says } = await guest(t, GREETED, wish('nobody'));
    says('Error response from vmop agent: 451 Failed');
    const error = await rejectionOf(logIn(cluster, await vm(), undefined, as('nobody'), waiting()));
    assert.ok(error instanceof VmopError && error.code === 'guest');
    assert.match(error.message, /451 Failed$/);
  });

  test('seen 5: without an agent: the guest’s fault', async (t) => {
    const { cluster, vm } = await guest(t, {
      ...RUNNING,
      Booted: 'True/VmBooted',
      UserLoggedIn: 'False/VmopAgentDisconnected',
    });
    const error = await rejectionOf(
      logIn(cluster, await vm(), undefined, as('alice'), waiting({ timeoutMs: 200 })),
    );
    assert.ok(error instanceof VmopError);
    assert.deepEqual(
      [error.code, error.message],
      [
        'guest',
        'desktop-1: no agent in the guest has greeted, which alone could log in alice (the guest has booted) after 0.2 s',
      ],
    );
  });

  test('seen 5: an agent that hangs: time is up', async (t) => {
    const { cluster, vm } = await guest(t, { ...GREETED, UserLoggedIn: 'False/VmopAgentDisconnected' });
    const error = await rejectionOf(
      logIn(cluster, await vm(), undefined, as('alice'), waiting({ timeoutMs: 200 })),
    );
    assert.ok(error instanceof VmopError && error.code === 'timeout');
    assert.match(error.message, /has not confirmed to log in alice; nobody is logged in/);
    assert.match(error.hint ?? '', /vmop wait ns\/desktop-1 --for login=alice/);
  });

  test('stopped meanwhile', async (t) => {
    const { cluster, vm, asked, report } = await guest(t, GREETED);
    const login = rejectionOf(logIn(cluster, await vm(), undefined, as('alice'), waiting()));
    await asked('alice');
    await cluster.patch(VMS, ref, { type: 'merge', body: { spec: { vm: { state: 'Stopped' } } } });
    await report(STOPPED, { runnerVersion: null });
    const error = await login;
    assert.ok(error instanceof VmopError && error.code === 'state');
  });

  test('deleted meanwhile', async (t) => {
    const { cluster, vm, asked } = await guest(t, GREETED);
    const login = rejectionOf(logIn(cluster, await vm(), undefined, as('alice'), waiting()));
    await asked('alice');
    await cluster.delete(VMS, ref);
    const error = await login;
    assert.ok(error instanceof VmopError && error.code === 'notFound');
  });

  test('interrupted: before anything is written, and while it waits', async (t) => {
    const { cluster, vm, asked } = await guest(t, GREETED);
    const before = await vm();
    const early = logIn(
      cluster,
      before,
      undefined,
      as('alice'),
      waiting({ signal: AbortSignal.abort('SIGINT') }),
    );
    assert.equal(await rejectionOf(early), 'SIGINT');
    assert.equal((await vm()).resourceVersion, before.resourceVersion);
    const abort = new AbortController();
    const login = rejectionOf(
      logIn(cluster, before, undefined, as('alice'), waiting({ signal: abort.signal })),
    );
    await asked('alice');
    abort.abort('SIGTERM');
    assert.equal(await login, 'SIGTERM');
  });

  test('where a pool decides who is logged in: refused before anything is written', async (t) => {
    const assignment = { pool: 'desktops', user: 'bob' };
    const { cluster, vm } = await guest(t, GREETED, {}, { assignment });
    const before = await vm();
    const pool = poolOfSpec({ permissions: [], loginOnAssignment: true });
    const error = await rejectionOf(logIn(cluster, before, pool, as('alice'), waiting()));
    assert.ok(error instanceof VmopError && error.code === 'state');
    assert.equal((await vm()).resourceVersion, before.resourceVersion);
  });

  test('on a VM that is stopped: refused', async (t) => {
    const { cluster, vm } = await guest(t, STOPPED, { state: 'Stopped' }, { runnerVersion: null });
    const error = await rejectionOf(logIn(cluster, await vm(), undefined, as('alice'), waiting()));
    assert.ok(error instanceof VmopError && error.code === 'state');
  });
});

describe('a logout', () => {
  test('trap 5: removes the field, and is done when nobody is there', async (t) => {
    const { cluster, vm, asked, report } = await guest(t, LOGGED_IN, wish('alice'), {
      loggedInUser: 'alice',
    });
    const logout = logIn(cluster, await vm(), undefined, as(undefined), waiting());
    await asked(undefined);
    const object = await cluster.get({ ...VMS, parse: (raw: KubeObject) => raw }, ref);
    const display = asObject(asObject(asObject(object['spec'])['vm'])['display']);
    assert.equal('loggedInUser' in display, false);
    await report({ ...GREETED, UserLoggedIn: 'False/NotRequested' }, { loggedInUser: null });
    assert.equal((await logout).status.loggedInUser, undefined);
  });

  test('of nobody: nothing is written', async (t) => {
    const { cluster, vm } = await guest(t, GREETED);
    const before = await vm();
    await logIn(cluster, before, undefined, as(undefined), waiting());
    assert.equal((await vm()).resourceVersion, before.resourceVersion);
  });
});

test('a wish keeps the rest of the display', async (t) => {
  const { cluster, vm } = await guest(t, GREETED, { display: { outputs: 2, spice: { port: 5910 } } });
  const { object, written } = await requestLogin(cluster, await vm(), as('alice'));
  assert.deepEqual([written, object.spec.loggedInUser, object.spec.spice?.port], [true, 'alice', 5910]);
  const dry = await requestLogin(cluster, object, as('bob'), { dryRun: true });
  assert.equal(dry.object.spec.loggedInUser, 'bob');
  assert.equal((await vm()).spec.loggedInUser, 'alice');
});
