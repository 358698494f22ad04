import { sanitize, truncate, type Paint, type Role } from '../text.ts';
import type { Region, ScreenSize } from './region.ts';

/** What happens right now. Ends with `done`; calls after that do nothing. */
export interface Progress {
  /** The step that begins now; replaces the one before on a terminal, is a line of its own elsewhere. */
  step(text: string): void;
  /** One of several things under way at once, named by `key`. */
  row(key: string, text: string, role?: Role): void;
  /** Takes the moving lines away and leaves `text`, if any, as a line. */
  done(text?: string): void;
}

interface ProgressRow {
  text: string;
  role: Role | undefined;
}

const SPINNER = ['-', '\\', '|', '/'];
const TURN_MS = 125;

export interface ProgressState {
  step: string;
  rows: ReadonlyMap<string, ProgressRow>;
  turn: number;
}

/** The moving lines: the rows, as many as fit, and the step last. */
function progressFrame(state: ProgressState, { columns, rows }: ScreenSize, paint: Paint): string[] {
  const spinner = SPINNER[state.turn % SPINNER.length] ?? '';
  const entries = [...state.rows];
  const room = Math.max(1, rows - 3);
  const shown = entries.length > room ? entries.slice(-room) : entries;
  const lines = shown.map(([key, { text, role }]) => {
    const line = truncate(sanitize(`${key}: ${text}`), columns);
    return role ? paint(role, line) : line;
  });
  if (shown.length < entries.length) {
    lines.unshift(paint('dim', truncate(`… and ${entries.length - shown.length} more`, columns)));
  }
  if (state.step !== '') lines.push(truncate(`${spinner} ${sanitize(state.step)}`, columns));
  return lines;
}

export interface ProgressLines {
  /** Writes one line, whatever else is on the screen. */
  line: (text: string, role?: Role) => void;
  /** Nothing is shown. */
  quiet: boolean;
}

/** For anything but a terminal: a line per change. */
export function createPlainProgress({ line, quiet }: ProgressLines): Progress {
  const said = new Map<string, string>();
  let step = '';
  let ended = false;
  return {
    step(text) {
      if (ended || quiet || text === step) return;
      step = text;
      line(text);
    },
    row(key, text, role) {
      if (ended || quiet || said.get(key) === text) return;
      said.set(key, text);
      line(`${key}: ${text}`, role);
    },
    done(text) {
      if (!ended && !quiet && text !== undefined) line(text, 'good');
      ended = true;
    },
  };
}

/** For a terminal: lines that move. `open` puts a region on the screen that draws what it is given. */
export function createMovingProgress(
  { line }: ProgressLines,
  paint: Paint,
  open: (frame: (size: ScreenSize) => string[]) => Region,
): Progress {
  const rows = new Map<string, ProgressRow>();
  const state = { step: '', rows, turn: 0 };
  const region = open((size) => progressFrame(state, size, paint));
  const timer = setInterval(() => {
    state.turn += 1;
    region.invalidate();
  }, TURN_MS);
  timer.unref();
  let ended = false;
  return {
    step(text) {
      if (ended) return;
      state.step = text;
      region.invalidate();
    },
    row(key, text, role) {
      if (ended) return;
      rows.set(key, { text, role });
      region.invalidate();
    },
    done(text) {
      if (ended) return;
      ended = true;
      clearInterval(timer);
      region.end('clear');
      if (text !== undefined) line(text, 'good');
    },
  };
}
