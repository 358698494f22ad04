import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostClock, onHost } from '../../../../src/lib/console/secret/host-clock.ts';
import { vmOf } from '../objects.ts';

/** Running has been True since 0, by the host's clock. */
const at = (seconds: number): Date => new Date(Date.parse('2026-07-01T10:00:00Z') + seconds * 1000);

test('what is False may have turned on another host, or by the manager’s clock', () => {
  const conditions = {
    Running: 'True/VmStarted@2026-07-01T10:00:00Z',
    VmopAgentConnected: 'False/Creation@2026-07-01T10:05:00Z',
  };
  assert.deepEqual(hostClock(vmOf({ conditions }), at(0)), { leadMs: 0 });
});

const CLOCKS: [
  what: string,
  now: Date,
  storedAt: Date | undefined,
  leadSeconds: number,
  warning: RegExp | undefined,
][] = [
  [
    'ahead, by a time that is still to come',
    at(-300),
    undefined,
    300,
    / is 300 s ahead .*told by the host's$/,
  ],
  ['ahead, as was to be seen long ago', at(86_400), at(-300), 300, / is 300 s ahead of the API server's: /],
  ['ahead, by a server that is asked again and is behind', at(-300), at(-200), 300, / is 300 s ahead/],
  [
    'so far ahead that no status is believed',
    at(-601),
    undefined,
    0,
    / is 601 s ahead.*ends that much earlier/,
  ],
  ['a little ahead', at(-4), at(-4), 0, undefined],
  ['as it should be', at(1), at(0), 0, undefined],
  ['behind', at(300), at(299), 0, undefined],
];
for (const [what, now, storedAt, leadSeconds, warning] of CLOCKS) {
  test(`a host whose clock is ${what}`, () => {
    const clock = hostClock({ ...vmOf({}), ...(storedAt && { conditionsWrittenAt: storedAt }) }, now);
    assert.equal(clock.leadMs, leadSeconds * 1000);
    if (warning) assert.match(clock.warning ?? '', warning);
    else assert.equal(clock.warning, undefined);
    assert.deepEqual(onHost(now, clock), new Date(now.getTime() + leadSeconds * 1000));
  });
}
