import { readFileSync } from 'node:fs';
import { messageOf, VmopError } from '../errors.ts';
import { parseCustomColumns, parseCustomColumnsFile, type CustomColumn } from './custom-columns.ts';
import { parseJsonPathTemplate, type TemplateNode } from './jsonpath-parser.ts';

/** What `-o` asks for. */
export type OutputFormat =
  | { kind: 'table' | 'wide' | 'yaml' | 'name' }
  /** `lines`: each document on a line of its own, for commands that print several. */
  | { kind: 'json'; lines?: boolean }
  | { kind: 'jsonpath'; template: TemplateNode[] }
  | { kind: 'custom-columns'; columns: CustomColumn[] };

const SIMPLE = ['table', 'wide', 'json', 'yaml', 'name'] as const;

/** The values of `-o`, for help and errors. */
export const OUTPUT_FORMATS: readonly string[] = [
  ...SIMPLE,
  'jsonpath=TEMPLATE',
  'jsonpath-file=PATH',
  'custom-columns=SPEC',
  'custom-columns-file=PATH',
];

function readSpec(kind: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VmopError('usage', `cannot read the file of -o ${kind}: ${messageOf(error)}`, { cause: error });
  }
}

function parseParametrized(kind: string, spec: string): OutputFormat | undefined {
  switch (kind) {
    case 'jsonpath':
      return { kind, template: parseJsonPathTemplate(spec) };
    case 'jsonpath-file':
      return { kind: 'jsonpath', template: parseJsonPathTemplate(readSpec(kind, spec)) };
    case 'custom-columns':
      return { kind, columns: parseCustomColumns(spec) };
    case 'custom-columns-file':
      return { kind: 'custom-columns', columns: parseCustomColumnsFile(readSpec(kind, spec)) };
    default:
      return undefined;
  }
}

/** The value of `-o` (`table` when not given); a usage error that lists the choices otherwise. */
export function parseOutputFormat(value: string | undefined): OutputFormat {
  if (value === undefined) return { kind: 'table' };
  const simple = SIMPLE.find((kind) => kind === value);
  if (simple) return { kind: simple };
  const equals = value.indexOf('=');
  const spec = value.slice(equals + 1);
  const format = equals < 0 || spec === '' ? undefined : parseParametrized(value.slice(0, equals), spec);
  if (format) return format;
  throw new VmopError('usage', `unknown output format ${JSON.stringify(value)}`, {
    hint: `use one of ${OUTPUT_FORMATS.join(', ')}`,
  });
}
