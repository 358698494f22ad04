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
  width: number;
  role: Role | undefined;
}

const GAP = '   ';
const MINIMUM = 4;

/** Widths of the columns that hold their headers and cells. */
function measure<Row>(columns: readonly Column<Row>[], rows: readonly Cell[][]): number[] {
  const widths = columns.map(({ header }) => displayWidth(header));
  for (const row of rows) {
    row.forEach(({ width }, index) => {
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

function cellOf(text: string, role: Role | undefined): Cell {
  return { text, width: displayWidth(text), role };
}

function pad({ text, width, role }: Cell, room: number, column: { align?: 'right' }, paint: Paint): string {
  const filling = ' '.repeat(Math.max(0, room - width));
  const painted = role ? paint(role, text) : text;
  return column.align === 'right' ? `${filling}${painted}` : `${painted}${filling}`;
}

/** A table without line ends, its widths decided by the rows it was laid out for. */
export interface TableLayout<Row> {
  header: string;
  /** The rows it was laid out for. */
  lines: string[];
  /** Another row in the same columns; a cell that is too wide shifts the ones after it. */
  line: (row: Row) => string;
}

export function layoutTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { paint = plainPaint, width, clip = false, none = '-' }: TableOptions = {},
): TableLayout<Row> {
  const cellsOf = (row: Row): Cell[] =>
    columns.map((column) => {
      const value = column.value(row);
      const text = value === undefined ? none : sanitize(value);
      return cellOf(text, column.style?.(text, row));
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
      const fitted = cut ? cellOf(truncate(cell.text, room), cell.role) : cell;
      parts.push(pad(fitted, room, column, paint));
    });
    return parts.join(GAP).trimEnd();
  };
  return {
    header: lineOf(columns.map(({ header }) => cellOf(header, 'header'))),
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
  return `${[layout.header, ...layout.lines].join('\n')}\n`;
}
