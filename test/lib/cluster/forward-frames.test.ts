import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import {
  dataFrame,
  FrameReader,
  pingFrame,
  synReplyFrame,
} from '../../../src/lib/cluster/forward/spdy-frames.ts';
import { WebSocketClient } from '../../../src/lib/cluster/forward/websocket.ts';
import { WebSocketReader } from '../../../src/lib/cluster/forward/websocket-reader.ts';
import { HeaderReader } from '../../../src/lib/sandbox/api/spdy-headers.ts';
import { CONTROL, synStreamFrame } from '../../../src/lib/cluster/forward/spdy-frames.ts';

/** In pieces of this size. */
function feed(read: (bytes: Buffer) => void, bytes: Buffer, size: number): void {
  for (let at = 0; at < bytes.length; at += size) read(bytes.subarray(at, at + size));
}

describe('a WebSocket’s frames', () => {
  const frame = (first: number, payload: Buffer): Buffer => {
    const { length } = payload;
    const header = Buffer.alloc(length < 126 ? 2 : length < 65536 ? 4 : 10);
    header[0] = first;
    header[1] = length < 126 ? length : length < 65536 ? 126 : 127;
    if (header.length === 4) header.writeUInt16BE(length, 2);
    if (header.length === 10) header.writeUInt32BE(length, 6);
    return Buffer.concat([header, payload]);
  };
  const wire = Buffer.concat([
    frame(0x02, Buffer.from('one ')),
    frame(0x89, Buffer.from('ping')),
    frame(0x80, Buffer.from('message')),
    frame(0x82, Buffer.alloc(0)),
    frame(0x82, Buffer.alloc(300, 'a')),
    frame(0x82, Buffer.alloc(70_000, 'b')),
    frame(0x88, Buffer.from([3, 232])),
  ]);

  for (const size of [1, 2, 3, 7, 1000, wire.length]) {
    test(`in pieces of ${size}`, () => {
      const messages: string[] = [];
      const control: string[] = [];
      const reader = new WebSocketReader({
        data: (bytes, first) => {
          if (first) messages.push('');
          messages.push((messages.pop() ?? '') + bytes.toString());
        },
        control: (opcode, payload) => control.push(`${opcode} ${payload.toString('latin1')}`),
      });
      feed((bytes) => reader.read(bytes), wire, size);
      assert.deepEqual(messages, ['one message', 'a'.repeat(300), 'b'.repeat(70_000)]);
      assert.deepEqual(control, ['9 ping', '8 \u0003è']);
    });
  }

  for (const [name, bytes] of [
    ['reserved bits', [0xc2, 0]],
    ['a mask', [0x82, 0x81, 0, 0, 0, 0, 0]],
    ['a ping that is too long', [0x89, 126, 1, 0]],
    ['a length beyond all', [0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]],
  ] as const) {
    test(`refuses ${name}`, () => {
      const reader = new WebSocketReader({ data: () => {}, control: () => {} });
      assert.throws(() => reader.read(Buffer.from(bytes)), { code: 'unreachable' });
    });
  }
});

test('what is sent over a WebSocket that is gone holds nobody', async () => {
  const [ours, theirs] = duplexPair();
  const websocket = new WebSocketClient(ours, Buffer.alloc(0));
  const closed = new Promise<void>((resolve) => {
    websocket.start({ data: () => {}, heard: () => {}, closed: () => resolve() });
  });
  theirs.destroy();
  await closed;
  await new Promise<void>((resolve) => {
    websocket.send(Buffer.alloc(1), Buffer.from('late'), resolve);
  });
});

describe('SPDY’s frames', () => {
  const wire = Buffer.concat([
    synReplyFrame(1, { first: true }),
    dataFrame(3, Buffer.from('some data')),
    pingFrame(2),
    dataFrame(3, Buffer.alloc(0), true),
    dataFrame(1, Buffer.from('an error'), true),
  ]);

  for (const size of [1, 5, 8, 13, wire.length]) {
    test(`in pieces of ${size}`, () => {
      const seen: string[] = [];
      const data = new Map<number, string>();
      const reader = new FrameReader({
        control: ({ type, payload }) => seen.push(`control ${type} ${payload.readUInt32BE()}`),
        data: (stream, bytes) => data.set(stream, (data.get(stream) ?? '') + bytes.toString()),
        fin: (stream) => seen.push(`fin ${stream}`),
      });
      feed((bytes) => reader.read(bytes), wire, size);
      assert.deepEqual(seen, ['control 2 1', 'control 6 2', 'fin 3', 'fin 1']);
      assert.deepEqual(Object.fromEntries(data), { 3: 'some data', 1: 'an error' });
    });
  }

  test('refuses what is none', () => {
    const reader = new FrameReader({ control: () => {}, data: () => {}, fin: () => {} });
    assert.throws(() => reader.read(Buffer.from('\xff\xffTP/1.1 ', 'latin1')), { code: 'unreachable' });
  });

  test('header blocks go on from stream to stream', async () => {
    const headers = new HeaderReader();
    const blocks: Buffer[] = [];
    const reader = new FrameReader({
      control: ({ type, payload }) => {
        assert.equal(type, CONTROL.synStream);
        blocks.push(payload.subarray(10));
      },
      data: () => {},
      fin: () => {},
    });
    reader.read(synStreamFrame(1, { port: '5900', streamtype: 'error' }, { first: true, fin: true }));
    reader.read(synStreamFrame(3, { port: '5900', streamtype: 'data' }, { first: false, fin: false }));
    const read = await Promise.all(blocks.map((block) => headers.read(block)));
    assert.deepEqual(
      read.map((one) => Object.fromEntries(one)),
      [
        { port: '5900', streamtype: 'error' },
        { port: '5900', streamtype: 'data' },
      ],
    );
    const broken = headers.read(Buffer.from('no zlib at all'));
    await assert.rejects(broken);
    headers.close();
  });
});
