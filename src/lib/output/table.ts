import { displayWidth, plainPaint, sanitize, truncate, type Paint, type Role } from '../text.ts';

export interface Column<Row> {
  header: string;
  /** Any text: it is sanitized here. `undefined` shows as the table's `none`. */
  value(row: Row): string | undefined;
  align?: 'right';
  /** Gives up its width first on a narrow terminal; without any such column the last one does. */
  flexible?: boolean;
  /** What the cell means, as a colour. */
  style?(cell: string, row: Row): Role | undefined;
}

export interface TableOptions {
  /** Colours; none by default. */
  paint?: Paint | undefined;
  /** Width of the terminal; leave out elsewhere, where nothing is ever cut. */
  width?: number | undefined;
  /** Every line fits in `width`, if need be without the last columns. */
  clip?: boolean;
  /** Shown for an undefined value; `-` by default. */
  none?: string;
}

interface Cell {
  text: string;
  role: Role | undefined;
}

const GAP = '   ';
const MINIMUM = 4;

/** Widths of the columns that hold their headers and cells. */
function measure<Row>(columns: readonly Column<Row>[], rows: readonly Cell[][]): number[] {
  const widths = columns.map(({ header }) => displayWidth(header));
  for (const row of rows) {
    row.forEach(({ text }, index) => {
      const width = displayWidth(text);
      if (width > (widths[index] ?? 0)) widths[index] = width;
    });
  }
  return widths;
}

function totalWidth(widths: readonly number[]): number {
  const shown = widths.filter((width) => width > 0);
  return shown.reduce((sum, width) => sum + width, 0) + GAP.length * Math.max(0, shown.length - 1);
}

/** Narrows the flexible column; with `clip` the last columns too, down to 0, which leaves them out. */
function fit<Row>(columns: readonly Column<Row>[], widths: number[], limit: number, clip: boolean): number[] {
  const fitted = [...widths];
  const flexible = columns.findLastIndex((column) => column.flexible);
  const first = flexible < 0 ? columns.length - 1 : flexible;
  const narrow = (index: number, minimum: number): void => {
    const over = totalWidth(fitted) - limit;
    const width = fitted[index] ?? 0;
    if (over > 0) fitted[index] = Math.max(Math.min(width, minimum), width - over);
  };
  narrow(first, Math.max(MINIMUM, displayWidth(columns[first]?.header ?? '')));
  if (clip) for (let index = columns.length - 1; index >= 0; index -= 1) narrow(index, 0);
  return fitted;
}

function pad({ text, role }: Cell, width: number, column: { align?: 'right' }, paint: Paint): string {
  const filling = ' '.repeat(Math.max(0, width - displayWidth(text)));
  const painted = role ? paint(role, text) : text;
  return column.align === 'right' ? `${filling}${painted}` : `${painted}${filling}`;
}

/** A table whose widths were decided once, from its first rows. */
export interface TableLayout<Row> {
  header(): string;
  line(row: Row): string;
}

export function layoutTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { paint = plainPaint, width, clip = false, none = '-' }: TableOptions = {},
): TableLayout<Row> & { lines: string[] } {
  const cellsOf = (row: Row): Cell[] =>
    columns.map((column) => {
      const value = column.value(row);
      const text = value === undefined ? none : sanitize(value);
      return { text, role: column.style?.(text, row) };
    });
  const all = rows.map((row) => cellsOf(row));
  const natural = measure(columns, all);
  const cut = width !== undefined && totalWidth(natural) > width;
  const widths = cut ? fit(columns, natural, width, clip) : natural;
  const lineOf = (cells: readonly Cell[]): string => {
    const parts: string[] = [];
    columns.forEach((column, index) => {
      const cell = cells[index];
      const room = widths[index] ?? 0;
      if (!cell || room === 0) return;
      const text = cut ? truncate(cell.text, room) : cell.text;
      parts.push(pad({ text, role: cell.role }, room, column, paint));
    });
    return parts.join(GAP).trimEnd();
  };
  return {
    header: () => lineOf(columns.map(({ header }) => ({ text: header, role: 'header' }))),
    line: (row) => lineOf(cellsOf(row)),
    lines: all.map(lineOf),
  };
}

/** The table with its header, each line ended; nothing at all without rows. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: TableOptions = {},
): string {
  if (rows.length === 0) return '';
  const layout = layoutTable(columns, rows, options);
  return `${[layout.header(), ...layout.lines].join('\n')}\n`;
}
