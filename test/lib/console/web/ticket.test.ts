import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSameSecret, LinkTicket, newSecret } from '../../../../src/lib/console/web/ticket.ts';

const TARGET = { vm: 'default/desktop-1', destination: '10.0.0.7:5900' };

test('a secret has 32 bytes and comes once', () => {
  assert.equal(Buffer.from(newSecret(), 'base64url').length, 32);
  assert.notEqual(newSecret(), newSecret());
});

test('secrets are compared as a whole', () => {
  for (const [given, same] of [
    ['abc', true],
    ['abC', false],
    ['ab', false],
    ['abcd', false],
    ['', false],
  ] as const) {
    assert.equal(isSameSecret(given, 'abc'), same, given);
  }
});

test('a ticket is good once', () => {
  const ticket = new LinkTicket(TARGET, 1000);
  assert.equal(ticket.redeem(newSecret(), TARGET, 0), 'wrong', 'a wrong try changes nothing');
  assert.equal(ticket.redeem(ticket.text, TARGET, 999), 'accepted');
  assert.equal(ticket.redeem(ticket.text, TARGET, 999), 'used');
  assert.equal(ticket.redeem('', TARGET, 999), 'wrong');
});

test('a ticket ends', () => {
  const ticket = new LinkTicket(TARGET, 1000);
  assert.equal(ticket.redeem(ticket.text, TARGET, 1000), 'expired');
});

test('a ticket opens nothing else', () => {
  for (const other of [
    { vm: 'default/desktop-2' },
    { vm: 'default/desktop-1"' },
    { destination: '10.0.0.8:5900' },
  ]) {
    const ticket = new LinkTicket(TARGET, 1000);
    assert.equal(ticket.redeem(ticket.text, { ...TARGET, ...other }, 0), 'moved');
    assert.equal(ticket.check(ticket.text, 0), undefined, 'it was not taken');
  }
});

test('a ticket does not show itself', () => {
  const ticket = new LinkTicket(TARGET, 1000);
  const another = new LinkTicket(TARGET, 1000);
  assert.notEqual(ticket.text, another.text);
  assert.equal(another.redeem(ticket.text, TARGET, 0), 'wrong');
});
