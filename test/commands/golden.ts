import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const FOLDER = path.join(import.meta.dirname, '../golden');

/** What differs from run to run: times, ages, ports, the password's serial. */
const VARIABLE: [RegExp, string][] = [
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, '<time>'],
  [/([ (]) *\d+s\b/g, '$1<age>'],
  [/127\.0\.0\.1:\d+/g, '<server>'],
  [/("?serial"?: )\d+/g, '$1<serial>'],
];

/**
 * Compares an output that scripts depend on with test/golden/`file`, whole. `UPDATE_GOLDEN=1` writes the file instead:
 * look at the difference before you commit it. `variable` differs from run to run.
 */
export function assertGolden(file: string, output: string, variable = VARIABLE): void {
  const text = variable.reduce((all, [pattern, name]) => all.replaceAll(pattern, name), output);
  const place = path.join(FOLDER, file);
  if (process.env['UPDATE_GOLDEN']) {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(place, text);
  }
  assert.equal(text, readFileSync(place, 'utf8'), `test/golden/${file}; UPDATE_GOLDEN=1 accepts what is new`);
}
