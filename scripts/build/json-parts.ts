import { readFileSync } from 'node:fs';
import type { Plugin } from 'rolldown';

/** Parts shorter than this are written where they stand. */
const MIN_LENGTH = 60;

/**
 * Equal parts of a JSON file become one object: oclif.manifest.json repeats the flags that all commands have, and
 * making two hundred copies of them took a fiftieth of the time of `vmop list`.
 */
export function jsonParts(): Plugin {
  return {
    name: 'json-parts',
    load(id) {
      if (!id.endsWith('.json')) return undefined;
      const value: unknown = JSON.parse(readFileSync(id, 'utf8'));
      return { moduleType: 'js', code: jsonModule(value) };
    },
  };
}

/** A module whose default export is `value`. */
export function jsonModule(value: unknown): string {
  const uses = new Map<string, number>();
  const count = (part: unknown): void => {
    if (typeof part !== 'object' || part === null) return;
    const text = JSON.stringify(part);
    const seen = uses.get(text) ?? 0;
    uses.set(text, seen + 1);
    // What is inside of an equal part needs no place of its own.
    if (seen === 0) Object.values(part).forEach(count);
  };
  count(value);

  const names = new Map<string, string>();
  const lines: string[] = [];
  const write = (part: unknown): string => {
    if (typeof part !== 'object' || part === null) return JSON.stringify(part);
    const text = JSON.stringify(part);
    const known = names.get(text);
    if (known !== undefined) return known;
    const code = Array.isArray(part)
      ? `[${part.map(write).join(', ')}]`
      : `{ ${Object.entries(part)
          .map(([key, entry]) => `${JSON.stringify(key)}: ${write(entry)}`)
          .join(', ')} }`;
    if (text.length < MIN_LENGTH || (uses.get(text) ?? 0) < 2) return code;
    const name = `part${names.size}`;
    names.set(text, name);
    lines.push(`const ${name} = ${code};`);
    return name;
  };
  const whole = write(value);
  return [...lines, `export default ${whole};`].join('\n');
}
