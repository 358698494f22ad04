import type { Duplex } from 'node:stream';
import type { LaunchPage } from './browser.ts';
import type { FromPage, PageWords } from './control.ts';
import type { ListenPlan } from './listen.ts';
import type { LinkTarget } from './ticket.ts';

/** What carries the page's SPICE connections to the VM. */
export interface WebBridge {
  /** The SPICE password that the page gives; worthless elsewhere. */
  readonly ticket: string;
  /** Takes over one connection, for one channel. */
  accept(client: Duplex): void;
}

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
  | FromPage;

export type WebConsoleEnd =
  /** The page was closed and has not come back. */
  | { kind: 'pageClosed' }
  /** Nobody has used the link while it was valid. */
  | { kind: 'neverOpened' }
  /** By `close`, or the signal. */
  | { kind: 'closed' };

export interface WebConsoleOptions {
  bridge: WebBridge;
  /** For the page's title, and for the command that it names. */
  vm: { namespace: string; name: string };
  /** What a session opens at this moment: the link is only good for what it was when the server was started. */
  target: () => LinkTarget;
  /** Default: loopback, any port. */
  plan?: ListenPlan;
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
  /** Shows a sentence on the page while the session goes on. */
  notify(words: PageWords): void;
  /** Makes the page open its channels anew, after the connection to the VM was lost. */
  reopen(): void;
  /** Ends the session; the page shows why. Any number of times. */
  close(words?: PageWords): Promise<void>;
}
