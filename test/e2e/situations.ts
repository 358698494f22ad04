import assert from 'node:assert/strict';
import type { VmopError } from '../../src/lib/errors.ts';
import { assertDocumented } from '../helpers/document.ts';
import type { CliRun } from '../helpers/cli-process.ts';

/** What differs from run to run. */
const VARYING: [RegExp, string][] = [
  [/\b(127\.0\.0\.\d+|localhost):\d{2,5}\b/g, '$1:PORT'],
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

  /**
   * What `vmop console` ended with, or the line that matches `said` where it told something else. `vm`: the name of the
   * test's own that stands for the VM.
   */
  saw(
    situation: string,
    { code, stderr }: Pick<CliRun, 'code' | 'stderr'>,
    vm: string,
    said = /^error: /,
  ): void {
    const lines = stderr.split('\n');
    const at = lines.findIndex((line) => said.test(line));
    assert.ok(at >= 0 || said.source === '^error: ', `no ${said}: ${stderr}`);
    const message = at < 0 ? (lines.findLast((line) => line !== '') ?? '') : (lines[at] ?? '');
    const hint = at >= 0 && lines[at + 1]?.startsWith('  ') ? (lines[at + 1] ?? '') : '';
    this.#add(situation, [message.replace(/^(?:error|warning): /, ''), hint.trim()], vm, code);
  }

  /** An error that a whole `vmop console` would end with. */
  sawError(situation: string, { message, hint = '', exitCode }: VmopError, vm: string): void {
    this.#add(situation, [message, hint], vm, exitCode);
  }

  #add(situation: string, texts: string[], vm: string, code: number | null): void {
    this.#rows.set(situation, [situation, ...texts.map((text) => presentable(text, vm)), String(code ?? '')]);
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
