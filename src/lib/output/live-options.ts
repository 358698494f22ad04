import { customTableColumns } from './custom-columns.ts';
import type { OutputFormat } from './format.ts';
import { toPlain } from './plain.ts';
import { viewColumns, type RenderTarget, type View } from './render.ts';
import type { Column } from './table.ts';

/** Lines that are rewritten in place. */
export interface LiveRegion {
  invalidate(): void;
  end(last: 'keep' | 'clear'): void;
}

/** Where a live view goes; a `Terminal` is one. */
export interface LiveTarget extends RenderTarget {
  out(text: string): Promise<void>;
  region(frame: (size: { columns: number; rows: number }) => string[]): LiveRegion;
}

export interface LiveOptions<Row> {
  format: OutputFormat;
  view: View<Row>;
  target: LiveTarget;
  /** Tells rows apart. */
  key: (row: Row) => string;
  /** Order on the screen; without it new rows come last. */
  compare?: ((a: Row, b: Row) => number) | undefined;
  /** What is printed for a row that went away, where changes are appended; without it nothing is. */
  gone?: ((row: Row) => Row) | undefined;
}

/**
 * Rows that change. On a terminal the table is redrawn in place; elsewhere, and in the formats for machines, each
 * change is appended: a row of the table, a line of JSON, a YAML document. A change that does not show prints nothing.
 * The promises resolve when the text is written and reject as `Terminal.out` does.
 */
export interface LiveView<Row> {
  /** All rows there are: adds, changes and removes. */
  update(rows: readonly Row[]): Promise<void>;
  upsert(row: Row): Promise<void>;
  remove(key: string): Promise<void>;
  /** Leaves the last state on the screen and gives the cursor back. Safe to call twice. */
  end(): void;
}

/** Whether the format is a table for people. */
export function isTable(format: OutputFormat): boolean {
  return format.kind === 'table' || format.kind === 'wide' || format.kind === 'custom-columns';
}

/** Custom columns look at the plain form of a row. */
export function columnsOf<Row>(
  format: OutputFormat,
  view: View<Row>,
): { columns: Column<Row>[]; none: string } {
  if (format.kind !== 'custom-columns') return { columns: [...viewColumns(format, view)], none: '-' };
  const columns = customTableColumns(format.columns).map((column) => ({
    header: column.header,
    value: (row: Row) => column.value(toPlain(row)),
  }));
  return { columns, none: '<none>' };
}
