import { sanitize } from '../../text.ts';
import type { BridgeEvent } from '../bridge/index.ts';
import type { DisplayEvent } from '../session/display-event.ts';
import { LINK_NEEDS_TLS, LINK_PERMISSION_DENIED } from '../spice-link.ts';

/** What a session learns from its bridge, in the words of a viewer that reports; undefined: nothing of interest. */
export function eventOfBridge(event: BridgeEvent): DisplayEvent | undefined {
  switch (event.type) {
    case 'linked':
      if (event.channel.type === 'main') return { type: 'mainOpened' };
      return event.channel.type === 'display'
        ? { type: 'displayCreated', display: event.channel.id }
        : undefined;
    case 'refused':
      // A wrong ticket is somebody else's: it says nothing about this session.
      return event.by === 'server' && event.channel.type === 'main' ? refusalOf(event.result) : undefined;
    case 'unreachable':
      return { type: 'connectFailed', reason: sanitize(event.error.message) };
    case 'notAdmitted':
      return event;
    default:
      if (event.channel.type !== 'main') return undefined;
      return { type: event.by === 'server' ? 'mainClosed' : 'mainDestroyed' };
  }
}

function refusalOf(result: number): DisplayEvent {
  if (result === LINK_PERMISSION_DENIED) return { type: 'passwordRefused' };
  const why = result === LINK_NEEDS_TLS ? 'wants TLS' : `refuses the connection (SPICE result ${result})`;
  return { type: 'connectFailed', reason: `its SPICE server ${why}` };
}
