import { startBridge, type Bridge } from '../bridge/index.ts';
import type { VmopError } from '../../errors.ts';
import { vmArgument } from '../../vm/write.ts';
import type { PreparedConsole } from '../prepare.ts';
import type { ConsoleHooks } from '../request.ts';
import { whereOf } from '../reach/route.ts';
import type { Shown } from '../session/session.ts';
import type { Presentation } from '../session/show.ts';
import type { DisplayEvent } from '../session/display-event.ts';
import type { ViewerEnd } from '../viewer/launch.ts';
import type { LaunchPage } from '../web/browser.ts';
import { startWebConsole, type WebConsole, type WebConsoleEvent } from '../web/index.ts';
import type { ListenPlan } from '../web/listen.ts';
import type { LinkTarget } from '../web/ticket.ts';
import { eventOfBridge } from './bridge-events.ts';

export interface WebPresentationOptions {
  listen: ListenPlan;
  openInBrowser: ((url: string) => Promise<LaunchPage>) | undefined;
  /** Told of the link, once; whoever sees it first gets the console. */
  onUrl: (url: string, prepared: PreparedConsole) => Promise<void>;
  hooks: Pick<ConsoleHooks, 'onStep' | 'onWarning' | 'onDetail'>;
  /** How long the link may be used. */
  linkValidMs?: number | undefined;
  signal: AbortSignal;
}

/** Somebody has to find the browser's window, or to carry the link to one. */
const LINK_VALID_MS = 120_000;
/** The page says itself what it waits for; only a VM that shows no picture at all is of interest. */
const HANG_MS = LINK_VALID_MS + 30_000;

/** Shows a console on a page of this machine. The page stays when the console is opened anew. */
export function webPresentation(options: WebPresentationOptions): Presentation {
  const page = new ConsolePage(options);
  return {
    name: 'the page',
    understood: () => true,
    hangAfterMs: HANG_MS,
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
  end: (end: ViewerEnd) => void;
}

class ConsolePage {
  readonly #options: WebPresentationOptions;
  #bridge: Bridge | undefined;
  #web: WebConsole | undefined;
  #session: CurrentSession | undefined;
  #refusals = 0;

  constructor(options: WebPresentationOptions) {
    this.#options = options;
  }

  async show(prepared: PreparedConsole, onEvent: (event: DisplayEvent) => void): Promise<Shown> {
    const { promise: ended, resolve: end } = Promise.withResolvers<ViewerEnd>();
    this.#session = { prepared, onEvent, end };
    const web = this.#web ?? (await this.#open(prepared));
    if (this.#web === web) web.reopen();
    this.#web = web;
    void pageEnd(web, prepared, onEvent).then(end);
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
    this.#web?.notify({ text: why });
  }

  async close(why: VmopError | undefined): Promise<void> {
    await this.#web?.close(why && { text: why.message, hint: why.hint });
    await this.#bridge?.close();
  }

  async #open(prepared: PreparedConsole): Promise<WebConsole> {
    const { vm } = prepared;
    const { listen, openInBrowser, onUrl, linkValidMs = LINK_VALID_MS, signal } = this.#options;
    const bridge = await startBridge({
      dial: (limit) => this.#current().prepared.route.dial(limit),
      password: (refused) => this.#current().prepared.password.current(refused),
      main: 'replaced',
      admitsMain: () => this.#current().prepared.admission.check(),
      onEvent: (event) => {
        const seen = eventOfBridge(event);
        // A page that reloads closes its channels; it is gone only when its server says so.
        if (seen && seen.type !== 'mainDestroyed') this.#current().onEvent(seen);
        this.#options.hooks.onDetail(`bridge: ${JSON.stringify(event)}`);
      },
    });
    this.#bridge = bridge;
    const web = await startWebConsole({
      bridge,
      vm: { namespace: vm.namespace, name: vm.name },
      target: () => targetOf(this.#current().prepared),
      plan: listen,
      linkValidMs,
      openInBrowser,
      onEvent: (event) => this.#report(event),
      signal,
    });
    await onUrl(web.url, prepared);
    if (openInBrowser === undefined) this.#options.hooks.onStep('waiting for somebody to open the link');
    return web;
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
      default:
        return onDetail(`page: ${JSON.stringify(event)}`);
    }
  }

  #current(): CurrentSession {
    if (this.#session === undefined) throw new Error('the page is asked for before it is shown');
    return this.#session;
  }
}

/** A link opens what it was made for: not another machine of the name, nor one that has moved since. */
function targetOf({ vm, route }: PreparedConsole): LinkTarget {
  return { vm: `${vm.namespace}/${vm.name} ${vm.uid}`, destination: whereOf(route) };
}

async function pageEnd(
  web: WebConsole,
  { vm }: PreparedConsole,
  onEvent: (event: DisplayEvent) => void,
): Promise<ViewerEnd> {
  const { kind } = await web.ended;
  if (kind === 'pageClosed') onEvent({ type: 'windowClosing' });
  if (kind === 'neverOpened') {
    const hint = `vmop console ${vmArgument(vm)} --web gives another`;
    onEvent({ type: 'failed', reason: 'nobody opened its link in time', hint });
  }
  return { code: 0, signal: null, stopped: kind === 'closed' };
}
