/** The console's page: a SPICE client, what vmop says of the session, and a few buttons. */
import { SpiceClient } from './agent.js';
import { forgetSession, openControl, openSession, socketUrl } from './link.js';
import { guestSize, Screen } from './screen.js';

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

/** @param {string} id */
function button(id) {
  const found = element(id);
  if (!(found instanceof HTMLButtonElement)) throw new Error(`${id} is no button`);
  return found;
}

/** How often is looked whether the first picture is there. */
const PICTURE_POLL_MS = 100;

/** @typedef {'connecting' | 'connected' | 'lost' | 'ended'} State */

/** @type {Record<State, string>} */
const HEADLINES = {
  connecting: 'Connecting',
  connected: 'Waiting for the picture',
  lost: 'The connection was lost',
  ended: 'The session has ended',
};

const ELSEWHERE = {
  headline: 'Open in another window',
  hint: 'Go on there, or close it there and run “vmop console VM --web” again.',
};

/**
 * What a person is told who gets no session.
 * @param {import('./link.js').Refusal} refusal
 * @returns {{ headline: string, text: string, hint?: string }}
 */
function wordsOf(refusal) {
  switch (refusal.reason) {
    case 'used':
      return refusal.open
        ? {
            ...ELSEWHERE,
            text: 'This link was used already, and its console is open in another window or browser.',
          }
        : { headline: 'The link was used', text: 'This link was used already: it opens one console only.' };
    case 'expired':
      return {
        headline: 'The link has run out',
        text: 'This link was valid for a short time only, which is over.',
      };
    case 'unreachable':
      return { headline: 'vmop does not answer', text: 'vmop does not answer: it has probably ended.' };
    case 'notAdmitted':
      return { headline: 'The console is not opened', text: refusal.text, hint: refusal.hint };
    default:
      return { headline: 'No console is here', text: 'This address belongs to no console that is open.' };
  }
}

/** The desktop, and the client that draws it. */
class Console {
  /** @type {State} */
  #state = 'connecting';
  /** @type {SpiceClient | undefined} */
  #client;
  #poll = 0;
  /** Which of the connections that vmop asked for. */
  #attempt = 0;
  #again = 'Run “vmop console VM --web” again.';
  /** @type {(message: object) => void} */
  #tell = () => {};
  #screen = new Screen(
    { stage: element('stage'), frame: element('frame'), screen: element('screen') },
    { leave: () => button('keys').focus(), room: (size) => this.#resizeGuest(size) },
  );

  async start() {
    this.#wireButtons();
    const session = await openSession();
    if ('reason' in session) {
      const { text, hint, headline } = wordsOf(session);
      return this.#end(text, hint, headline);
    }
    const { namespace, name } = session.vm;
    this.#again = `Run “vmop console ${name} -n ${namespace} --web” again.`;
    element('name').textContent = name;
    element('stage').ariaLabel = `Desktop of ${name}`;
    document.title = `${name} · vmop console`;
    this.#tell = openControl(session, {
      message: (message) => this.#told(message, session.spice),
      close: () => this.#end('vmop has ended, or cannot be reached any more.'),
    });
    window.addEventListener('error', ({ message }) => this.#tell({ type: 'problem', text: message }));
  }

  /** @param {string} spice The path of SPICE connections. @param {string} password What they give: worthless elsewhere. */
  #connect(spice, password) {
    this.#disconnect();
    this.#show('connecting', 'Waiting for the desktop …');
    this.#client = new SpiceClient({
      uri: socketUrl(spice),
      password,
      screen_id: 'screen',
      // The client would fit the canvas with styles that it does not take into account for the mouse.
      scale_view: false,
      onsuccess: () => this.#connected(),
      onerror: (/** @type {unknown} */ error) => this.#lost(error),
      onagent: () => this.#agentCame(),
    });
    this.#poll = setInterval(() => this.#lookForPicture(), PICTURE_POLL_MS);
  }

  #disconnect() {
    clearInterval(this.#poll);
    const client = this.#client;
    this.#client = undefined;
    try {
      client?.stop();
      for (const port of client?.ports ?? []) port.cleanup();
    } catch (error) {
      this.#tell({ type: 'problem', text: `the client did not stop in order: ${String(error)}` });
    }
    this.#screen.clear();
    button('keys').disabled = true;
    button('clipboard').hidden = true;
  }

  #connected() {
    this.#show('connected', 'The desktop has let us in.');
    this.#tell({ type: 'connected' });
  }

  #lookForPicture() {
    if (this.#state !== 'connected') return;
    const { surfaces = [] } = this.#client?.display ?? {};
    if (!Object.values(surfaces).some(({ draw_count }) => draw_count > 0)) return;
    clearInterval(this.#poll);
    element('panel').hidden = true;
    button('keys').disabled = false;
    this.#screen.focus();
    this.#tell({ type: 'picture' });
  }

  /** @param {unknown} error */
  #lost(error) {
    if (this.#state === 'ended' || this.#state === 'lost') return;
    const text = error instanceof Error ? error.message : String(error);
    this.#disconnect();
    this.#show('lost', 'vmop is finding out why …');
    this.#tell({ type: 'lost', text, attempt: this.#attempt });
  }

  /** @param {string} text @param {string} [hint] @param {string} [headline] */
  #end(text, hint = this.#again, headline) {
    if (this.#state === 'ended') return;
    this.#disconnect();
    forgetSession();
    this.#show('ended', text, hint, headline);
  }

  /** @param {Record<string, unknown>} message @param {string} spice */
  #told({ type, text, hint, password, attempt }, spice) {
    const words = typeof text === 'string' ? text : '';
    const advice = typeof hint === 'string' ? hint : undefined;
    if (type === 'open' && typeof password === 'string') {
      this.#attempt = Number(attempt);
      this.#connect(spice, password);
    } else if (type === 'paused' || type === 'asked') {
      this.#disconnect();
      this.#show('lost', words, advice, type === 'paused' ? 'Opening it again' : 'Not connected');
      button('again').hidden = type === 'paused';
    } else if (type === 'elsewhere') {
      this.#end('This console was opened in another window.', ELSEWHERE.hint, ELSEWHERE.headline);
    } else if (type === 'ended') {
      this.#end(words, advice);
    }
  }

  /** @param {State} state @param {string} text @param {string} [hint] @param {string} [headline] */
  #show(state, text, hint, headline = HEADLINES[state]) {
    this.#state = state;
    button('again').hidden = true;
    document.documentElement.dataset['state'] = state;
    element('state').textContent = state;
    if (state !== 'connected') element('notice').textContent = '';
    element('panel').hidden = false;
    element('panel').role = state === 'ended' ? 'alert' : 'status';
    element('headline').textContent = headline;
    element('text').textContent = text;
    element('hint').textContent = hint ?? '';
    element('hint').hidden = hint === undefined;
    button('fit').disabled = state === 'ended';
    button('full').disabled = state === 'ended';
    if (state === 'ended' && document.fullscreenElement !== null) void document.exitFullscreen();
  }

  #agentCame() {
    button('clipboard').hidden = false;
    if (this.#screen.fit) this.#resizeGuest(guestSize(this.#screen.room));
  }

  /** @param {import('./screen.js').Size} size */
  #resizeGuest({ width, height }) {
    if (this.#client?.agent_connected === true) this.#client.resize_window(0, width, height, 32, 0, 0);
  }

  #wireButtons() {
    button('keys').addEventListener('click', () => {
      this.#screen.press(['ControlLeft', 'AltLeft', 'Delete']);
      this.#screen.focus();
    });
    button('fit').addEventListener('click', () => {
      this.#screen.fit = !this.#screen.fit;
      button('fit').ariaPressed = String(this.#screen.fit);
      this.#screen.focus();
    });
    // Ctrl-W is meant for the desktop when it has the keyboard, and browsers keep it for themselves: they ask first.
    window.addEventListener('beforeunload', (event) => {
      if (this.#state === 'connected' && this.#screen.hasKeyboard) event.preventDefault();
    });
    button('again').addEventListener('click', () => this.#tell({ type: 'again' }));
    button('full').addEventListener('click', () => void this.#fullScreen());
    button('clipboard').addEventListener('click', () => void this.#shareClipboard());
  }

  async #fullScreen() {
    await document.documentElement.requestFullscreen({ navigationUI: 'hide' });
    // Where the browser can: Esc, Alt-Tab and the like are for the desktop; holding Esc leaves.
    const keyboard = Reflect.get(navigator, 'keyboard');
    if (typeof keyboard === 'object' && keyboard !== null && 'lock' in keyboard) {
      if (typeof keyboard.lock === 'function') await keyboard.lock();
    }
    this.#screen.focus();
  }

  /** The client offers the clipboard whenever the desktop gets the keyboard; the browser asks the person before. */
  async #shareClipboard() {
    try {
      await navigator.clipboard.readText();
      this.#client?.send_clipboard_grab();
      element('notice').textContent = '';
    } catch {
      element('notice').textContent = 'The browser does not let this page read the clipboard.';
    }
    this.#screen.focus();
  }
}

// A link that is put into the address of this page changes nothing but the fragment.
window.addEventListener('hashchange', () => location.reload());

// The client would stop everything to say that it does not know a key.
Reflect.set(window, 'alert', undefined);

await new Console().start();
