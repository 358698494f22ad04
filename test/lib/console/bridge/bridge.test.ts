import assert from 'node:assert/strict';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { Bridge } from '../../../../src/lib/console/bridge/index.ts';
import { listenForViewer } from '../../../../src/lib/console/bridge/listener.ts';
import { VmopError } from '../../../../src/lib/errors.ts';
import { HungUp, readExactly } from '../../../../src/lib/read-exactly.ts';
import { patience, setUp } from './setup.ts';
import { reply, SERVER_CAPABILITIES } from './spice-server.ts';
import { linkAsViewer, viewerMessage } from './spice-viewer.ts';

test('a channel is linked: everything passes verbatim but key, ticket and SASL', async (t) => {
  const { server, bridge, viewer, events, asked } = await setUp(t);
  const stream = viewer();
  const link = await linkAsViewer(stream, bridge.ticket, { type: 2, id: 3, connectionId: 77 });
  assert.equal(link.result, 0);
  assert.deepEqual(server.messages, [viewerMessage({ type: 2, id: 3, connectionId: 77 })]);
  const original = reply(0, SERVER_CAPABILITIES);
  assert.notDeepEqual(link.reply.subarray(20, 182), original.subarray(20, 182), 'another key');
  const expected = Buffer.from(original);
  link.reply.copy(expected, 20, 20, 182);
  expected.writeUInt32LE(0b1011, 16 + 178);
  assert.deepEqual(link.reply, expected);
  stream.write('ping');
  assert.equal(String(await readExactly(stream, 4, patience())), 'ping');
  assert.deepEqual(events, [{ type: 'linked', channel: { type: 'display', id: 3 } }]);
  assert.deepEqual(asked, [undefined]);
});

test("without capabilities on the viewer's side the ticket follows at once", async (t) => {
  const { bridge, viewer, server } = await setUp(t);
  assert.equal((await linkAsViewer(viewer(), bridge.ticket, { common: undefined })).result, 0);
  assert.equal((await linkAsViewer(viewer(), bridge.ticket, { common: 0b1010, type: 2 })).result, 0);
  assert.equal(server.messages.length, 2);
});

test('the real password opens nothing here, and the server is not given it for a wrong ticket', async (t) => {
  const { bridge, viewer, events, asked, server } = await setUp(t);
  for (const wrong of ['real', '', `${bridge.ticket}x`, bridge.ticket.slice(0, -1)]) {
    const stream = viewer();
    assert.equal((await linkAsViewer(stream, wrong, { type: 1 })).result, 7);
    await assert.rejects(readExactly(stream, 1, patience()), HungUp);
  }
  assert.deepEqual(
    events,
    Array.from({ length: 4 }, () => ({
      type: 'refused',
      channel: { type: 'main', id: 0 },
      by: 'bridge',
      result: 7,
    })),
  );
  assert.deepEqual(asked, []);
  await server.idle();
});

test('a main channel that would throw somebody out is refused, and the server sees no password', async (t) => {
  const error = new VmopError('conflict', 'bob is connected');
  let occupied = true;
  const { bridge, viewer, events, asked } = await setUp(
    t,
    {},
    {
      admitsMain: async () => {
        if (occupied) throw error;
      },
    },
  );
  assert.equal((await linkAsViewer(viewer(), bridge.ticket, { type: 1 })).result, 7);
  assert.deepEqual([events[0], asked], [{ type: 'notAdmitted', error }, []]);
  occupied = false;
  assert.equal((await linkAsViewer(viewer(), bridge.ticket, { type: 1 })).result, 0);
  assert.deepEqual(asked, [undefined]);
});

test('a password that has run out is replaced once, on a connection of its own', async (t) => {
  const { bridge, viewer, asked, events, server } = await setUp(
    t,
    { passwords: () => ['fresh'] },
    { password: async (refused) => (refused === 'old' ? 'fresh' : 'old') },
  );
  const stream = viewer();
  assert.equal((await linkAsViewer(stream, bridge.ticket, { type: 3, connectionId: 5 })).result, 0);
  assert.deepEqual(asked, [undefined, 'old']);
  assert.deepEqual(events, [{ type: 'linked', channel: { type: 'inputs', id: 0 } }]);
  assert.equal(server.messages.length, 2);
  assert.deepEqual(server.messages[0], server.messages[1]);
  stream.write('ping');
  assert.equal(String(await readExactly(stream, 4, patience())), 'ping');
});

test("a password that is refused twice is the viewer's failure", async (t) => {
  const { bridge, viewer, asked, events } = await setUp(
    t,
    { passwords: () => [] },
    { password: async (refused) => (refused === undefined ? 'old' : 'new') },
  );
  assert.equal((await linkAsViewer(viewer(), bridge.ticket)).result, 7);
  assert.deepEqual(asked, [undefined, 'old']);
  assert.deepEqual(events, [{ type: 'refused', channel: { type: 'main', id: 0 }, by: 'server', result: 7 }]);
});

test('the same password is not tried twice', async (t) => {
  const { bridge, viewer, server } = await setUp(t, { passwords: () => [] });
  assert.equal((await linkAsViewer(viewer(), bridge.ticket)).result, 7);
  assert.equal(server.messages.length, 1);
});

test('a display that asks for no password', async (t) => {
  const { bridge, viewer } = await setUp(t, { passwords: () => [''] }, { password: async () => undefined });
  assert.equal((await linkAsViewer(viewer(), bridge.ticket)).result, 0);
});

test("a server's link error passes as it is", async (t) => {
  const { bridge, viewer, events } = await setUp(t, { linkError: 5 });
  const { result, reply: answer } = await linkAsViewer(viewer(), bridge.ticket);
  assert.equal(result, 5);
  assert.deepEqual(answer, reply(5, SERVER_CAPABILITIES));
  assert.deepEqual(events, [{ type: 'refused', channel: { type: 'main', id: 0 }, by: 'server', result: 5 }]);
});

test('a door per channel: over a socket and over loopback, and both gone after', async (t) => {
  const { bridge } = await setUp(t);
  const socket = await listenForViewer(bridge, { unix: true });
  const loopback = await listenForViewer(bridge, { unix: false });
  assert.ok(socket.socket && socket.folder && loopback.port);
  assert.equal((await stat(socket.folder)).mode & 0o777, 0o700);
  const [overSocket, overLoopback] = [connect(socket.socket), connect(loopback.port, '127.0.0.1')];
  assert.equal((await linkAsViewer(overSocket, bridge.ticket)).result, 0);
  assert.equal((await linkAsViewer(overLoopback, bridge.ticket, { type: 3 })).result, 0);
  await Promise.all([socket.close(), loopback.close()]);
  await assert.rejects(stat(socket.folder), { code: 'ENOENT' });
  await assert.rejects(once(connect(loopback.port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' });
  overSocket.write('ping');
  assert.equal(String(await readExactly(overSocket, 4, patience())), 'ping', 'who is in stays');
  const gone = [once(overSocket.resume(), 'close'), once(overLoopback.resume(), 'close')];
  await bridge.close();
  await Promise.all(gone);
});

/** Connections that notice when the other side breaks off. */
async function door(t: TestContext, bridge: Bridge): Promise<() => Socket> {
  const listener = await listenForViewer(bridge, { unix: false });
  t.after(() => listener.close());
  return () => connect(listener.port ?? 0, '127.0.0.1').on('error', () => {});
}

test('a second main channel is refused while there is one, so that a ticket that was read takes nothing', async (t) => {
  const { bridge, asked, event } = await setUp(t);
  const viewer = await door(t, bridge);
  const first = viewer();
  assert.equal((await linkAsViewer(first, bridge.ticket)).result, 0);
  assert.equal((await linkAsViewer(viewer(), bridge.ticket)).result, 7);
  assert.equal((await linkAsViewer(viewer(), bridge.ticket, { type: 3 })).result, 0);
  assert.equal(asked.length, 2, 'no password was asked for it');
  first.write('ping');
  assert.equal(String(await readExactly(first, 4, patience())), 'ping', 'the first one stays');
  first.destroy();
  await event('closed');
  assert.equal((await linkAsViewer(viewer(), bridge.ticket)).result, 0, 'its place is free');
});
