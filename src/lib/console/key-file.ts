import { VmopError } from '../errors.ts';

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Escaped so that GLib's key file reader gives the same text back; no value can add a key of its own. */
function escaped(key: string, value: string): string {
  if (value.includes('\0') || !value.isWellFormed()) {
    throw new VmopError(
      'console',
      `the ${key} holds a NUL or half a character, which no connection file can carry`,
    );
  }
  return value.replace(/[\\\n\r\t]/g, (character) => ESCAPES[character] ?? '').replace(/^ /, '\\s');
}

/** One group of a GLib key file. Booleans are 0 and 1; keys whose value is undefined are left out. */
export function keyFileGroup(
  group: string,
  entries: Record<string, string | number | boolean | undefined>,
): string {
  const lines = Object.entries(entries).flatMap(([key, value]) => {
    if (value === undefined) return [];
    return [`${key}=${typeof value === 'string' ? escaped(key, value) : Number(value)}`];
  });
  return `[${group}]\n${lines.join('\n')}\n`;
}
