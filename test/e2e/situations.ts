import { assertDocumented } from '../helpers/document.ts';
import type { CliRun } from '../helpers/cli-process.ts';

/** What differs from run to run. */
const VARYING: [RegExp, string][] = [
  [/\b(127\.0\.0\.1|localhost):\d{4,5}\b/g, '$1:PORT'],
  [/\bport \d{4,5}\b/g, 'port PORT'],
  [/\/(?:tmp|var)\/[\w./-]+\//g, '…/'],
  [/\b\d{4}-\d\d-\d\d \d\d:\d\d(?: UTC)?/g, 'TIME'],
  [/\b\d+(?:\.\d)? s\b(?! *\(attempt)/g, 'N s'],
];

/** Rows of docs/console.md: a situation, and what a person saw in it. */
export class Situations {
  readonly #heading: string;
  readonly #rows = new Map<string, string[]>();

  constructor(heading: string) {
    this.#heading = heading;
  }

  /** What `vmop console` ended with; `subjects`: names of the test's own that stand for the VM. */
  saw(situation: string, { code, stderr }: Pick<CliRun, 'code' | 'stderr'>, vm: string): void {
    const lines = stderr.split('\n');
    const start = lines.findIndex((line) => line.startsWith('error: '));
    const [message = '', hint = ''] = start < 0 ? [] : lines.slice(start);
    const told = start < 0 ? (lines.findLast((line) => line !== '') ?? '') : message.slice('error: '.length);
    const cells = [told, hint.trim()].map((text) => presentable(text, vm));
    this.#rows.set(situation, [situation, ...cells, String(code ?? '')]);
  }

  /** To be called once all have been seen. */
  assertDocumented(command: string): void {
    const columns = ['situation', 'vmop console says', 'and what to do', 'exit'];
    const rows = [...this.#rows.values()].sort(([a = ''], [b = '']) => a.localeCompare(b));
    assertDocumented({ file: 'console.md', heading: this.#heading, columns, command }, rows);
  }
}

function presentable(text: string, vm: string): string {
  const named = text.replaceAll(new RegExp(`\\b${vm}\\b`, 'g'), 'VM');
  return VARYING.reduce((result, [pattern, shown]) => result.replace(pattern, shown), named);
}
