import { sanitize, truncate } from '../../text.ts';
import type { DisplayEvent } from '../session/display-event.ts';

type Shape = [pattern: RegExp, event: (text: string) => DisplayEvent];

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
export function parseViewerLine(line: string): DisplayEvent | undefined {
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
  return line.trim() !== '' && !/-(?:DEBUG|INFO|Message)(?: \*\*)?:|Key pressed/.test(line);
}
