import type { VmopError } from '../../errors.ts';

/**
 * What a session hears of its display, from the viewer's own report or from the bridge. Texts are sanitized; some are in
 * the user's language.
 */
export type DisplayEvent =
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
  /** Somebody has come since the console was prepared, and is not thrown out. */
  | { type: 'notAdmitted'; error: VmopError }
  /** It came to nothing for a reason of its own. */
  | { type: 'failed'; reason: string; hint?: string }
  /** The server hung up, or spoke something else, where its first answer was due. */
  | { type: 'linkBroken' };
