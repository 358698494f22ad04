import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineSplitter } from '../../src/lib/lines.ts';

const TEXT = '220 ready\r\n\n201 zoë 🐧 is in\n\rx\r\r\n202\n';
const LINES = ['220 ready', '', '201 zoë 🐧 is in', '\rx\r', '202'];

test('lines do not depend on how the bytes are cut', () => {
  const bytes = Buffer.from(TEXT);
  for (let size = 1; size <= bytes.length; size += 1) {
    const splitter = new LineSplitter(100);
    const lines: string[] = [];
    for (let start = 0; start < bytes.length; start += size) {
      lines.push(...splitter.push(bytes.subarray(start, start + size)));
    }
    assert.deepEqual(lines, LINES, `chunks of ${size}`);
  }
});

test('a line without an end is bounded, and the next one is whole', () => {
  const splitter = new LineSplitter(8);
  for (let chunk = 0; chunk < 1000; chunk += 1) assert.deepEqual(splitter.push('x'.repeat(1000)), []);
  assert.deepEqual(splitter.push('\n201 ok\n'), ['xxxxxxxx', '201 ok']);
});

test('a character is not cut in two', () => {
  assert.deepEqual(new LineSplitter(5).push('abcd🐧ef\n'), ['abcd']);
});

test('bytes that are no UTF-8 become replacement characters', () => {
  const splitter = new LineSplitter(100);
  assert.deepEqual(splitter.push(Uint8Array.of(0x61, 0xff, 0x62, 0x0a)), ['a\ufffdb']);
  assert.deepEqual(splitter.push(Uint8Array.of(0x61, 0xf0, 0x9f, 0x0a)), ['a\ufffd']);
});

test('a caller may use its buffer again', () => {
  const splitter = new LineSplitter(100);
  const buffer = Buffer.from('ab');
  splitter.push(buffer);
  buffer.fill('z');
  assert.deepEqual(splitter.push('c\n'), ['abc']);
});

test('what was begun is forgotten when the other side has gone', () => {
  const splitter = new LineSplitter(100);
  splitter.push('201 hal');
  splitter.reset();
  assert.deepEqual(splitter.push('220 new\n'), ['220 new']);
});

test('what has no line end comes with the flush, once', () => {
  const splitter = new LineSplitter(100);
  assert.deepEqual(splitter.push('a\nlast'), ['a']);
  assert.equal(splitter.flush(), 'last');
  assert.equal(splitter.flush(), undefined);
});
