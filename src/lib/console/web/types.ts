import type { VmopError } from '../../errors.ts';
import type { Vm } from '../../vm/types.ts';
import type { Bridge } from '../bridge/index.ts';
import type { LaunchPage } from './browser.ts';
import type { FromPage, PageWords } from './control.ts';
import type { ListenPlan } from './listen.ts';
import type { LinkTarget } from './ticket.ts';

export type WebConsoleEvent =
  /** A page has used the link. */
  | { type: 'opened' }
  /** The page is there, or away: closed, or about to come back after a reload. */
  | { type: 'page'; present: boolean }
  /** The browser was asked to open the page, or could not be. */
  | { type: 'browser'; name: string }
  | { type: 'noBrowser'; reason: string }
  /** Somebody asked for what they may not have; `request` is sanitized. */
  | { type: 'refused'; status: number; reason: string; request: string }
  /** The console may not be opened now; the page was told why. */
  | { type: 'notAdmitted'; error: VmopError }
  | FromPage;

export type WebConsoleEnd =
  /** The page was closed and has not come back. */
  | { kind: 'pageClosed' }
  /** Nobody has used the link while it was valid. */
  | { kind: 'neverOpened' }
  /** By `close`, or the signal. */
  | { kind: 'closed' };

export interface WebConsoleOptions {
  /**
   * Makes what carries the SPICE connections of a page, from one load of it to the next: it has a ticket of its own,
   * and is closed before another is made.
   */
  bridge: () => Promise<Bridge>;
  /** For the page's title, and for the commands that are named. */
  vm: Pick<Vm, 'namespace' | 'name' | 'argument'>;
  /** What the link is for. */
  target: LinkTarget;
  /**
   * Asked anew each time that a page is about to connect: what it would open now. Rejects with what stands against
   * that.
   */
  admit: () => Promise<LinkTarget>;
  plan: ListenPlan;
  /** How long the link may be used. */
  linkValidMs: number;
  /** How long a page may be away before the session ends: a reload takes a moment. */
  awayMs?: number;
  /** Shows the link to the person; without it that is left to the caller. */
  openInBrowser?: ((url: string) => Promise<LaunchPage>) | undefined;
  onEvent?: ((event: WebConsoleEvent) => void) | undefined;
  /** Ends it. */
  signal: AbortSignal;
}

export interface WebConsole {
  /** The link: its fragment holds the ticket, so whoever sees it first gets the console. */
  readonly url: string;
  /** Resolves when nothing is open any more; never rejects. */
  readonly ended: Promise<WebConsoleEnd>;
  /** Ends the page's channels until `reopen`; the page says why. */
  pause(words: PageWords): void;
  /** Ends the page's channels until its person wants to go on all the same (`again`). */
  ask(words: PageWords): void;
  /** Makes the page open its channels anew, with another ticket. */
  reopen(): void;
  /** Ends the session; the page shows why. Any number of times. */
  close(words?: PageWords): Promise<void>;
}
