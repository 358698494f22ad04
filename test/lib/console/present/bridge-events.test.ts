import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BridgeEvent, SpiceChannelType } from '../../../../src/lib/console/bridge/index.ts';
import { eventOfBridge } from '../../../../src/lib/console/present/bridge-events.ts';
import type { DisplayEvent } from '../../../../src/lib/console/session/display-event.ts';

const of = (type: SpiceChannelType) => ({ type, id: 0 });
const refused = (type: SpiceChannelType, by: 'bridge' | 'server', result: number): BridgeEvent => ({
  type: 'refused',
  channel: of(type),
  by,
  result,
});
const failed = (reason: string): DisplayEvent => ({ type: 'connectFailed', reason });

const EVENTS: [what: string, event: BridgeEvent, seen: DisplayEvent | undefined][] = [
  ['the main channel is linked', { type: 'linked', channel: of('main') }, { type: 'mainOpened' }],
  ['so is another', { type: 'linked', channel: of('cursor') }, undefined],
  ['the password is refused', refused('main', 'server', 7), { type: 'passwordRefused' }],
  ['a ticket is refused', refused('main', 'bridge', 7), undefined],
  ['another channel is refused', refused('inputs', 'server', 7), undefined],
  ['TLS is wanted', refused('main', 'server', 5), failed('its SPICE server wants TLS')],
  [
    'another refusal',
    refused('main', 'server', 9),
    failed('its SPICE server refuses the connection (SPICE result 9)'),
  ],
  ['the server ends', { type: 'closed', channel: of('main'), by: 'server' }, { type: 'mainClosed' }],
  ['the viewer ends', { type: 'closed', channel: of('main'), by: 'viewer' }, { type: 'mainDestroyed' }],
];
for (const [what, event, seen] of EVENTS) {
  test(what, () => assert.deepEqual(eventOfBridge(event), seen));
}
