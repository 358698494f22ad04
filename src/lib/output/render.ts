import { sanitize, sanitizeLines, type Paint } from '../text.ts';
import { customTableColumns } from './custom-columns.ts';
import type { OutputFormat } from './format.ts';
import { fillJsonPathTemplate } from './jsonpath.ts';
import { renderJson, renderJsonLine } from './json.ts';
import { toPlain } from './plain.ts';
import { renderTable, type Column } from './table.ts';
import { renderYaml } from './yaml.ts';

/** How one kind of result looks to a person. */
export interface View<Row> {
  columns: readonly Column<Row>[];
  /** Stand after `columns` with `-o wide`. */
  wideColumns?: readonly Column<Row>[];
  /** What `-o name` prints; undefined: the row is not for other commands. */
  name(row: Row): string | undefined;
}

/** How a result looks to a person that is no table. */
export interface TextView<Row> {
  /** Whole lines, with their ends; what is not from here is sanitized. */
  text(row: Row): string;
  /** What `-o name` prints; undefined: it is not for other commands. */
  name(row: Row): string | undefined;
}

/** Where the text goes; a `Terminal` is one. */
export interface RenderTarget {
  readonly isScreen: boolean;
  readonly columns: number | undefined;
  readonly paint: Paint;
}

export function viewColumns<Row>(format: OutputFormat, view: View<Row>): readonly Column<Row>[] {
  return format.kind === 'wide' ? [...view.columns, ...(view.wideColumns ?? [])] : view.columns;
}

/** On a terminal control characters are shown and the prompt gets a line of its own; elsewhere the text stays as it is. */
export function finishJsonPath(text: string, { isScreen }: { isScreen: boolean }): string {
  if (!isScreen || text === '') return text;
  return text.endsWith('\n') ? sanitizeLines(text) : `${sanitizeLines(text)}\n`;
}

/** The text for stdout of one result or of a list of them; empty for the table of an empty list. */
export async function render<Row>(
  format: OutputFormat,
  data: Row | readonly Row[],
  view: View<Row> | TextView<Row>,
  target: RenderTarget,
): Promise<string> {
  const rows: readonly Row[] = isList(data) ? data : [data];
  const table = { paint: target.paint, width: target.columns };
  switch (format.kind) {
    case 'table':
    case 'wide':
      return 'text' in view
        ? rows.map((row) => view.text(row)).join('')
        : renderTable(viewColumns(format, view), rows, table);
    case 'json':
      return format.lines ? renderJsonLine(data) : renderJson(data);
    case 'yaml':
      return renderYaml(data);
    case 'name':
      return rows.map((row) => nameLine(view.name(row))).join('');
    case 'jsonpath':
      return finishJsonPath(fillJsonPathTemplate(format.template, toPlain(data)), target);
    default:
      return renderTable(
        customTableColumns(format.columns),
        rows.map((row) => toPlain(row)),
        { ...table, none: '<none>' },
      );
  }
}

function isList<Row>(data: Row | readonly Row[]): data is readonly Row[] {
  return Array.isArray(data);
}

export function nameLine(name: string | undefined): string {
  return name === undefined ? '' : `${sanitize(name)}\n`;
}
