import { displayWidth } from '../../../src/lib/text.ts';

interface Cell {
  text: string;
  /** 2 for a wide character; its right half is a cell of width 0. */
  width: number;
}

interface Line {
  cells: Cell[];
  /** Goes on in the next row. */
  wrapped: boolean;
}

const CONTROL = /\p{Cc}(?:\[(\??[\d;]*)([A-Za-z]))?/u;

/**
 * As much of a terminal as this program uses: cursor moves, clearing, wrapping, scrolling, and rewrapping when it gets
 * narrower, as most terminals do. Anything else it is sent fails the test.
 */
export class FakeScreen {
  columns: number;
  rows: number;
  cursorVisible = true;
  /** Rows above the screen and on it. */
  #lines: Line[] = [{ cells: [], wrapped: false }];
  #row = 0;
  #column = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  /** What stands on the screen, without the spaces and the empty rows at the end. */
  get text(): string {
    return this.#textFrom(this.#top());
  }

  /** The same with what has scrolled away above it. */
  get textWithScrollback(): string {
    return this.#textFrom(0);
  }

  #textFrom(first: number): string {
    const lines = this.#lines.slice(first).map(({ cells }) =>
      cells
        .map(({ text }) => text)
        .join('')
        .trimEnd(),
    );
    return lines.join('\n').trimEnd();
  }

  #top(): number {
    return Math.max(0, this.#lines.length - this.rows);
  }

  #line(): Line {
    const line = this.#lines[this.#row];
    if (!line) throw new Error('the cursor has left the screen');
    return line;
  }

  write(text: string): void {
    let rest = text;
    while (rest !== '') {
      const control = CONTROL.exec(rest);
      this.#print(rest.slice(0, control?.index ?? rest.length));
      if (!control) return;
      this.#control(control[0], control[1] ?? '', control[2] ?? '');
      rest = rest.slice(control.index + control[0].length);
    }
  }

  #print(text: string): void {
    for (const { segment } of new Intl.Segmenter().segment(text)) {
      if (/\p{Cc}/u.test(segment)) throw new Error(`sent to the terminal: ${JSON.stringify(segment)}`);
      const width = displayWidth(segment);
      if (this.#column + width > this.columns) {
        this.#line().wrapped = true;
        this.#newline();
        this.#column = 0;
      }
      const { cells } = this.#line();
      while (cells.length < this.#column) cells.push({ text: ' ', width: 1 });
      cells[this.#column] = { text: segment, width };
      if (width === 2) cells[this.#column + 1] = { text: '', width: 0 };
      this.#column += width;
    }
  }

  #newline(): void {
    this.#row += 1;
    if (this.#row === this.#lines.length) this.#lines.push({ cells: [], wrapped: false });
  }

  #control(sequence: string, parameters: string, name: string): void {
    const count = Number(parameters) || 1;
    // Where a full line left the cursor, clearing hits the last character, as in a real terminal.
    const column = Math.min(this.#column, this.columns - 1);
    if (sequence === '\r') this.#column = 0;
    else if (sequence === '\n') {
      this.#newline();
      this.#column = 0;
    } else if (name === 'A') this.#row = Math.max(this.#top(), this.#row - count);
    else if (name === 'B') this.#row = Math.min(this.#lines.length - 1, this.#row + count);
    else if (name === 'C') this.#column = Math.min(this.columns - 1, column + count);
    else if (name === 'D') this.#column = Math.max(0, column - count);
    else if (name === 'G') this.#column = count - 1;
    else if (name === 'K') this.#clearLine(parameters, column);
    else if (name === 'J') {
      this.#clearLine('', column);
      for (const line of this.#lines.slice(this.#row + 1)) {
        line.cells = [];
        line.wrapped = false;
      }
    } else if (parameters === '?25') this.cursorVisible = name === 'h';
    else if (name !== 'm' && sequence !== '\x07') throw new Error(`unknown: ${JSON.stringify(sequence)}`);
  }

  #clearLine(parameters: string, column: number): void {
    const line = this.#line();
    if (parameters === '2') line.cells = [];
    else line.cells.length = Math.min(line.cells.length, column);
    line.wrapped = false;
  }

  /** Breaks every line anew; the cursor stays at the beginning of its line. */
  resize(columns: number, rows: number): void {
    const before = this.#lines;
    const cursor = this.#row;
    this.columns = columns;
    this.rows = rows;
    this.#lines = [];
    let carried: Cell[] = [];
    before.forEach(({ cells, wrapped }, index) => {
      if (index === cursor) this.#row = this.#lines.length;
      carried.push(...cells);
      if (wrapped) return;
      this.#lines.push(...broken(carried, columns));
      carried = [];
    });
    this.#column = 0;
  }
}

function broken(cells: readonly Cell[], columns: number): Line[] {
  const parts: Cell[][] = [[]];
  for (const cell of cells) {
    const part = parts.at(-1) ?? [];
    if (part.length + cell.width > columns) parts.push([cell]);
    else part.push(cell);
  }
  return parts.map((part, index) => ({ cells: part, wrapped: index < parts.length - 1 }));
}
