import assert from 'node:assert/strict';
import { test } from 'node:test';
import { releaseDecision, type NamedUse, type Release } from '../../../src/lib/console/console-user.ts';
import { connectionOf } from '../../../src/lib/vm/state.ts';
import { RUNNING, vmOf, type VmFields } from './objects.ts';

const FREE: VmFields = { conditions: { ...RUNNING, ConsoleConnected: 'False/Disconnected' } };
const used = (user: string | undefined, second: number): VmFields => ({
  conditions: { ...RUNNING, ConsoleConnected: `True/Connected@2026-07-01T12:00:0${second}Z` },
  status: { consoleClient: '10.0.0.1', ...(user !== undefined && { consoleUser: user }) },
});
const named = (fields: VmFields, user: string): VmFields => ({
  ...fields,
  status: { ...fields.status, consoleUser: user },
});
const of = (fields: VmFields): string | undefined => connectionOf(vmOf(fields));
const BOBS = used('bob', 1);
const MINE = used('alice', 5);
const NOBODY = { user: undefined, connection: undefined };

const CASES: [what: string, vm: VmFields, use: Partial<NamedUse>, release: Release][] = [
  ['the session is over', named(FREE, 'alice'), { connected: true }, { user: null }],
  ['QEMU has not noticed yet', MINE, { connected: true }, 'wait'],
  ['oneself is there again, from elsewhere', used('alice', 9), { connected: true }, undefined],
  ['somebody else is there', used('bob', 9), { connected: true }, undefined],
  ['somebody else is about to be', named(FREE, 'bob'), { connected: true }, undefined],
  ['another machine of the name', named(FREE, 'alice'), { connected: true, uid: 'u-0' }, undefined],
  ['an attempt that failed', named(FREE, 'alice'), {}, { user: null }],
  [
    'an attempt to take it that failed: it is bob’s still',
    named(BOBS, 'alice'),
    { earlier: { user: 'bob', connection: of(BOBS) } },
    { user: 'bob' },
  ],
  [
    'the same, of somebody without a name',
    named(used(undefined, 1), 'alice'),
    { earlier: { user: undefined, connection: of(BOBS) } },
    { user: null },
  ],
  [
    'it failed, and one’s other window goes on',
    MINE,
    { earlier: { user: 'alice', connection: of(MINE) } },
    undefined,
  ],
];
for (const [what, vm, use, release] of CASES) {
  test(`one’s name at a console: ${what}`, () => {
    const own = new Set([of(MINE) ?? '']);
    const all = { me: 'alice', uid: 'u-1', earlier: NOBODY, connected: false, own, ...use };
    assert.deepEqual(releaseDecision(vmOf(vm), all), release);
  });
}
