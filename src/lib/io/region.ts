import { stripVTControlCharacters } from 'node:util';
import { displayWidth } from '../text.ts';
import type { OutputStream, Runtime } from './runtime.ts';

export interface ScreenSize {
  columns: number;
  rows: number;
}

/** Lines at the bottom of a terminal that are rewritten in place. */
export interface Region {
  /** Draws again soon; many calls become one drawing. */
  invalidate(): void;
  /** Takes the lines away until `show`, so that something else can be written. */
  hide(): void;
  show(): void;
  /** Draws a last time and leaves the lines where they are, or takes them away. */
  end(last: 'keep' | 'clear'): void;
}

/** Shortest time between two drawings, in milliseconds. */
const PAUSE = 100;

const UP = (lines: number): string => (lines > 0 ? `\x1b[${lines}A` : '');
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

function screenSize(stream: OutputStream): ScreenSize {
  return { columns: stream.columns || 80, rows: stream.rows || 24 };
}

/** Lines that a terminal makes of one line after it became narrower and broke it anew. */
function brokenInto(line: string, columns: number): number {
  return Math.max(1, Math.ceil(displayWidth(stripVTControlCharacters(line)) / columns));
}

/**
 * `frame` gives the lines for a size: sanitized, perhaps painted, none wider than `columns`, at most `rows - 1` of
 * them. The cursor rests below the last line and is hidden while there are lines.
 */
export function createRegion(
  stream: OutputStream,
  runtime: Pick<Runtime, 'onExit'>,
  frame: (size: ScreenSize) => string[],
): Region {
  let drawn: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  let pending = false;
  let hidden = false;
  let ended = false;

  const back = (): string => {
    const { columns } = screenSize(stream);
    return `${UP(drawn.reduce((sum, line) => sum + brokenInto(line, columns), 0))}\r`;
  };

  const draw = (): void => {
    const lines = frame(screenSize(stream));
    if (lines.length === drawn.length && lines.every((line, index) => line === drawn[index])) return;
    // Cleared before it is written: clearing after a full line would take its last character.
    const text = lines.map((line) => `${CLEAR_LINE}${line}\n`).join('');
    stream.write(`${HIDE_CURSOR}${back()}${text}${CLEAR_BELOW}`);
    drawn = lines;
  };

  const clear = (): void => {
    if (drawn.length > 0) stream.write(`${back()}${CLEAR_BELOW}${SHOW_CURSOR}`);
    drawn = [];
  };

  const onResize = (): void => {
    if (hidden) return;
    clear();
    draw();
  };

  const pause = (): void => {
    timer = setTimeout(() => {
      timer = undefined;
      if (pending && !hidden) {
        pending = false;
        draw();
        pause();
      }
    }, PAUSE);
    timer.unref();
  };

  stream.on('resize', onResize);
  const removeExit = runtime.onExit(() => void stream.write(SHOW_CURSOR));
  return {
    invalidate() {
      if (ended) return;
      if (hidden || timer) {
        pending = true;
        return;
      }
      draw();
      pause();
    },
    hide() {
      if (hidden || ended) return;
      hidden = true;
      clear();
    },
    show() {
      if (!hidden || ended) return;
      hidden = false;
      draw();
    },
    end(last) {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      stream.off('resize', onResize);
      if (last === 'clear') clear();
      else draw();
      // Where a typed Ctrl-C was echoed below the lines, it goes.
      stream.write(`${drawn.length > 0 ? `\r${CLEAR_LINE}` : ''}${SHOW_CURSOR}`);
      removeExit();
    },
  };
}
