import { isSameSecret } from './ticket.ts';

/** What the server is, for those who ask it. */
export interface Site {
  /** What `Host` may say. */
  hosts: readonly string[];
  origin: string;
  /** The paths of its files. */
  files: { has(path: string): boolean };
  /** The open session; undefined: nobody has used the link yet. */
  sessionId: string | undefined;
}

/** What of a request is looked at. A header that comes twice has two values. */
export interface RequestHead {
  method: string;
  /** As in the request line. */
  url: string;
  host: readonly string[];
  origin: readonly string[];
  contentType: string | undefined;
}

export interface Refusal {
  answer: 'refuse';
  status: number;
  reason: string;
}

export type RequestVerdict = { answer: 'file'; path: string } | { answer: 'session' } | Refusal;
export type UpgradeVerdict = { answer: 'spice' } | { answer: 'control' } | Refusal;

/** Where a page trades the link's ticket for a session. */
export const SESSION_PATH = '/session';
export const SPICE_PATH = '/spice/';
export const CONTROL_PATH = '/control/';
/** WebSocket subprotocols: that of SPICE clients, and ours. */
export const SPICE_PROTOCOL = 'binary';
export const CONTROL_PROTOCOL = 'vmop.console';

function refuse(status: number, reason: string): Refusal {
  return { answer: 'refuse', status, reason };
}

const only = (values: readonly string[]): string | undefined => (values.length === 1 ? values[0] : undefined);

/** A name that an attacker made point to this computer is in `Host`: DNS rebinding. */
function wrongHost(site: Site, { host }: RequestHead): Refusal | undefined {
  const name = only(host);
  if (name !== undefined && site.hosts.includes(name)) return undefined;
  return refuse(421, 'this is not the host that the console was opened for');
}

/** Pages of other sites, also those of other ports of this computer, send their own origin. */
function wrongOrigin(site: Site, { origin }: RequestHead): Refusal | undefined {
  return only(origin) === site.origin
    ? undefined
    : refuse(403, 'only the console’s own page may ask for this');
}

/** What becomes of a plain request. */
export function decideRequest(site: Site, head: RequestHead): RequestVerdict {
  const strange = wrongHost(site, head);
  if (strange) return strange;
  const { method, url } = head;
  if (url === SESSION_PATH) {
    if (method !== 'POST') return refuse(405, 'a session is asked for with POST');
    if (!/^application\/json(?:;|$)/i.test(head.contentType ?? '')) return refuse(415, 'JSON is expected');
    return wrongOrigin(site, head) ?? { answer: 'session' };
  }
  if (method !== 'GET') return refuse(405, 'there is nothing here but to be read');
  return site.files.has(url) ? { answer: 'file', path: url } : refuse(404, 'there is nothing here');
}

/** What becomes of a request for a WebSocket. `protocols`: those that it offers. */
export function decideUpgrade(site: Site, head: RequestHead, protocols: readonly string[]): UpgradeVerdict {
  const strange = wrongHost(site, head) ?? wrongOrigin(site, head);
  if (strange) return strange;
  const { sessionId } = site;
  const [, path, id = ''] = /^(\/[a-z]+\/)(.*)$/s.exec(head.url) ?? [];
  if (path !== SPICE_PATH && path !== CONTROL_PATH) return refuse(404, 'there is nothing here');
  if (sessionId === undefined || !isSameSecret(id, sessionId)) return refuse(403, 'there is no such session');
  const wanted = path === SPICE_PATH ? SPICE_PROTOCOL : CONTROL_PROTOCOL;
  if (!protocols.includes(wanted)) return refuse(400, `the subprotocol ${wanted} is expected`);
  return { answer: path === SPICE_PATH ? 'spice' : 'control' };
}
