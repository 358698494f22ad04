/** The desktop's picture on the page: its size, the keyboard, the mouse's focus. */

/** Sizes that guests take. */
const STEP = 8;
const SMALLEST = { width: 320, height: 240 };
const SETTLE_MS = 250;

/** @typedef {{ width: number, height: number }} Size */

/**
 * How much larger a picture is shown so that it just fits.
 * @param {Size} picture @param {Size} room
 */
export function scaleToFit(picture, room) {
  if (picture.width === 0 || picture.height === 0 || room.width === 0 || room.height === 0) return 1;
  return Math.min(room.width / picture.width, room.height / picture.height);
}

/**
 * The size that a guest is asked for, to fill the room.
 * @param {Size} room @returns {Size}
 */
export function guestSize(room) {
  /** @param {number} length @param {number} least */
  const whole = (length, least) => Math.max(least, Math.floor(length / STEP) * STEP);
  return { width: whole(room.width, SMALLEST.width), height: whole(room.height, SMALLEST.height) };
}

const MODIFIERS = /** @type {const} */ ({
  ControlLeft: 'ctrlKey',
  AltLeft: 'altKey',
  ShiftLeft: 'shiftKey',
});

/**
 * The key events of a combination: all down in order, all up in reverse.
 * @param {readonly string[]} codes Physical keys, modifiers first.
 * @returns {{ type: 'keydown' | 'keyup', init: KeyboardEventInit }[]}
 */
export function combination(codes) {
  /** @type {KeyboardEventInit} */
  const held = {};
  /** @param {'keydown' | 'keyup'} type @param {string} code */
  const event = (type, code) => {
    for (const [name, modifier] of Object.entries(MODIFIERS)) {
      if (name === code) held[modifier] = type === 'keydown';
    }
    return { type, init: { ...held, code, cancelable: true } };
  };
  const down = codes.map((code) => event('keydown', code));
  const up = codes.toReversed().map((code) => event('keyup', code));
  return [...down, ...up];
}

export class Screen {
  /** Keys that the guest believes to be held down. @type {Set<string>} */
  #held = new Set();
  #fit = true;
  #settle = 0;
  #stage;
  #frame;
  #screen;
  #on;

  /**
   * @param {{ stage: HTMLElement, frame: HTMLElement, screen: HTMLElement }} parts
   * @param {{ leave: () => void, room: (size: Size) => void }} on `leave`: the keyboard is wanted elsewhere on the
   *   page; `room`: the guest may have a picture of this size.
   */
  constructor({ stage, frame, screen }, on) {
    this.#stage = stage;
    this.#frame = frame;
    this.#screen = screen;
    this.#on = on;
    new ResizeObserver(() => this.#layout()).observe(stage);
    new MutationObserver(() => this.#layout()).observe(screen, {
      childList: true,
      subtree: true,
      attributeFilter: ['width', 'height'],
    });
    screen.addEventListener('keydown', (event) => this.#keyDown(event), true);
    screen.addEventListener('keyup', (event) => this.#held.delete(event.code), true);
    // The client gives the keyboard to whatever the mouse is over; here it goes where one clicks.
    for (const type of ['mouseover', 'mouseout']) {
      screen.addEventListener(type, (event) => event.stopPropagation(), true);
    }
    screen.addEventListener('mousedown', () => this.focus(), true);
    screen.addEventListener('focusout', () => this.releaseKeys());
    window.addEventListener('blur', () => this.releaseKeys());
  }

  get fit() {
    return this.#fit;
  }

  set fit(wanted) {
    this.#fit = wanted;
    this.#layout();
  }

  /** The room that the picture has. @returns {Size} */
  get room() {
    return { width: this.#stage.clientWidth, height: this.#stage.clientHeight };
  }

  get #canvas() {
    return this.#screen.querySelector('canvas');
  }

  get hasKeyboard() {
    return this.#canvas !== null && document.activeElement === this.#canvas;
  }

  focus() {
    this.#canvas?.focus();
  }

  /** @param {readonly string[]} codes */
  press(codes) {
    for (const { type, init } of combination(codes))
      this.#canvas?.dispatchEvent(new KeyboardEvent(type, init));
  }

  /** Lets go of what is held down: whoever has the keyboard now hears of its end. */
  releaseKeys() {
    for (const code of this.#held) {
      this.#canvas?.dispatchEvent(new KeyboardEvent('keyup', { code, cancelable: true }));
    }
    this.#held.clear();
  }

  /** Removes the picture. */
  clear() {
    this.#held.clear();
    this.#screen.replaceChildren();
  }

  /** @param {KeyboardEvent} event */
  #keyDown(event) {
    if (event.code === 'F12' && event.shiftKey) {
      event.preventDefault();
      event.stopPropagation();
      this.releaseKeys();
      this.#on.leave();
    } else if (event.code !== '') {
      this.#held.add(event.code);
    }
  }

  #layout() {
    const canvas = this.#canvas;
    if (canvas !== null) {
      const picture = { width: canvas.width, height: canvas.height };
      const scale = this.#fit ? scaleToFit(picture, this.room) : 1;
      this.#screen.style.width = `${picture.width}px`;
      this.#screen.style.transform = scale === 1 ? '' : `scale(${scale})`;
      this.#frame.style.width = `${Math.floor(picture.width * scale)}px`;
      this.#frame.style.height = `${Math.floor(picture.height * scale)}px`;
    }
    clearTimeout(this.#settle);
    if (this.#fit) this.#settle = setTimeout(() => this.#on.room(guestSize(this.room)), SETTLE_MS);
  }
}
