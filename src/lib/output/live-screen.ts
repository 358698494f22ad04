import { truncate } from '../text.ts';
import { columnsOf, type LiveOptions, type LiveRegion, type LiveView } from './live-options.ts';
import type { RenderTarget } from './render.ts';
import { layoutTable, type Column } from './table.ts';

/** Ages move on even when nothing changes. */
const REFRESH_MS = 1000;

/** The table as far as it fits on a screen, each line within its width. */
function liveFrame<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  size: { columns: number; rows: number },
  options: { paint: RenderTarget['paint']; none: string },
): string[] {
  const room = Math.max(1, size.rows - 2);
  const shown = rows.length > room ? rows.slice(0, Math.max(0, room - 1)) : rows;
  const table = layoutTable(columns, shown, { ...options, width: size.columns, clip: true });
  const lines = [table.header, ...table.lines];
  if (shown.length < rows.length) {
    lines.push(options.paint('dim', truncate(`… and ${rows.length - shown.length} more`, size.columns)));
  }
  return lines;
}

/** A table that is redrawn in place. */
export function createScreenView<Row>({
  format,
  view,
  target,
  key,
  compare,
}: LiveOptions<Row>): LiveView<Row> {
  const { columns, none } = columnsOf(format, view);
  const rows = new Map<string, Row>();
  const sorted = (): Row[] => (compare ? [...rows.values()].sort(compare) : [...rows.values()]);
  let region: LiveRegion | undefined;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const changed = async (): Promise<void> => {
    if (ended) return;
    if (!region) {
      region = target.region((size) => liveFrame(columns, sorted(), size, { paint: target.paint, none }));
      timer = setInterval(() => region?.invalidate(), REFRESH_MS);
      timer.unref();
    }
    region.invalidate();
  };
  return {
    update(all) {
      rows.clear();
      for (const row of all) rows.set(key(row), row);
      return changed();
    },
    upsert(row) {
      rows.set(key(row), row);
      return changed();
    },
    remove(name) {
      rows.delete(name);
      return changed();
    },
    end() {
      ended = true;
      clearInterval(timer);
      region?.end('keep');
    },
  };
}
