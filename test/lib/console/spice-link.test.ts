import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { HungUp } from '../../../src/lib/read-exactly.ts';
import {
  linkMessage,
  NotSpice,
  parseLinkMessage,
  parseLinkReply,
  readFrame,
  replyWithKey,
  type LinkMessage,
} from '../../../src/lib/console/spice-link.ts';

const SOON = AbortSignal.timeout(30_000);

test('the link message asks for a main channel, with nothing but capabilities', () => {
  assert.equal(
    linkMessage().toString('hex'),
    [
      '52454451', // REDQ
      '02000000',
      '02000000',
      '16000000', // 22 bytes follow
      '00000000', // connection id
      '01', // main
      '00', // channel id
      '01000000', // one common capability word
      '00000000',
      '12000000', // which begins 18 bytes into the message
      '0b000000',
    ].join(''),
  );
});

interface Header {
  magic?: string;
  major?: number;
  size?: number;
}

function frame(body: Buffer, { magic = 'REDQ', major = 2, size = body.length }: Header = {}): Buffer {
  const header = Buffer.alloc(16);
  header.write(magic, 'latin1');
  header.writeUInt32LE(major, 4);
  header.writeUInt32LE(2, 8);
  header.writeUInt32LE(size, 12);
  return Buffer.concat([header, body]);
}

/** Reads a frame from these bytes, with nothing behind them. */
async function read(bytes: Buffer): Promise<Buffer> {
  const [near, far] = duplexPair();
  far.end(bytes);
  return await readFrame(near, SOON);
}

test('a frame is read whole, and no more than it', async () => {
  const [near, far] = duplexPair();
  const message = linkMessage();
  far.write(Buffer.concat([message, message, Buffer.from('rest')]));
  assert.deepEqual(await readFrame(near, SOON), message);
  assert.deepEqual(await readFrame(near, SOON), message);
  assert.equal(String(near.read()), 'rest');
});

const BROKEN: [what: string, bytes: Buffer, error: typeof NotSpice | typeof HungUp][] = [
  ['another magic', frame(Buffer.alloc(18), { magic: 'RFB ' }), NotSpice],
  ['another version', frame(Buffer.alloc(18), { major: 1 }), NotSpice],
  ['too small', frame(Buffer.alloc(18), { size: 3 }), NotSpice],
  ['too large', frame(Buffer.alloc(18), { size: 4097 }), NotSpice],
  ['far too large', frame(Buffer.alloc(18), { size: 0xffffffff }), NotSpice],
  ['nothing', Buffer.alloc(0), HungUp],
  ['four bytes of something else', Buffer.from('HTTP'), NotSpice],
  ['half a magic', Buffer.from('RE'), HungUp],
  ['half a header', frame(Buffer.alloc(0)).subarray(0, 10), HungUp],
  ['half a body', frame(Buffer.alloc(10), { size: 20 }), HungUp],
];
for (const [what, bytes, error] of BROKEN) {
  test(`no frame: ${what}`, async () => {
    await assert.rejects(read(bytes), error);
  });
}

test('what says nothing is waited for as long as the signal says', async () => {
  const [near] = duplexPair();
  await assert.rejects(readFrame(near, AbortSignal.timeout(1)), { name: 'TimeoutError' });
  await assert.rejects(readFrame(near, AbortSignal.abort(new Error('no more'))), /no more/);
});

interface Message {
  type?: number;
  id?: number;
  common?: number[];
  counts?: [common: number, ofChannel: number];
  offset?: number;
}

function message({ type = 1, id = 0, common = [0b1011], counts, offset = 18 }: Message = {}): Buffer {
  const body = Buffer.alloc(18 + 4 * common.length);
  body.writeUInt8(type, 4);
  body.writeUInt8(id, 5);
  const [ofCommon, ofChannel] = counts ?? [common.length, 0];
  body.writeUInt32LE(ofCommon, 6);
  body.writeUInt32LE(ofChannel, 10);
  body.writeUInt32LE(offset, 14);
  common.forEach((word, index) => body.writeUInt32LE(word, 18 + 4 * index));
  return frame(body);
}

const MESSAGES: [what: string, bytes: Buffer, parsed: LinkMessage | undefined][] = [
  ['vmop’s own', linkMessage(), { channel: { type: 'main', id: 0 }, selectsAuth: true, miniHeader: true }],
  [
    'a second head',
    message({ type: 2, id: 1 }),
    { channel: { type: 'display', id: 1 }, selectsAuth: true, miniHeader: true },
  ],
  [
    'a port',
    message({ type: 10, id: 2 }),
    { channel: { type: 'port', id: 2 }, selectsAuth: true, miniHeader: true },
  ],
  [
    'without capabilities',
    message({ common: [] }),
    { channel: { type: 'main', id: 0 }, selectsAuth: false, miniHeader: false },
  ],
  [
    'others',
    message({ common: [0b0010] }),
    { channel: { type: 'main', id: 0 }, selectsAuth: false, miniHeader: false },
  ],
  [
    'one of them',
    message({ common: [0b1010] }),
    { channel: { type: 'main', id: 0 }, selectsAuth: false, miniHeader: true },
  ],
  ['type 0', message({ type: 0 }), undefined],
  ['the tunnel that is no more', message({ type: 7 }), undefined],
  ['a type of another time', message({ type: 12 }), undefined],
  ['more capabilities than it holds', message({ counts: [2, 0] }), undefined],
  ['far more', message({ counts: [0xffffffff, 0xffffffff] }), undefined],
  ['capabilities outside', message({ offset: 0xffffff00 }), undefined],
  ['too short', frame(Buffer.alloc(17)), undefined],
];
for (const [what, bytes, parsed] of MESSAGES) {
  test(`link message: ${what}`, () => {
    if (parsed) assert.deepEqual(parseLinkMessage(bytes), parsed);
    else assert.throws(() => parseLinkMessage(bytes), NotSpice);
  });
}

const KEY = Buffer.alloc(162, 'k');

interface Reply {
  error?: number;
  common?: number[];
  count?: number;
  offset?: number;
}

function reply({ error = 0, common = [0b1011], count, offset = 178 }: Reply = {}): Buffer {
  const body = Buffer.alloc(178 + 4 * common.length);
  body.writeUInt32LE(error);
  KEY.copy(body, 4);
  body.writeUInt32LE(count ?? common.length, 166);
  body.writeUInt32LE(offset, 174);
  common.forEach((word, index) => body.writeUInt32LE(word, 178 + 4 * index));
  return frame(body);
}

test('link replies', () => {
  assert.deepEqual(parseLinkReply(reply()), { error: 0, key: KEY, selectsAuth: true, miniHeader: true });
  assert.deepEqual(parseLinkReply(reply({ common: [] })), {
    error: 0,
    key: KEY,
    selectsAuth: false,
    miniHeader: false,
  });
  const refusal = { error: 5, key: Buffer.alloc(0), selectsAuth: false, miniHeader: false };
  assert.deepEqual(parseLinkReply(reply({ error: 5 })), refusal);
  assert.deepEqual(parseLinkReply(frame(Buffer.from([5, 0, 0, 0]))), refusal, 'nothing but the error');
  for (const broken of [reply({ count: 2 }), reply({ offset: 300 }), frame(Buffer.alloc(177))]) {
    assert.throws(() => parseLinkReply(broken), NotSpice);
  }
});

test('a reply with another key differs in key and SASL alone', () => {
  const other = Buffer.alloc(162, 'o');
  const original = reply({ common: [0x8000000f, 0xffffffff] });
  const changed = replyWithKey(original, other);
  const expected = reply({ common: [0x8000000b, 0xffffffff] });
  other.copy(expected, 20);
  assert.deepEqual(changed, expected);
  assert.deepEqual(original, reply({ common: [0x8000000f, 0xffffffff] }), 'the original stays');
  assert.deepEqual(replyWithKey(reply({ common: [] }), KEY), reply({ common: [] }));
});
