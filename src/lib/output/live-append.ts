import { fillJsonPathTemplate } from './jsonpath.ts';
import { renderJsonLine } from './json.ts';
import { columnsOf, isTable, type LiveOptions, type LiveView } from './live-options.ts';
import { toPlain } from './plain.ts';
import { finishJsonPath, nameLine } from './render.ts';
import { layoutTable, type TableLayout } from './table.ts';
import { renderYaml } from './yaml.ts';

/** The text of one row; `prepare` sees the rows that come next and gives what stands before the first of all. */
interface RowWriter<Row> {
  prepare(rows: readonly Row[]): string;
  text(row: Row): Promise<string>;
}

function tableWriter<Row>({ format, view, target }: LiveOptions<Row>): RowWriter<Row> {
  const { columns, none } = columnsOf(format, view);
  const layoutOf = (rows: readonly Row[]): TableLayout<Row> =>
    layoutTable(columns, rows, { paint: target.paint, none });
  let layout: TableLayout<Row> | undefined;
  return {
    prepare(rows) {
      if (layout) return '';
      layout = layoutOf(rows);
      return `${layout.header}\n`;
    },
    text: async (row) => `${(layout ?? layoutOf([row])).line(row)}\n`,
  };
}

function documentWriter<Row>({ format, view, target }: LiveOptions<Row>): RowWriter<Row> {
  return {
    prepare: () => '',
    async text(row) {
      switch (format.kind) {
        case 'yaml':
          return `---\n${await renderYaml(row)}`;
        case 'name':
          return nameLine(view.name(row));
        case 'jsonpath':
          return finishJsonPath(fillJsonPathTemplate(format.template, toPlain(row)), target);
        default:
          return renderJsonLine(row);
      }
    },
  };
}

/** A row or a document per change. */
export function createAppendingView<Row>(options: LiveOptions<Row>): LiveView<Row> {
  const { target, key, gone } = options;
  const writer = isTable(options.format) ? tableWriter(options) : documentWriter(options);
  const rows = new Map<string, Row>();
  const shown = new Map<string, string>();
  let last: Promise<void> = Promise.resolve();

  const write = async (changed: readonly Row[]): Promise<void> => {
    if (changed.length === 0) return;
    let text = writer.prepare(changed);
    for (const row of changed) {
      const rowText = await writer.text(row);
      if (shown.get(key(row)) !== rowText) text += rowText;
      shown.set(key(row), rowText);
    }
    if (text !== '') await target.out(text);
  };
  /** One write after the other, in the order of the calls. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };
  const upsertAll = (changed: readonly Row[]): Promise<void> => {
    for (const row of changed) rows.set(key(row), row);
    return write(changed);
  };
  const removeOne = async (name: string): Promise<void> => {
    const row = rows.get(name);
    rows.delete(name);
    if (row !== undefined && gone) await write([gone(row)]);
    shown.delete(name);
  };
  return {
    update: (all) =>
      inTurn(async () => {
        const names = new Set(all.map(key));
        for (const name of rows.keys()) if (!names.has(name)) await removeOne(name);
        await upsertAll(all);
      }),
    upsert: (row) => inTurn(() => upsertAll([row])),
    remove: (name) => inTurn(() => removeOne(name)),
    end: () => undefined,
  };
}
