import { sanitize } from '../../text.ts';
import type { BridgeEvent } from '../bridge/index.ts';
import type { DisplayEvent } from '../session/display-event.ts';

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
      return event.by === 'server' && event.channel.type === 'main' ? { type: 'passwordRefused' } : undefined;
    case 'unreachable':
      return { type: 'connectFailed', reason: sanitize(event.error.message) };
    default:
      if (event.channel.type !== 'main') return undefined;
      return { type: event.by === 'server' ? 'mainClosed' : 'mainDestroyed' };
  }
}
