import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { QmpClient, QmpError, type QmpEvent } from '../../../../src/lib/sandbox/drivers/qemu/qmp.ts';
import { FakeQmp, type FakeQmpOptions } from './fake-qmp.ts';
import { temporaryFolder } from './machine-log.ts';

async function fakeQmp(t: TestContext, options: Partial<FakeQmpOptions> = {}): Promise<FakeQmp> {
  const folder = await temporaryFolder((remove) => t.after(remove));
  const fake = await FakeQmp.listen({ answer: () => ({ return: {} }), ...options, folder });
  t.after(async () => await fake.close());
  return fake;
}

test('negotiates, then answers go to the command that asked', async (t) => {
  const fake = await fakeQmp(t, {
    answer: (command) => (command === 'slow' ? undefined : { return: { command } }),
  });
  const client = await QmpClient.connect(fake.socket);
  t.after(() => client.close());
  const slow = client.execute('slow', { a: 1 });
  assert.deepEqual(await client.execute('quick'), { command: 'quick' });
  fake.send(`${JSON.stringify({ return: 'at last', id: '2' })}\n`);
  assert.equal(await slow, 'at last');
  assert.deepEqual(
    fake.commands.map(([command]) => command),
    ['qmp_capabilities', 'slow', 'quick'],
  );
});

test('a refusal names the command and the reason, and nothing of the arguments', async (t) => {
  const fake = await fakeQmp(t, {
    answer: () => ({ error: { class: 'GenericError', desc: 'Could not set password' } }),
  });
  const client = await QmpClient.connect(fake.socket);
  t.after(() => client.close());
  await assert.rejects(client.execute('set_password', { password: 'geheim' }), (error) => {
    assert.ok(error instanceof QmpError);
    assert.equal(error.message, 'QEMU refused set_password: Could not set password');
    return true;
  });
});

test('events arrive in order, however the bytes are cut, and nonsense is left out', async (t) => {
  const events: QmpEvent[] = [];
  const fake = await fakeQmp(t);
  const client = await QmpClient.connect(fake.socket, { onEvent: (event) => events.push(event) });
  t.after(() => client.close());
  fake.send('not json\n[]\n"x"\n{"return":1,"id":"99"}\n{"event":7}\n');
  const bytes = Buffer.from(`${JSON.stringify({ event: 'A', data: { name: 'zoë' } })}\n{"event":"B"}\n`);
  for (const byte of bytes) fake.send(Uint8Array.of(byte));
  await client.execute('sync');
  assert.deepEqual(events, [
    { name: 'A', data: { name: 'zoë' } },
    { name: 'B', data: {} },
  ]);
});

test('without an answer a command fails after its time, and a late answer is nobody’s', async (t) => {
  const fake = await fakeQmp(t, { answer: (command) => (command === 'mute' ? undefined : { return: 1 }) });
  const client = await QmpClient.connect(fake.socket);
  t.after(() => client.close());
  await assert.rejects(client.execute('mute', undefined, 20), /did not answer mute within 0.02 s/);
  fake.send('{"return":{},"id":"2"}\n');
  assert.equal(await client.execute('next'), 1);
});

test('the end of the connection is told once, and fails what is under way', async (t) => {
  let closed = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const fake = await fakeQmp(t, { answer: () => undefined });
  const client = await QmpClient.connect(fake.socket, {
    onClose: () => {
      closed += 1;
      resolve();
    },
  });
  const pending = assert.rejects(client.execute('cont'), /QEMU is gone: cont was not answered/);
  fake.hangUp();
  await Promise.all([pending, promise]);
  await assert.rejects(client.execute('cont'), /QEMU is gone: cont was not sent/);
  client.close();
  assert.equal(closed, 1);
});

test('closing tells nobody', async (t) => {
  const fake = await fakeQmp(t, { answer: () => undefined });
  const client = await QmpClient.connect(fake.socket, { onClose: () => assert.fail('told') });
  const pending = assert.rejects(client.execute('cont'), /QEMU is gone/);
  client.close();
  await pending;
});

test('a server that does not greet, goes, or is not there rejects the connection', async (t) => {
  const options = { timeoutMs: 20, onClose: () => assert.fail('told') };
  const silent = await fakeQmp(t, { welcome: 'silence' });
  await assert.rejects(QmpClient.connect(silent.socket, options), /does not greet/);
  const dying = await fakeQmp(t, { welcome: 'hangUp' });
  await assert.rejects(QmpClient.connect(dying.socket, options), /closed its control socket/);
  await assert.rejects(QmpClient.connect(`${dying.socket}.none`, options), /ENOENT/);
});
