import { VmopError } from '../errors.ts';
import { parseJsonPath, type PathStep } from './jsonpath-parser.ts';
import { evaluatePath, plainText } from './jsonpath.ts';
import type { Plain } from './plain.ts';
import type { Column } from './table.ts';

export interface CustomColumn {
  header: string;
  path: PathStep[];
}

const HINT = { hint: 'for example custom-columns=NAME:.name,STATE:.state' };

/** Splits at commas that are not inside brackets. */
function splitColumns(spec: string): string[] {
  return spec.match(/(?:\[[^\]]*\]|[^,])+/g) ?? [];
}

/** `NAME:.name,STATE:.state`; a usage error when it is not of this form. */
export function parseCustomColumns(spec: string): CustomColumn[] {
  const columns = splitColumns(spec).map((part) => {
    const colon = part.indexOf(':');
    if (colon < 1 || colon === part.length - 1) {
      throw new VmopError('usage', `not a custom column: ${JSON.stringify(part)}`, HINT);
    }
    return { header: part.slice(0, colon).trim(), path: parseJsonPath(part.slice(colon + 1)) };
  });
  if (columns.length === 0) throw new VmopError('usage', 'custom-columns names no column', HINT);
  return columns;
}

/** A file with a line of headers and a line of paths, both separated by spaces. */
export function parseCustomColumnsFile(text: string): CustomColumn[] {
  const [headers = [], paths = []] = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.trim().split(/\s+/));
  if (headers.length === 0 || headers.length !== paths.length) {
    throw new VmopError(
      'usage',
      `the custom columns file names ${headers.length} headers and ${paths.length} paths`,
      { hint: 'write the headers on its first line and as many paths on its second, separated by spaces' },
    );
  }
  return headers.map((header, index) => ({ header, path: parseJsonPath(paths[index] ?? '') }));
}

/** Columns of a table whose rows are plain values; several values of one path are joined by commas. */
export function customTableColumns(columns: readonly CustomColumn[]): Column<Plain>[] {
  return columns.map(({ header, path }) => ({
    header,
    value(row) {
      const values = evaluatePath(path, row, row).filter((value) => value !== null);
      return values.length === 0 ? undefined : values.map(plainText).join(',');
    },
  }));
}
