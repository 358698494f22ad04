import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkMessage, parseLinkReply } from '../../../src/lib/console/spice-link.ts';

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

const reply = (fields: { magic?: string; major?: number; size?: number; error?: number } = {}): Buffer => {
  const { magic = 'REDQ', major = 2, size = 186, error = 0 } = fields;
  const bytes = Buffer.alloc(20);
  bytes.write(magic, 'latin1');
  bytes.writeUInt32LE(major, 4);
  bytes.writeUInt32LE(2, 8);
  bytes.writeUInt32LE(size, 12);
  bytes.writeUInt32LE(error, 16);
  return bytes;
};

const REPLIES: [what: string, bytes: Buffer, parsed: ReturnType<typeof parseLinkReply>][] = [
  ['ready', reply(), { error: 0 }],
  ['needs TLS', reply({ error: 5 }), { error: 5 }],
  ['more than the beginning', Buffer.concat([reply(), Buffer.alloc(178)]), { error: 0 }],
  ['another magic', reply({ magic: 'RFB ' }), 'notSpice'],
  ['another version', reply({ major: 1 }), 'notSpice'],
  ['too small', reply({ size: 3 }), 'notSpice'],
  ['too large', reply({ size: 0xffffffff }), 'notSpice'],
  ['nothing yet', Buffer.alloc(0), undefined],
  ['one byte that fits', Buffer.from('R'), undefined],
  ['one byte that does not', Buffer.from('H'), 'notSpice'],
  ['all but one byte', reply().subarray(0, 19), undefined],
];
for (const [what, bytes, parsed] of REPLIES) {
  test(`link reply: ${what}`, () => assert.deepEqual(parseLinkReply(bytes), parsed));
}
