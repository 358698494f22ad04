import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { displayInit } from '../../../../src/lib/console/spice-link.ts';
import { readExactly } from '../../../../src/lib/read-exactly.ts';
import { patience, setUp, type Setup } from './setup.ts';
import { hearOut } from './spice-server.ts';
import { linkAsViewer } from './spice-viewer.ts';

const TYPE_AT = 16 + 4;
const INIT = displayInit(true);
const LONG_INIT = displayInit(false);

interface Stage extends Setup {
  /** The server's halves, as soon as they are linked. */
  main: Promise<Duplex>;
  display: Promise<Duplex>;
}

/** A server that says nothing by itself on its main channel and its display. */
async function stage(t: TestContext): Promise<Stage> {
  const main = Promise.withResolvers<Duplex>();
  const display = Promise.withResolvers<Duplex>();
  const onLinked = (stream: Duplex, message: Buffer): void =>
    (message[TYPE_AT] === 1 ? main : display).resolve(stream);
  return { ...(await setUp(t, { onLinked })), main: main.promise, display: display.promise };
}

async function link(
  { viewer, bridge }: Setup,
  type: number,
  common: number | undefined = 0b1011,
): Promise<Duplex> {
  const stream = viewer();
  assert.equal((await linkAsViewer(stream, bridge.ticket, { type, common })).result, 0);
  return stream;
}

/** Whether the other side still is as it was after what has been sent has come. */
async function stays(stream: Duplex): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  return !stream.readableEnded && !stream.destroyed;
}

test('a viewer that goes before its display has begun is spoken for, and the session ends after that', async (t) => {
  const set = await stage(t);
  const [mine, picture] = [await link(set, 1), await link(set, 2)];
  const [main, display] = [await set.main, await set.display];
  main.resume();
  mine.destroy();
  picture.destroy();
  assert.deepEqual(await readExactly(display, INIT.length, patience()), INIT);
  assert.ok(await stays(main), 'the main channel waits for the display');
  const ends = [once(main, 'end'), once(display.resume(), 'end')];
  display.write('answer');
  await Promise.all(ends);
  main.end();
  display.end();
});

test('so does a bridge that closes', async (t) => {
  const set = await stage(t);
  await link(set, 1);
  await link(set, 2);
  const [main, display] = [await set.main, await set.display];
  main.resume();
  const closed = set.bridge.close();
  assert.deepEqual(await readExactly(display, INIT.length, patience()), INIT);
  assert.ok(await stays(main));
  display.end('answer');
  main.on('end', () => main.end());
  await closed;
});

test('a server that never answers holds nobody for long', async (t) => {
  const set = await setUp(t, { onLinked: hearOut });
  await link(set, 1);
  await link(set, 2);
  await set.bridge.close();
  await set.server.idle();
});

test('where one of the two does not know the short header, the long one is used', async (t) => {
  const set = await stage(t);
  const picture = await link(set, 2, 0b0011);
  picture.destroy();
  const display = await set.display;
  assert.deepEqual(await readExactly(display, LONG_INIT.length, patience()), LONG_INIT);
  display.end('answer');
});

test('a viewer that speaks for itself is heard, whatever the size of its pieces, and nothing is added', async (t) => {
  const set = await stage(t);
  const picture = await link(set, 2);
  const display = await set.display;
  const said = Buffer.from('these are its own words');
  picture.write(said.subarray(0, 3));
  assert.deepEqual(await readExactly(display, 3, patience()), said.subarray(0, 3));
  picture.write(said.subarray(3));
  assert.deepEqual(await readExactly(display, said.length - 3, patience()), said.subarray(3));
  display.write('answer');
  assert.equal(String(await readExactly(picture, 6, patience())), 'answer');
  picture.end('and its last');
  assert.equal(String(await readExactly(display, 12, patience())), 'and its last');
  await once(display.resume(), 'end');
  display.end('words');
  assert.equal(String(await readExactly(picture, 5, patience())), 'words');
});
