import { sanitize } from '../text.ts';

const LOOPBACK = /^(?:::ffff:)?127(?:\.\d+){3}$|^::1$/;

/**
 * Where a console's client is, for a sentence. A port-forward comes out on the VM's own node: who is behind it, and
 * where, is not seen.
 */
export function whence(client: string): string {
  const from = `from ${sanitize(client)}`;
  return LOOPBACK.test(client) ? `${from} (its own node, or the API server's port-forward)` : from;
}
