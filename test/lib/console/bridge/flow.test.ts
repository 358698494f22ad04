import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Duplex, duplexPair, PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { joinHalves } from '../../../../src/lib/console/bridge/join.ts';
import { listenForViewer } from '../../../../src/lib/console/bridge/listener.ts';
import { readExactly } from '../../../../src/lib/read-exactly.ts';
import { patience, setUp } from './setup.ts';
import { hearOut, talk } from './spice-server.ts';
import { linkAsViewer } from './spice-viewer.ts';

test('twenty channels at once, each with its own', async (t) => {
  const { bridge, viewer, events, server, asked } = await setUp(t);
  const channels = Array.from({ length: 20 }, (_, id) => id);
  await Promise.all(
    channels.map(async (id) => {
      const stream = viewer();
      assert.equal((await linkAsViewer(stream, bridge.ticket, { type: 2, id })).result, 0);
      stream.write(`channel ${String(id).padStart(2, '0')}`);
      assert.equal(
        String(await readExactly(stream, 10, patience())),
        `channel ${String(id).padStart(2, '0')}`,
      );
    }),
  );
  assert.deepEqual(
    events.map((event) => (event.type === 'linked' ? event.channel.id : -1)).toSorted((a, b) => a - b),
    channels,
  );
  assert.equal(asked.length, 20);
  assert.equal(server.open.size, 20);
  await bridge.close();
  await server.idle();
  assert.equal(events.length, 20, 'a bridge that closes tells no more');
});

test('the server is told when the viewer ends its side, and answers still come', async (t) => {
  const { bridge, viewer, event } = await setUp(t, {
    onLinked: (stream) => void stream.resume().once('end', () => stream.end('last words')),
  });
  const stream = viewer();
  await linkAsViewer(stream, bridge.ticket);
  stream.end();
  assert.equal(String(await readExactly(stream, 10, patience())), 'last words');
  stream.resume();
  assert.deepEqual(await event('closed'), {
    type: 'closed',
    channel: { type: 'main', id: 0 },
    by: 'viewer',
  });
});

test('the viewer is told when the server ends its side, and may still speak', async (t) => {
  const heard = Promise.withResolvers<string>();
  const { bridge, viewer, event } = await setUp(t, {
    onLinked: (stream) => {
      stream.end('bye');
      stream.once('data', (bytes: Buffer) => heard.resolve(String(bytes)));
    },
  });
  const stream = viewer();
  await linkAsViewer(stream, bridge.ticket, { type: 4 });
  assert.equal(String(await readExactly(stream, 3, patience())), 'bye');
  await once(stream.resume(), 'end', { signal: patience() });
  stream.end('goodbye');
  assert.equal(await heard.promise, 'goodbye');
  assert.deepEqual(await event('closed'), {
    type: 'closed',
    channel: { type: 'cursor', id: 0 },
    by: 'server',
  });
});

test('a side that breaks off takes the other with it', async (t) => {
  let link: Duplex | undefined;
  const { bridge, event, server } = await setUp(t, {
    onLinked: (stream) => {
      link = stream;
      hearOut(stream);
    },
  });
  const listener = await listenForViewer(bridge, { unix: true });
  t.after(() => listener.close());
  const first = connect(listener.socket ?? '');
  await linkAsViewer(first, bridge.ticket);
  first.destroy();
  assert.equal((await event('closed')).type, 'closed');
  await server.idle();
  const second = connect(listener.socket ?? '');
  await linkAsViewer(second, bridge.ticket);
  const over = once(second.resume(), 'close', { signal: patience() });
  link?.destroy();
  await over;
});

const CHUNK = Buffer.alloc(65_536, 'x');
const CHUNKS = 512;

/** 32 MB, and how much of it was asked for. */
function flood(): { source: Readable; taken: () => number } {
  let chunks = 0;
  const source = new Readable({
    read() {
      chunks += 1;
      this.push(chunks > CHUNKS ? null : Buffer.concat([Buffer.from(String(chunks)), CHUNK]));
    },
  });
  return { source, taken: () => chunks * CHUNK.length };
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

async function digestOf(stream: AsyncIterable<unknown>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk instanceof Uint8Array ? chunk : String(chunk));
  return hash.digest('hex');
}

test('a viewer that does not read stops the server, and nothing is lost', async (t) => {
  const { source, taken } = flood();
  // Without sockets, whose room is the system's: what is taken is in the bridge.
  const { bridge, viewer } = await setUp(
    t,
    {},
    {
      dial: async () => {
        const [near, far] = duplexPair();
        far.on('error', () => {});
        void talk(far, [], { passwords: () => ['real'], onLinked: (stream) => void source.pipe(stream) });
        return near;
      },
    },
  );
  const stream = viewer();
  await linkAsViewer(stream, bridge.ticket, { type: 2 });
  await turns(200);
  const before = taken();
  await turns(200);
  assert.equal(taken(), before, 'it stands still');
  assert.ok(before < 2 ** 20, `${before} bytes`);
  const [received, sent] = await Promise.all([digestOf(stream), digestOf(flood().source)]);
  assert.equal(received, sent);
});

test('a server that does not read stops the viewer, and nothing is lost', async (t) => {
  const received = Promise.withResolvers<string>();
  let read: (() => void) | undefined;
  const { bridge, viewer } = await setUp(
    t,
    {},
    {
      dial: async () => {
        const [near, far] = duplexPair();
        far.on('error', () => {});
        const onLinked = (stream: Duplex): void => {
          read = () => void digestOf(stream).then(received.resolve, received.reject);
        };
        void talk(far, [], { passwords: () => ['real'], onLinked });
        return near;
      },
    },
  );
  const stream = viewer();
  await linkAsViewer(stream, bridge.ticket, { type: 9 });
  const { source, taken } = flood();
  source.pipe(stream);
  await turns(200);
  const before = taken();
  await turns(200);
  assert.equal(taken(), before, 'it stands still');
  assert.ok(before < 2 ** 20, `${before} bytes`);
  read?.();
  assert.equal(await received.promise, await digestOf(flood().source));
});

test('what the server says can be changed on its way', async () => {
  const [viewer, viewersEnd] = duplexPair();
  const [server, serversEnd] = duplexPair();
  const shout = new PassThrough();
  const joined = joinHalves(viewersEnd, serversEnd, shout);
  shout._transform = (chunk, _encoding, done) => done(null, Buffer.from(String(chunk).toUpperCase()));
  server.end('quiet');
  assert.equal(String(await readExactly(viewer, 5, patience())), 'QUIET');
  viewer.end('as it is');
  assert.equal(String(await readExactly(server, 8, patience())), 'as it is');
  viewer.resume();
  server.resume();
  assert.equal(await joined, 'server');
});

test('what the server says in one turn reaches the viewer at once', async () => {
  const written: number[] = [];
  const viewer = new Duplex({
    read() {},
    writev(chunks, done) {
      written.push(chunks.length);
      done();
    },
  });
  const [server, serversEnd] = duplexPair();
  const joined = joinHalves(viewer, serversEnd);
  for (const piece of ['a', 'b', 'c']) serversEnd.push(piece);
  serversEnd.push(null);
  viewer.push(null);
  server.resume();
  await joined;
  assert.deepEqual(written, [3]);
});

test('a server that takes no notice of the viewer’s end is left', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const [viewer, viewersEnd] = duplexPair();
  const [server, serversEnd] = duplexPair();
  const joined = joinHalves(viewersEnd, serversEnd);
  const heard = once(server.resume(), 'end', { signal: patience() });
  viewer.resume().end();
  await heard;
  t.mock.timers.tick(5_000);
  assert.equal(await joined, 'viewer');
  assert.ok(serversEnd.destroyed);
});
