import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import {
  rotateDisplayPassword,
  setDisplayPassword,
  setPasswordExpiry,
  type RotationOptions,
} from '../../../../src/lib/console/secret/rotate.ts';
import { asObject, asString } from '../../../../src/lib/cluster/parse.ts';
import { fakeApi, type FakeApi } from '../fake-api.ts';
import { rejectionOf } from '../helpers.ts';
import { RUNNING, secretObject, vmObject, type VmFields } from '../objects.ts';

const REF = { namespace: 'ns', name: 'desktop-1' };
const NAME = 'desktop-1-display-secret';
const OPTIONS: RotationOptions = {
  validitySeconds: 60,
  timeoutMs: 10_000,
  signal: new AbortController().signal,
};

async function api(
  t: TestContext,
  {
    vm = {},
    secret = { 'display-password': 'old', 'password-expiry': 'now' },
  }: {
    vm?: VmFields;
    secret?: Record<string, string> | undefined;
  } = {},
): Promise<FakeApi> {
  const fake = await fakeApi();
  t.after(() => fake.close());
  fake.put('vms', vmObject(vm));
  fake.put('secrets', secretObject(secret));
  return fake;
}

const serial = (fake: FakeApi, displayPasswordSerial: number, fields: VmFields = {}): void =>
  fake.put('vms', vmObject({ ...fields, status: { displayPasswordSerial } }));

const stored = (fake: FakeApi, key: string): string =>
  Buffer.from(asString(asObject(fake.get('secrets', NAME)?.['data'])[key]) ?? '', 'base64').toString();

test('a new password is written and confirmed by a higher serial', async (t) => {
  const fake = await api(t);
  fake.afterPatch = () => serial(fake, 4);
  const steps: string[] = [];
  const result = await rotateDisplayPassword(fake.cluster, REF, {
    ...OPTIONS,
    onStep: (step) => steps.push(step),
  });
  assert.ok(result.kind === 'written');
  assert.deepEqual(result.confirmation, { confirmed: true });
  assert.equal(stored(fake, 'display-password'), result.password);
  assert.ok(result.expiry.kind === 'at');
  assert.equal(stored(fake, 'password-expiry'), String(result.expiry.date.getTime() / 1000));
  assert.equal(result.secret, NAME);
  assert.deepEqual(steps, ['write', 'confirm']);
});

test('a password that lasts is kept, and nothing is written', async (t) => {
  const fake = await api(t, { secret: { 'display-password': 'old', 'password-expiry': 'never' } });
  const result = await rotateDisplayPassword(fake.cluster, REF, OPTIONS);
  assert.ok(result.kind === 'kept');
  assert.equal(result.password, 'old');
  assert.deepEqual(result.confirmation, { confirmed: true });
  assert.deepEqual(fake.patches, []);
});

test('a start that is still going on is waited for: its bump is not the confirmation', async (t) => {
  const started = { Running: `True/VmStarted@${new Date().toISOString()}` };
  const fake = await api(t, { vm: { conditions: started } });
  const order: string[] = [];
  fake.afterPatch = () => {
    order.push('written');
    serial(fake, 5, { conditions: started });
  };
  fake.onWatch = () => {
    fake.onWatch = undefined;
    order.push('start bump');
    serial(fake, 4, { conditions: started });
  };
  const result = await rotateDisplayPassword(fake.cluster, REF, OPTIONS);
  assert.deepEqual(order, ['start bump', 'written']);
  assert.ok(result.kind === 'written');
  assert.deepEqual(result.confirmation, { confirmed: true });
});

test('a password that was changed meanwhile is looked at again', async (t) => {
  const fake = await api(t);
  fake.beforePatch = () => {
    fake.beforePatch = undefined;
    fake.put('secrets', secretObject({ 'display-password': 'theirs', 'password-expiry': 'never' }));
  };
  const result = await rotateDisplayPassword(fake.cluster, REF, OPTIONS);
  assert.ok(result.kind === 'kept');
  assert.equal(result.password, 'theirs');
  assert.equal(fake.patches.length, 1);
});

test('whoever keeps changing the Secret wins: a conflict after ten attempts', async (t) => {
  const fake = await api(t);
  fake.beforePatch = () =>
    fake.put('secrets', secretObject({ 'display-password': 'theirs', 'password-expiry': 'now' }));
  assert.equal((await rejectionOf(rotateDisplayPassword(fake.cluster, REF, OPTIONS))).code, 'conflict');
  assert.equal(fake.patches.length, 10);
});

const UNCONFIRMED: [what: string, after: (fake: FakeApi) => void, timeoutMs: number, reason: RegExp][] = [
  [
    'the runner stays silent',
    () => {},
    50,
    /^desktop-1: its runner has not reported the new password after /,
  ],
  [
    'the VM stops',
    (fake) =>
      fake.put('vms', vmObject({ conditions: { Running: 'False/VmStopped' }, vm: { state: 'Stopped' } })),
    10_000,
    /desktop-1 is stopped: its next start applies the password/,
  ],
  ['the VM is deleted', (fake) => fake.remove('vms', 'desktop-1'), 10_000, /was deleted meanwhile/],
];
for (const [what, after, timeoutMs, reason] of UNCONFIRMED) {
  test(`${what}: the password stands, unconfirmed`, async (t) => {
    const fake = await api(t);
    fake.afterPatch = () => after(fake);
    const result = await rotateDisplayPassword(fake.cluster, REF, { ...OPTIONS, timeoutMs });
    assert.ok(result.kind === 'written' && !result.confirmation.confirmed);
    assert.match(result.confirmation.reason, reason);
  });
}

test('a stopped VM is not waited for', async (t) => {
  const fake = await api(t, { vm: { conditions: { Running: 'False/VmStopped' }, vm: { state: 'Stopped' } } });
  const result = await rotateDisplayPassword(fake.cluster, REF, OPTIONS);
  assert.ok(result.kind === 'written' && !result.confirmation.confirmed);
});

test('without protection there is no password, and without a Secret neither', async (t) => {
  const open = await api(t, { vm: { status: { displayPasswordSerial: -1 } } });
  assert.deepEqual(await rotateDisplayPassword(open.cluster, REF, OPTIONS), {
    kind: 'none',
    reason: 'unprotected',
  });
  const bare = await api(t);
  bare.remove('secrets', NAME);
  assert.deepEqual(await rotateDisplayPassword(bare.cluster, REF, OPTIONS), {
    kind: 'none',
    reason: 'noSecret',
  });
  assert.deepEqual(await setPasswordExpiry(bare.cluster, REF, 'now', OPTIONS), {
    kind: 'none',
    reason: 'noSecret',
  });
  assert.deepEqual([...open.patches, ...bare.patches], []);
});

test('a dry run stores nothing and waits for nothing', async (t) => {
  const fake = await api(t);
  const result = await rotateDisplayPassword(fake.cluster, REF, { ...OPTIONS, dryRun: true });
  assert.ok(result.kind === 'written' && !result.confirmation.confirmed);
  assert.equal(stored(fake, 'display-password'), 'old');
  assert.equal(fake.patches[0]?.dryRun, true);
});

test('a chosen password is stored with its expiry', async (t) => {
  const fake = await api(t);
  fake.afterPatch = () => serial(fake, 4);
  const result = await setDisplayPassword(
    fake.cluster,
    REF,
    () => ({ password: 'chosen', expiry: 'never' }),
    OPTIONS,
  );
  assert.ok(result.kind === 'written');
  assert.deepEqual(result.confirmation, { confirmed: true });
  assert.equal(stored(fake, 'display-password'), 'chosen');
  assert.equal(stored(fake, 'password-expiry'), 'never');
});

test('an expiry is written without waiting, and not at all when it stands already', async (t) => {
  const fake = await api(t, { secret: { 'display-password': 'old', 'password-expiry': 'never' } });
  const first = await setPasswordExpiry(fake.cluster, REF, 'now', OPTIONS);
  assert.deepEqual(first, { kind: 'written', secret: NAME, expiry: { kind: 'now' }, warnings: [] });
  const second = await setPasswordExpiry(fake.cluster, REF, 'now', OPTIONS);
  assert.equal(second.kind, 'kept');
  assert.equal(fake.patches.length, 1);
  assert.equal(stored(fake, 'display-password'), 'old');
});

test('an interruption ends the wait', async (t) => {
  const fake = await api(t, { vm: { conditions: RUNNING } });
  const interruption = new AbortController();
  fake.afterPatch = () => interruption.abort(new Error('interrupted'));
  await assert.rejects(
    rotateDisplayPassword(fake.cluster, REF, { ...OPTIONS, signal: interruption.signal }),
    /interrupted/,
  );
});
