import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whence } from '../../../src/lib/vm/console-client.ts';

const NEAR = " (its own node, or the API server's port-forward)";
const CLIENTS: [client: string, sentence: string][] = [
  ['10.0.0.7', 'from 10.0.0.7'],
  ['fd00::1', 'from fd00::1'],
  ['127.0.0.1', `from 127.0.0.1${NEAR}`],
  ['::1', `from ::1${NEAR}`],
  ['::ffff:127.0.0.1', `from ::ffff:127.0.0.1${NEAR}`],
  ['127.example.org\u001b[2J', String.raw`from 127.example.org\x1b[2J`],
];
for (const [client, sentence] of CLIENTS) {
  test(`a client at ${JSON.stringify(client)}`, () => assert.equal(whence(client), sentence));
}
