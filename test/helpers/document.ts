import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const DOCS = path.join(import.meta.dirname, '../../docs');

/** A table below a heading of its own in a file of docs, kept as the tests that make its rows have it. */
export interface DocumentTable {
  /** Below docs. */
  file: string;
  /** Its heading, without the marks. */
  heading: string;
  columns: readonly string[];
  /** What `UPDATE_GOLDEN=1` has to be put in front of. */
  command: string;
}

/** Fails when the table is another one; with `UPDATE_GOLDEN=1` it is written. Sections stand in their headings' order. */
export function assertDocumented(
  { file, heading, columns, command }: DocumentTable,
  rows: readonly (readonly string[])[],
): void {
  const document = path.join(DOCS, file);
  const [head = '', ...sections] = readFileSync(document, 'utf8').split(/^(?=## )/m);
  const section = sections.find((one) => one.startsWith(`## ${heading}\n`));
  if (process.env['UPDATE_GOLDEN']) {
    const others = sections.filter((one) => one !== section).map((one) => `${one.trimEnd()}\n`);
    const all = [...others, sectionText(heading, columns, rows)].sort((a, b) => a.localeCompare(b));
    writeFileSync(document, [`${head.trimEnd()}\n`, ...all].join('\n'));
    return;
  }
  const told = (section ?? '')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2)
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('\\|', '|')),
    );
  assert.deepEqual(told, rows, `UPDATE_GOLDEN=1 ${command} writes docs/${file}`);
}

function sectionText(
  heading: string,
  columns: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const all = [columns, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = columns.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[], fill = ' '): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0, fill)).join(' | ')} |`;
  const [header = [], ...body] = all;
  const rule = line(
    columns.map(() => '-'),
    '-',
  );
  return [`## ${heading}\n`, line(header), rule, ...body.map((row) => line(row)), ''].join('\n');
}
