import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ConsolePassword, PasswordWithheld } from '../../../src/lib/console/console-password.ts';
import type { ConsoleHooks } from '../../../src/lib/console/request.ts';
import { asObject, asString } from '../../../src/lib/cluster/parse.ts';
import { until } from '../../commands/suite.ts';
import { fakeApi, type FakeApi } from './fake-api.ts';
import { RUNNING, secretObject, vmObject, vmOf, type VmFields } from './objects.ts';

const SECRET = 'desktop-1-display-secret';
const LOCKED = { 'display-password': 'of-the-manager', 'password-expiry': 'now' };

interface Setup {
  api: FakeApi;
  /** What was told, by whatever hook. */
  told: string[];
  password: ConsolePassword;
  stored: () => { password: string; expiry: string };
  /** How often the Secret was written. */
  writes: () => number;
}

interface Options {
  vm?: VmFields;
  data?: Record<string, string>;
  validitySeconds?: number;
  confirmMs?: number;
  spare?: boolean;
  lateMs?: number;
  /** Aborted as soon as a password is written. */
  interrupted?: boolean;
  /** Before the password is prepared. */
  onReady?: (made: Omit<Setup, 'password'>) => void;
}

/** The runner confirms each password as soon as it is written. */
async function setUp(t: TestContext, options: Options = {}): Promise<Setup> {
  const {
    vm: fields = {},
    data = LOCKED,
    validitySeconds = 60,
    confirmMs = 10_000,
    spare = false,
    lateMs = 10_000,
    interrupted = false,
    onReady,
  } = options;
  const api = await fakeApi();
  t.after(() => api.close());
  let serial = 3;
  const show = (): void =>
    api.put('vms', vmObject({ ...fields, status: { displayPasswordSerial: serial, ...fields.status } }));
  show();
  api.put('secrets', secretObject(data));
  const controller = new AbortController();
  const told: string[] = [];
  const say = (text: string): void => void told.push(text);
  let known = data['display-password'];
  const stored = (): { password: string; expiry: string } => {
    const values = asObject(api.get('secrets', SECRET)?.['data']);
    const text = (key: string): string => Buffer.from(asString(values[key]) ?? '', 'base64').toString();
    return { password: text('display-password'), expiry: text('password-expiry') };
  };
  api.afterPatch = () => {
    if (stored().password === known) return;
    known = stored().password;
    if (interrupted) controller.abort();
    serial += 1;
    show();
  };
  const hooks: ConsoleHooks = { onStep: say, onNote: say, onWarning: say, onDetail: say };
  const { signal } = controller;
  const asked = {
    pool: undefined,
    validitySeconds,
    confirmMs,
    spare,
    lateMs,
    signal,
    afterwards: api.cluster,
  };
  const vm = vmOf({ ...fields, status: { displayPasswordSerial: serial, ...fields.status } });
  const made = { api, told, stored, writes: () => api.patches.length };
  onReady?.(made);
  return { ...made, password: await ConsolePassword.prepare(api.cluster, vm, asked, hooks) };
}

test('a password that lasts is handed out without another word', async (t) => {
  const { password, stored, writes } = await setUp(t);
  assert.equal(password.text, stored().password);
  assert.deepEqual(await Promise.all([password.current(), password.current()]), [
    password.text,
    password.text,
  ]);
  assert.equal(writes(), 1);
  assert.equal(password.ranOut, false);
});

test('after it was ended all channels that come late get the same new one', async (t) => {
  const { password, stored, writes } = await setUp(t);
  const first = password.text;
  await Promise.all([password.end(), password.end()]);
  assert.deepEqual([stored(), writes()], [{ password: first, expiry: 'now' }, 2]);
  const handedOut = await Promise.all([password.current(), password.current(), password.current()]);
  assert.deepEqual(new Set(handedOut), new Set([stored().password]));
  assert.notEqual(stored().password, first);
  assert.equal(writes(), 3);
  await password.end();
  assert.deepEqual([stored().expiry, writes()], ['now', 4]);
});

test('what is made for a channel that comes late is ended, too', async (t) => {
  const { password, stored, writes } = await setUp(t, { lateMs: 300 });
  await password.end();
  const late = await password.current();
  assert.equal(stored().password, late);
  await until(() => stored().expiry === 'now');
  assert.equal(writes(), 4);
});

test('at the end it is ended also while it is being made', async (t) => {
  const { password, stored } = await setUp(t);
  await password.end();
  const late = password.current();
  await password.end();
  assert.equal(stored().expiry, 'now');
  assert.equal(stored().password, await late);
});

const AGENT = { ...RUNNING, VmopAgentConnected: 'True/VmopAgentStarted' };

test('opened again, a desktop is spared: a new password would log somebody out', async (t) => {
  const vm = { conditions: AGENT };
  const writes: (() => number)[] = [];
  const onReady = (made: Omit<Setup, 'password'>): void => void writes.push(made.writes);
  await assert.rejects(setUp(t, { vm, spare: true, onReady }), (error) => {
    assert.ok(error instanceof PasswordWithheld);
    assert.match(
      error.message,
      /^the display password of desktop-1 has run out, and a new one would log out/,
    );
    return true;
  });
  const data = {
    'display-password': 'lasting',
    'password-expiry': String(Math.floor(Date.now() / 1000) + 30),
  };
  const { password } = await setUp(t, { vm, data, spare: true, onReady });
  assert.equal(password.text, 'lasting', 'it lasts for long enough');
  assert.deepEqual(
    writes.map((count) => count()),
    [0, 0],
  );
});

test('one that the server refused is not handed out again', async (t) => {
  const { password, writes } = await setUp(t);
  const first = password.text;
  const second = await password.current(first);
  assert.notEqual(second, first);
  // Another channel was refused the old one, too, and hears of it later.
  assert.equal(await password.current(first), second);
  assert.equal(writes(), 2);
});

test('one that is about to run out is not handed out any more', async (t) => {
  const { password, writes } = await setUp(t, { validitySeconds: 5 });
  assert.notEqual(await password.current(), undefined);
  assert.equal(writes(), 2);
});

test('it has run out when its Secret says so, by clocks that tell whole seconds', async (t) => {
  const ranOut = async (options: Options): Promise<boolean> => (await setUp(t, options)).password.ranOut;
  const inSeconds = (seconds: number): string => String(Math.floor(Date.now() / 1000) + seconds);
  assert.equal(await ranOut({ validitySeconds: 1 }), true, 'QEMU may end it within this second');
  assert.equal(await ranOut({ validitySeconds: 5 }), false);
  const data = { 'display-password': 'kept', 'password-expiry': inSeconds(3600) };
  assert.equal(await ranOut({ data }), false);
  assert.equal(await ranOut({ data: { ...data, 'password-expiry': 'never' } }), false);
});

test('one that was there before is used, and not ended', async (t) => {
  const data = { 'display-password': 'somebody’s', 'password-expiry': 'never' };
  const { password, writes, told } = await setUp(t, { data });
  assert.equal(password.text, 'somebody’s');
  await password.end();
  assert.equal(writes(), 0, told.join('\n'));
});

test('a display that asks for none', async (t) => {
  const { password, writes } = await setUp(t, { vm: { status: { displayPasswordSerial: -1 } } });
  assert.deepEqual([password.text, await password.current(), writes()], [undefined, undefined, 0]);
  await password.end();
});

test('nobody is logged out for a channel that comes late, nor to end it', async (t) => {
  const { password, writes, told } = await setUp(t, { vm: { conditions: AGENT } });
  assert.match(told[0] ?? '', /makes the agent of desktop-1 log out/, 'it is said before');
  const first = password.text;
  assert.equal(await password.current(first), first);
  assert.match(told.at(-1) ?? '', /a new password for it would log somebody out/);
  await password.end();
  assert.match(told.at(-1) ?? '', /left to its own validity/);
  assert.equal(writes(), 1);
});

test('interrupted while it is confirmed, it does not stay valid', async (t) => {
  let made: Pick<Setup, 'stored' | 'writes'> | undefined;
  await assert.rejects(setUp(t, { interrupted: true, onReady: (one) => (made = one) }));
  assert.deepEqual([made?.stored().expiry, made?.writes()], ['now', 2]);
});
