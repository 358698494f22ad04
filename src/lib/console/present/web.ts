import { startBridge, type Bridge, type BridgeEvent } from '../bridge/index.ts';
import type { VmopError } from '../../errors.ts';
import { vmArgument } from '../../vm/write.ts';
import type { PreparedConsole } from '../prepare.ts';
import type { ConsoleHooks } from '../request.ts';
import type { Shown } from '../session/session.ts';
import type { Presentation } from '../session/show.ts';
import type { DisplayEvent } from '../session/display-event.ts';
import type { ViewerEnd } from '../viewer/launch.ts';
import type { LaunchPage } from '../web/browser.ts';
import {
  openWebDoor,
  startWebConsole,
  type WebConsole,
  type WebConsoleEvent,
  type WebDoor,
} from '../web/index.ts';
import type { ListenPlan } from '../web/listen.ts';
import type { LinkTarget } from '../web/ticket.ts';
import { linkTarget } from './page-link.ts';
import { eventOfBridge } from './bridge-events.ts';

export interface WebPresentationOptions {
  listen: ListenPlan;
  openInBrowser: ((url: string) => Promise<LaunchPage>) | undefined;
  /** Asked when somebody is about to connect. Rejects with what stands against that now. */
  admit: (prepared: PreparedConsole) => Promise<LinkTarget>;
  /** Told of the link, once; whoever sees it first gets the console. */
  onUrl: (url: string, prepared: PreparedConsole) => Promise<void>;
  hooks: Pick<ConsoleHooks, 'onStep' | 'onWarning' | 'onDetail'>;
  /** How long the link may be used. */
  linkValidMs?: number | undefined;
  signal: AbortSignal;
}

/** Somebody has to find the browser's window, or to carry the link to one. */
export const LINK_VALID_MS = 120_000;
/** The page says itself what it waits for; only a VM that shows no picture at all is of interest. */
const HANG_MS = LINK_VALID_MS + 30_000;

/** Shows a console on a page of this machine. The page stays when the console is opened anew. */
export function webPresentation(options: WebPresentationOptions): Presentation {
  const page = new ConsolePage(options);
  return {
    name: 'the page',
    understood: () => true,
    hangAfterMs: HANG_MS,
    open: () => page.open(),
    start: (prepared, onEvent) => page.show(prepared, onEvent),
    pause: (why) => page.pause(why),
    close: (why) => page.close(why),
  };
}

/** How many refused requests are told to a person. */
const SAID_REFUSALS = 3;

/** What the server tells its page, in words. */
const REFUSED_BECAUSE: Record<string, string> = {
  used: 'the link was used before, and is good for one page',
  expired: 'the link has run out',
  wrong: 'it does not hold the link’s ticket',
  tooLong: 'it is too long',
};

interface CurrentSession {
  prepared: PreparedConsole;
  onEvent: (event: DisplayEvent) => void;
  connected: boolean;
}

/** One load of the page, and how its main channel fares. */
export interface PageLoad {
  /** It is not the first: the channels of the one before have just ended. */
  anew: boolean;
  retried: boolean;
  /** Milliseconds, on any clock; undefined: it is not linked. */
  linkedAt: number | undefined;
}

/** A SPICE server may end a session that begins while it ends the one before. */
const ENDED_WITH_THE_LAST_MS = 2000;

/** Whether a page that has lost its connection tries once more by itself. */
export function triesAgain({ anew, retried, linkedAt }: PageLoad, now: number): boolean {
  return anew && !retried && linkedAt !== undefined && now - linkedAt < ENDED_WITH_THE_LAST_MS;
}

/** What is told when nobody has come. */
export function unopened(linkValidMs: number): string {
  return `nobody opened its link within ${Math.round(linkValidMs / 1000)} s`;
}

class ConsolePage {
  readonly #options: WebPresentationOptions;
  #door: WebDoor | undefined;
  #web: WebConsole | undefined;
  #linkValidMs = LINK_VALID_MS;
  #session: CurrentSession | undefined;
  #load: PageLoad = { anew: false, retried: false, linkedAt: undefined };
  #loads = 0;
  #refusals = 0;

  constructor(options: WebPresentationOptions) {
    this.#options = options;
  }

  /** What is wrong with the address or the certificate shows before anything is changed for the console. */
  async open(): Promise<void> {
    this.#door = await openWebDoor(this.#options.listen);
  }

  async show(prepared: PreparedConsole, onEvent: (event: DisplayEvent) => void): Promise<Shown> {
    const { promise: ended, resolve: end } = Promise.withResolvers<ViewerEnd>();
    this.#session = { prepared, onEvent, connected: false };
    const known = this.#web;
    const web = known ?? (await this.#open(prepared));
    known?.reopen();
    void this.#pageEnd(web, prepared, onEvent).then(end);
    return {
      ended,
      output: () => [],
      // The page stays for the next session; `close` takes it away.
      stop: async () => {
        end({ code: 0, signal: null, stopped: true });
        return ended;
      },
    };
  }

  pause(why: string): void {
    this.#web?.pause({ text: why });
  }

  async close(why: VmopError | undefined): Promise<void> {
    await this.#web?.close(why && { text: why.message, hint: why.hint });
    if (this.#web === undefined) await this.#door?.close();
  }

  async #open(prepared: PreparedConsole): Promise<WebConsole> {
    const { vm, route, password } = prepared;
    const { listen, openInBrowser, onUrl, admit, linkValidMs = LINK_VALID_MS, signal } = this.#options;
    this.#linkValidMs = Math.min(linkValidMs, password.connectableMs);
    const web = await startWebConsole(
      {
        bridge: async () => await this.#bridge(),
        vm,
        target: linkTarget(vm, route),
        admit: async () => await admit(this.#current().prepared),
        plan: listen,
        linkValidMs: this.#linkValidMs,
        openInBrowser,
        onEvent: (event) => this.#report(event),
        signal,
      },
      this.#door,
    );
    // Before anything can fail that is still to come: it is closed then.
    this.#web = web;
    await onUrl(web.url, prepared);
    if (openInBrowser === undefined) this.#options.hooks.onStep('waiting for somebody to open the link');
    return web;
  }

  /** What one load of the page goes through: with a ticket of its own, and one main channel. */
  async #bridge(): Promise<Bridge> {
    const session = this.#current();
    const { route, password, admission } = session.prepared;
    return await startBridge({
      dial: route.dial,
      password: async (refused) => await password.current(refused),
      admitsMain: async () => await admission.check(),
      onEvent: (event) => {
        this.#options.hooks.onDetail(`bridge: ${JSON.stringify(event)}`);
        this.#heard(event, session);
      },
    });
  }

  #heard(event: BridgeEvent, session: CurrentSession): void {
    const seen = eventOfBridge(event);
    // A page that reloads closes its channels; it is gone only when its server says so.
    if (seen === undefined || seen.type === 'mainDestroyed') return;
    switch (seen.type) {
      case 'mainOpened':
        session.connected = true;
        this.#load.linkedAt = performance.now();
        return session.onEvent(seen);
      case 'mainClosed':
        return this.#lost(session);
      case 'passwordRefused':
        return session.prepared.password.withheld ? this.#askForPassword(session) : session.onEvent(seen);
      default:
        return session.onEvent(seen);
    }
  }

  #lost({ onEvent }: CurrentSession): void {
    if (!triesAgain(this.#load, performance.now())) return onEvent({ type: 'mainClosed' });
    this.#load = { ...this.#load, retried: true, linkedAt: undefined };
    this.#web?.reopen();
  }

  /** The password has run out, and to make another is for the person to decide. */
  #askForPassword({ prepared: { vm }, onEvent }: CurrentSession): void {
    const text = `The display password of ${vm.name} has run out, and a new one would log out whoever is at the desktop.`;
    this.#options.hooks.onWarning(`${text} The page asks whether that is wanted.`);
    onEvent({ type: 'waiting' });
    this.#web?.ask({ text });
  }

  #report(event: WebConsoleEvent): void {
    const { onStep, onWarning, onDetail } = this.#options.hooks;
    switch (event.type) {
      case 'browser':
        return onStep(`waiting for the page in ${event.name}`);
      case 'noBrowser':
        return onWarning(`${event.reason}; open the link by hand`);
      case 'refused':
        this.#refusals += 1;
        // Any page of this computer can make requests: it shall not fill the terminal.
        return (this.#refusals <= SAID_REFUSALS ? onWarning : onDetail)(
          `the page’s server refused ${event.request}: ${REFUSED_BECAUSE[event.reason] ?? event.reason}`,
        );
      case 'notAdmitted':
        return this.#current().onEvent(event);
      default:
        onDetail(`page: ${JSON.stringify(event)}`);
        return this.#told(event);
    }
  }

  #told(event: WebConsoleEvent): void {
    const session = this.#current();
    if (event.type === 'page' && event.present) {
      this.#load = { anew: this.#loads > 0, retried: false, linkedAt: undefined };
      this.#loads += 1;
    }
    if (event.type === 'again') {
      session.prepared.password.allowDisturbance();
      this.#web?.reopen();
    }
    if (event.type !== 'lost') return;
    if (session.connected) this.#lost(session);
    else session.onEvent({ type: 'connectFailed', reason: `its SPICE client gave up: ${event.text}` });
  }

  #current(): CurrentSession {
    if (this.#session === undefined) throw new Error('the page is asked for before it is shown');
    return this.#session;
  }

  async #pageEnd(
    web: WebConsole,
    { vm }: PreparedConsole,
    onEvent: (event: DisplayEvent) => void,
  ): Promise<ViewerEnd> {
    const { kind } = await web.ended;
    if (kind === 'pageClosed') onEvent({ type: 'windowClosing' });
    if (kind === 'neverOpened') {
      const hint = `vmop console ${vmArgument(vm)} --web gives another`;
      onEvent({ type: 'failed', reason: unopened(this.#linkValidMs), hint });
    }
    return { code: 0, signal: null, stopped: kind === 'closed' };
  }
}
