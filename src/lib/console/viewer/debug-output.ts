import { sanitize, truncate } from '../../text.ts';

/** What remote-viewer tells with `--debug`, as far as it matters. Texts are sanitized; some are in the user's language. */
export type ViewerEvent =
  /** The connection file was understood; the server is being called. */
  | { type: 'linking' }
  /** The password was right, and the main channel is up. */
  | { type: 'mainOpened' }
  /** A picture can be shown: the channel of this display is up. */
  | { type: 'displayCreated'; display: number }
  | { type: 'passwordRefused' }
  | { type: 'connectFailed'; reason: string }
  /** Main was given up before or after it was open; by the server when `mainClosed` comes first. */
  | { type: 'mainDestroyed' }
  | { type: 'mainClosed' }
  /** Somebody closes the window; the viewer may still ask whether that is meant. */
  | { type: 'windowClosing' }
  /** This build cannot show a console of this kind. */
  | { type: 'unsupported'; kind: string }
  | { type: 'fileRejected'; reason: string }
  | { type: 'noDesktop'; display: string }
  | { type: 'certificateRefused'; reason: string }
  /** It came to nothing for a reason of its own. */
  | { type: 'failed'; reason: string; hint?: string }
  /** The server hung up, or spoke something else, where its first answer was due. */
  | { type: 'linkBroken' };

type Shape = [pattern: RegExp, event: (text: string) => ViewerEvent];

/** The first group of a pattern is handed to its event. */
const SHAPES: Shape[] = [
  [/: New spice channel \S+ SpiceMainChannel/, () => ({ type: 'linking' })],
  [/: main channel: opened$/, () => ({ type: 'mainOpened' })],
  [/: main channel: closed$/, () => ({ type: 'mainClosed' })],
  [/: main channel: auth failure/, () => ({ type: 'passwordRefused' })],
  [/: main channel: failed to connect ?(.*)$/, (reason) => ({ type: 'connectFailed', reason })],
  [
    /: creating spice display \(#:(\d+)\)$/,
    (display) => ({ type: 'displayCreated', display: Number(display) }),
  ],
  [/: Destroy SPICE channel SpiceMainChannel/, () => ({ type: 'mainDestroyed' })],
  [/: Window closed$/, () => ({ type: 'windowClosing' })],
  [/: Guest .* has unsupported (\S+) display type$/, (kind) => ({ type: 'unsupported', kind })],
  [/-WARNING \*\*: .*: Invalid file [^:]*: (.*)$/, (reason) => ({ type: 'fileRejected', reason })],
  [/Gtk-WARNING \*\*: .*: cannot open display: ?(.*)$/, (display) => ({ type: 'noDesktop', display })],
  [
    /openssl_verify: (?:ssl: )?(.*(?:chain verification|' verification failed).*)$/,
    (reason) => ({ type: 'certificateRefused', reason }),
  ],
  [/GSpice-WARNING \*\*: .*: incomplete link header/, () => ({ type: 'linkBroken' })],
];

const LONGEST_REASON = 300;

/** What one line of remote-viewer's output says; undefined for most. */
export function parseViewerLine(line: string): ViewerEvent | undefined {
  for (const [pattern, event] of SHAPES) {
    const match = pattern.exec(line);
    if (match) return event(truncate(sanitize(match[1] ?? ''), LONGEST_REASON));
  }
  return undefined;
}

/**
 * Whether a line may be kept to be shown later. Debug lines never: remote-viewer writes each key that is typed into
 * them, passwords in the guest included.
 */
export function isPresentable(line: string): boolean {
  return line.trim() !== '' && !/-DEBUG(?: \*\*)?:|Key pressed/.test(line);
}
