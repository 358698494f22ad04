/**
 * The page's link to vmop: a session for the ticket in the page's address, and the connection that carries what both
 * have to say.
 */

/**
 * @typedef {object} Session
 * @property {string} spice The path of SPICE connections.
 * @property {string} control The path of our own connection.
 * @property {{ namespace: string, name: string }} vm
 */

/**
 * Why there is no session. `open`: its console is shown on another page.
 * @typedef {{ reason: 'used', open: boolean }
 *   | { reason: 'expired' | 'wrong' | 'unreachable' }
 *   | { reason: 'notAdmitted', text: string, hint: string }} Refusal
 */

/**
 * @typedef {object} ControlHandlers
 * @property {(message: Record<string, unknown>) => void} message
 * @property {() => void} close It is gone, or was never there.
 */

const STORED = 'vmop.console';
/** The link, from when it leaves the address until there is an answer: the page may be loaded anew before. */
const LINK = 'vmop.link';

/**
 * @typedef {object} Link
 * @property {string} ticket
 * @property {string} page What only this page knows, so that nobody else who has the ticket is taken for it.
 */

/** @param {unknown} value @returns {Record<string, unknown>} */
export function record(value) {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

/** @param {unknown} value */
const string = (value) => (typeof value === 'string' ? value : '');

/** @param {unknown} value @returns {Session | undefined} */
export function parseSession(value) {
  const { spice, control, vm } = record(value);
  const { namespace, name } = record(vm);
  if (string(spice) === '' || string(control) === '') return undefined;
  return {
    spice: string(spice),
    control: string(control),
    vm: { namespace: string(namespace), name: string(name) },
  };
}

/** What was there before a reload. @param {string} key @returns {unknown} */
function stored(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? 'null');
  } catch {
    return undefined;
  }
}

/** Takes the link out of the address, or is the one that was taken and has not been answered. @returns {Link | undefined} */
function takeLink() {
  const given = /^#t=([\w-]+)$/.exec(location.hash)?.[1];
  const { ticket, page } = record(stored(LINK));
  const kept = string(ticket) === '' ? undefined : { ticket: string(ticket), page: string(page) };
  const isNew = given !== undefined && given !== kept?.ticket;
  const link = isNew ? { ticket: given, page: crypto.getRandomValues(new Uint32Array(4)).join('-') } : kept;
  if (isNew) sessionStorage.setItem(LINK, JSON.stringify(link));
  // Out of the address, of the history, and of what somebody may copy.
  history.replaceState(null, '', '/');
  return link;
}

export function forgetSession() {
  sessionStorage.removeItem(STORED);
}

/**
 * Trades the ticket in the address for a session; after a reload it is the one of before.
 * @returns {Promise<Session | Refusal>}
 */
export async function openSession() {
  const link = takeLink();
  const before = parseSession(stored(STORED));
  if (link === undefined) return before ?? { reason: 'wrong' };
  try {
    const response = await fetch('/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(link),
    });
    /** @type {unknown} */
    const answer = await response.json();
    const session = response.ok ? parseSession(answer) : undefined;
    if (session !== undefined) {
      sessionStorage.setItem(STORED, JSON.stringify(session));
      sessionStorage.removeItem(LINK);
      return session;
    }
    sessionStorage.removeItem(LINK);
    const refusal = parseRefusal(answer);
    return refusal.reason === 'used' && before !== undefined ? before : refusal;
  } catch {
    // Also when the page is being loaded anew: the link stays for the next load.
    return { reason: 'unreachable' };
  }
}

/** @param {unknown} answer @returns {Refusal} */
function parseRefusal(answer) {
  const { reason, open, text, hint } = record(answer);
  if (reason === 'used') return { reason, open: open === true };
  if (reason === 'notAdmitted') return { reason, text: string(text), hint: string(hint) };
  return { reason: reason === 'expired' ? reason : 'wrong' };
}

/** @param {string} path */
export function socketUrl(path) {
  return location.origin.replace(/^http/, 'ws') + path;
}

/**
 * Opens our own connection; the result sends a message, or drops it when the connection is gone.
 * @param {Session} session
 * @param {ControlHandlers} on
 * @returns {(message: object) => void}
 */
export function openControl(session, on) {
  const socket = new WebSocket(socketUrl(session.control), 'vmop.console');
  /** @type {string[]} */
  const waiting = [];
  socket.addEventListener('open', () => {
    for (const text of waiting.splice(0)) socket.send(text);
  });
  socket.addEventListener('message', ({ data }) => {
    if (typeof data === 'string') on.message(record(JSON.parse(data)));
  });
  socket.addEventListener('close', () => on.close());
  return (message) => {
    const text = JSON.stringify(message);
    if (socket.readyState === WebSocket.OPEN) socket.send(text);
    else if (socket.readyState === WebSocket.CONNECTING) waiting.push(text);
  };
}
