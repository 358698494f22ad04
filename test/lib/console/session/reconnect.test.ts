import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT, type ErrorCode } from '../../../../src/lib/errors.ts';
import { mayPass, reconnectPause, wasDropped } from '../../../../src/lib/console/session/reconnect.ts';
import type { SessionOutcome } from '../../../../src/lib/console/session/session-state.ts';

test('the pauses grow, up to half a minute, and come to an end', () => {
  const pauses = Array.from({ length: 14 }, (_, failures) => reconnectPause(failures));
  assert.deepEqual(
    pauses.map((pause) => pause && pause / 1000),
    [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30, undefined, undefined],
  );
});

const OUTCOMES: [outcome: SessionOutcome, dropped: boolean][] = [
  [{ kind: 'connectionLost' }, true],
  [{ kind: 'vmStopped' }, true],
  [{ kind: 'unreachable', reason: '' }, true],
  [{ kind: 'viewerHung', stage: 'display' }, true],
  [{ kind: 'passwordRefused' }, true],
  [{ kind: 'windowClosed' }, false],
  [{ kind: 'takenOver', by: 'bob' }, false],
  [{ kind: 'interrupted' }, false],
  [{ kind: 'viewerFailed', reason: '' }, false],
  [{ kind: 'connected' }, false],
];
for (const [outcome, dropped] of OUTCOMES) {
  test(`${outcome.kind} is ${dropped ? '' : 'not '}a drop`, () => assert.equal(wasDropped(outcome), dropped));
}

test('what the cluster refuses for good is not tried again', () => {
  const codes = Object.keys(EXIT).filter((code): code is ErrorCode => Object.hasOwn(EXIT, code));
  assert.deepEqual(
    codes.filter((code) => !mayPass(code)),
    ['usage', 'notFound', 'forbidden', 'conflict', 'timeout'],
  );
});
