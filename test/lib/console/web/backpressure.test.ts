import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { enter, opened, socketTo, testConsole } from './wire.ts';

const MIB = 1024 * 1024;
/** More than all buffers between two ends of a connection on one computer take. */
const MUCH = 32 * MIB;
const PIECE = Buffer.alloc(64 * 1024, 'x');

/** Resolves when nothing has changed for some rounds of the event loop with time in between. */
async function settled(value: () => number): Promise<number> {
  let last = -1;
  for (let same = 0; same < 10;) {
    const now = value();
    same = now === last ? same + 1 : 0;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return last;
}

/** Reads until so much has come. */
async function readAll(stream: Duplex, length: number): Promise<void> {
  let read = 0;
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    assert.ok(Buffer.isBuffer(chunk));
    read += chunk.length;
    if (read >= length) break;
  }
  assert.equal(read, length);
}

test('a VM that reads nothing makes the page wait, and nothing grows in between', async (t) => {
  const console = await testConsole(t);
  const socket = await opened(socketTo(console, (await enter(console)).spice));
  const [stream] = console.streams;
  assert.ok(stream);
  for (let sent = 0; sent < MUCH; sent += PIECE.length) socket.send(PIECE);
  const waiting = await settled(() => socket.bufferedAmount);
  assert.ok(waiting > MUCH / 2, `${waiting} bytes wait in the page`);
  assert.ok(stream.readableLength <= 2 * PIECE.length, `${stream.readableLength} bytes wait in vmop`);
  await readAll(stream, MUCH);
  assert.equal(socket.bufferedAmount, 0);
});

test('a page that reads nothing makes the VM wait, and nothing grows in between', async (t) => {
  const console = await testConsole(t);
  const socket = await opened(socketTo(console, (await enter(console)).spice));
  const [stream] = console.streams;
  assert.ok(stream);
  socket.pause();
  let written = 0;
  let more = true;
  while (written < MUCH && more) {
    more = stream.write(PIECE);
    written += PIECE.length;
    if (!more) {
      const goesOn = new AbortController();
      const drained = once(stream, 'drain', { signal: goesOn.signal }).then(
        () => true,
        () => false,
      );
      const stuck = settled(() => stream.writableLength).then(() => false);
      more = await Promise.race([drained, stuck]);
      goesOn.abort();
    }
  }
  assert.ok(written < MUCH, `${written} bytes were taken`);
  assert.ok(stream.writableLength <= 2 * PIECE.length, `${stream.writableLength} bytes wait in vmop`);
  let read = 0;
  const all = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer) => {
      read += data.length;
      if (read === written) resolve();
    });
  });
  socket.resume();
  await all;
});

test('a page that goes away while the VM reads nothing leaves nothing', async (t) => {
  const console = await testConsole(t, { awayMs: 200 });
  const { page, spice } = await enter(console);
  const socket = await opened(socketTo(console, spice));
  const [stream] = console.streams;
  assert.ok(stream);
  const closed = once(stream, 'close');
  for (let sent = 0; sent < 4 * MIB; sent += PIECE.length) socket.send(PIECE);
  await settled(() => stream.readableLength);
  socket.terminate();
  page.terminate();
  stream.write(PIECE);
  await closed;
});
