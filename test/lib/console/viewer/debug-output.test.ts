import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isPresentable, parseViewerLine } from '../../../../src/lib/console/viewer/debug-output.ts';
import type { DisplayEvent } from '../../../../src/lib/console/session/display-event.ts';

const FIXTURES = path.join(import.meta.dirname, '..', 'fixtures');

const linesOf = (recording: string): string[] =>
  readFileSync(path.join(FIXTURES, `${recording}.txt`), 'utf8')
    .split('\n')
    .filter((line) => /^(out|err) /.test(line))
    .map((line) => line.slice(4));

const LINKING: DisplayEvent = { type: 'linking' };
const UP: DisplayEvent[] = [LINKING, { type: 'mainOpened' }, { type: 'displayCreated', display: 0 }];
const DESTROYED: DisplayEvent = { type: 'mainDestroyed' };
const CLOSED: DisplayEvent = { type: 'mainClosed' };
const failed = (reason: string): DisplayEvent => ({ type: 'connectFailed', reason });

const RECORDINGS: Record<string, DisplayEvent[]> = {
  'closed-by-user': [...UP, { type: 'windowClosing' }, { type: 'windowClosing' }, DESTROYED, CLOSED],
  'taken-over': [...UP, CLOSED, DESTROYED],
  'vm-quit': [...UP, CLOSED, DESTROYED],
  'vm-killed': [...UP, CLOSED, DESTROYED],
  'channels-refused': [LINKING, { type: 'mainOpened' }],
  'password-refused': [LINKING, { type: 'passwordRefused' }],
  'password-expired': [LINKING, { type: 'passwordRefused' }],
  'port-refused': [LINKING, failed('Could not connect to 127.0.0.1: Connection refused'), DESTROYED],
  'name-unknown': [
    LINKING,
    failed('Error resolving “does-not-exist.invalid”: Name or service not known'),
    DESTROYED,
  ],
  'proxy-refused': [LINKING, failed('HTTP proxy connection not allowed'), DESTROYED],
  'tls-required': [LINKING, failed(''), DESTROYED],
  'tls-wrong-ca': [
    LINKING,
    {
      type: 'certificateRefused',
      reason:
        'Error in certificate chain verification: self-signed certificate in certificate chain (num=19:depth1:/CN=ca)',
    },
    DESTROYED,
  ],
  'tls-wrong-subject': [
    LINKING,
    { type: 'certificateRefused', reason: "subject 'O=vm,CN=desktop2' verification failed" },
    DESTROYED,
  ],
  'server-closes': [LINKING, { type: 'linkBroken' }, DESTROYED],
  'server-silent': [LINKING],
  'not-spice': [LINKING],
  'unsupported-type': [{ type: 'unsupported', kind: 'spice' }],
  'file-rejected': [
    {
      type: 'fileRejected',
      reason: 'Key file contains line “garbage” which is not a key-value pair, group, or comment',
    },
  ],
  'no-display': [{ type: 'noDesktop', display: '' }],
  'wrong-display': [{ type: 'noDesktop', display: ':99' }],
};

test('every recording is covered', () => {
  const names = readdirSync(FIXTURES).filter((name) => name.endsWith('.txt'));
  assert.deepEqual(names.map((name) => name.replace('.txt', '')).sort(), Object.keys(RECORDINGS).sort());
});

for (const [recording, events] of Object.entries(RECORDINGS)) {
  test(`remote-viewer 11, ${recording}`, () => {
    assert.deepEqual(
      linesOf(recording).flatMap((line) => parseViewerLine(line) ?? []),
      events,
    );
  });
}

test('what is typed in the guest stands in the debug output, and is never presentable', () => {
  const lines = linesOf('closed-by-user');
  assert.equal(lines.filter((line) => line.includes('Key pressed')).length, 'secret'.length);
  assert.deepEqual(lines.filter(isPresentable), []);
});

test('warnings and other messages are presentable', () => {
  assert.equal(linesOf('tls-wrong-ca').filter(isPresentable).length, 2);
  assert.ok(isPresentable('remote-viewer: error while loading shared libraries: libspice.so'));
  assert.ok(!isPresentable('  '));
  assert.ok(!isPresentable("(remote-viewer:1): virt-viewer-DEBUG **: Key pressed was keycode='0x73'"));
});

test('a reason is shown, not sent to the terminal', () => {
  const event = parseViewerLine(`x: main channel: failed to connect \u001b[31m${'r'.repeat(1000)}`);
  assert.ok(event?.type === 'connectFailed');
  assert.match(event.reason, /^\\x1b\[31mr+…$/);
  assert.ok(event.reason.length <= 300);
});
