import assert from 'node:assert/strict';
import { once } from 'node:events';
import { duplexPair, type Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { endpointDial } from '../../../../src/lib/console/reach/dial.ts';
import { readExactly } from '../../../../src/lib/read-exactly.ts';
import { VmopError } from '../../../../src/lib/errors.ts';
import { patience, setUp } from './setup.ts';
import { linkAsViewer, viewerMessage } from './spice-viewer.ts';

const given = <T>(value: T) => ({ value, source: 'test' });

/** Resolves when the bridge has ended a viewer's connection. */
async function ended(stream: Duplex): Promise<void> {
  if (!stream.readableEnded) await once(stream.resume(), 'end', { signal: patience() });
}

const withBytes = (at: number, value: number): Buffer => {
  const message = viewerMessage();
  message.writeUInt32LE(value, at);
  return message;
};

const GARBAGE: [what: string, bytes: Buffer][] = [
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['another version', withBytes(4, 1)],
  ['an endless message', withBytes(12, 0xffffffff)],
  ['a message of 4097 bytes', withBytes(12, 4097)],
  ['an empty message', withBytes(12, 4)],
  ['too many capabilities', withBytes(16 + 6, 0x7fffffff)],
  ['capabilities elsewhere', withBytes(16 + 14, 0xfffffff0)],
  ['a channel that there never was', viewerMessage({ type: 99 })],
];
for (const [what, bytes] of GARBAGE) {
  test(`a viewer that says ${what} never meets the server`, async (t) => {
    const { viewer, server, events } = await setUp(t);
    const stream = viewer();
    stream.write(bytes);
    await ended(stream);
    assert.deepEqual([events, server.messages], [[], []]);
  });
}

test('a viewer that selects another authentication is refused', async (t) => {
  const { viewer, asked, event } = await setUp(t);
  const stream = viewer();
  stream.write(viewerMessage());
  await readExactly(stream, 16 + 178 + 8, patience());
  stream.write(Buffer.from([2, 0, 0, 0]));
  assert.equal((await readExactly(stream, 4, patience())).readUInt32LE(), 7);
  assert.deepEqual(await event('refused'), {
    type: 'refused',
    channel: { type: 'main', id: 0 },
    by: 'bridge',
    result: 7,
  });
  assert.deepEqual(asked, []);
});

test('a ticket that is none of the key’s is refused', async (t) => {
  const { viewer, event } = await setUp(t);
  const stream = viewer();
  stream.write(viewerMessage());
  await readExactly(stream, 16 + 178 + 8, patience());
  stream.write(Buffer.concat([Buffer.from([1, 0, 0, 0]), Buffer.alloc(128, 0xff)]));
  assert.equal((await readExactly(stream, 4, patience())).readUInt32LE(), 7);
  assert.equal((await event('refused')).type, 'refused');
});

test('a viewer that goes away in the middle is no event', async (t) => {
  const { viewer, server, events, bridge } = await setUp(t);
  const [first, second, third] = [viewer(), viewer(), viewer()];
  first.end();
  second.end(viewerMessage().subarray(0, 20));
  third.end(viewerMessage());
  await Promise.all([first, second, third].map(ended));
  await server.idle();
  assert.deepEqual(events, []);
  // Others are served as ever.
  assert.equal((await linkAsViewer(viewer(), bridge.ticket)).result, 0);
});

/** Lets the time for one part of a link go by, once a bridge waits for it. */
async function timePasses(t: TestContext, waits: () => boolean): Promise<void> {
  while (!waits()) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  t.mock.timers.tick(10_000);
}

test('a viewer that falls silent is sent away', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { viewer, server, events } = await setUp(t);
  const mute = viewer();
  await timePasses(t, () => true);
  await ended(mute);
  const undecided = viewer();
  undecided.write(viewerMessage());
  await timePasses(t, () => undecided.readableLength > 0);
  await ended(undecided);
  await server.idle();
  assert.deepEqual(events, []);
});

for (const silentAt of ['reply', 'result'] as const) {
  test(`a server that falls silent before its ${silentAt}`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { viewer, bridge, asked, event, server } = await setUp(t, { silentAt });
    const stream = viewer();
    const link = assert.rejects(linkAsViewer(stream, bridge.ticket), /hangs up/);
    await timePasses(t, () => (silentAt === 'reply' ? server.messages.length : asked.length) > 0);
    await link;
    const told = await event('unreachable');
    assert.ok(told.type === 'unreachable');
    assert.match(told.error.message, /gives no channel: it does not answer$/);
  });
}

test('nobody at the port', async (t) => {
  const { viewer, event } = await setUp(
    t,
    {},
    { dial: endpointDial({ host: given('127.255.255.254'), port: given(1) }) },
  );
  const stream = viewer();
  stream.write(viewerMessage());
  await ended(stream);
  const told = await event('unreachable');
  assert.ok(told.type === 'unreachable' && told.error instanceof VmopError);
  assert.match(told.error.message, /^nothing accepts connections at 127\.255\.255\.254:1$/);
});

test('no password to be had', async (t) => {
  const refusal = new VmopError('forbidden', 'secrets is forbidden');
  const { viewer, bridge, event } = await setUp(t, {}, { password: () => Promise.reject(refusal) });
  await assert.rejects(linkAsViewer(viewer(), bridge.ticket), /hangs up/);
  assert.deepEqual(await event('unreachable'), { type: 'unreachable', error: refusal });
});

test('what answers is no SPICE server', async (t) => {
  const { viewer, event } = await setUp(
    t,
    {},
    {
      dial: async () => {
        const [near, far] = duplexPair();
        far.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n');
        return near;
      },
    },
  );
  const stream = viewer();
  stream.write(viewerMessage());
  await ended(stream);
  const told = await event('unreachable');
  assert.ok(told.type === 'unreachable');
  assert.match(told.error.message, /what answers is none$/);
});

test('a bridge that closes calls off what is under way, and takes nobody any more', async (t) => {
  const dialling = Promise.withResolvers<AbortSignal>();
  const { viewer, bridge, events } = await setUp(
    t,
    {},
    {
      dial: async (signal) => {
        dialling.resolve(signal);
        await once(signal, 'abort');
        throw new Error('called off');
      },
    },
  );
  const [mute, calling] = [viewer(), viewer()];
  calling.write(viewerMessage());
  assert.equal((await dialling.promise).aborted, false);
  await Promise.all([bridge.close(), ended(mute), ended(calling)]);
  await ended(viewer());
  await bridge.close();
  assert.deepEqual(events, []);
});

test('a password that never comes does not hold a bridge that closes', async (t) => {
  const { promise: never } = Promise.withResolvers<string>();
  const { viewer, bridge, asked, server } = await setUp(t, {}, { password: () => never });
  const link = assert.rejects(linkAsViewer(viewer(), bridge.ticket));
  while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([bridge.close(), link]);
  await server.idle();
});

test('only so many viewers are let in before they show a ticket', async (t) => {
  const { viewer, bridge } = await setUp(t);
  const waiting = Array.from({ length: 64 }, viewer);
  await ended(viewer());
  waiting[0]?.end();
  await Promise.all(waiting.slice(0, 1).map(ended));
  assert.equal((await linkAsViewer(viewer(), bridge.ticket)).result, 0);
  assert.ok(waiting.slice(1).every((stream) => !stream.readableEnded));
});
