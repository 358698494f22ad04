import { sanitize } from '../text.ts';

/**
 * Where a console's client is, for a sentence. A port-forward comes out on the VM's own node: who is behind it, and
 * where, is not seen.
 */
export function whence(client: string): string {
  return /^(?:::ffff:)?127\.|^::1$/.test(client) ? 'through the API server' : `from ${sanitize(client)}`;
}
