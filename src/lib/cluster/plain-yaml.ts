interface Line {
  /** Column of the text, counted from 0. */
  column: number;
  text: string;
}

/** Thrown inside only: this is YAML for a whole parser. */
class NotPlain extends Error {}

/** Begins with a letter, so that it is no number, and holds nothing that could be a mark. */
const PLAIN = /^(?:-{0,2}[A-Za-z]|\/)[\w./+=@:-]*(?<!:)$/;
const KEY = /^([A-Za-z][\w.-]*):(?: (.+))?$/;
const WORDS = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
  ['{}', {}],
  ['[]', []],
]);
/** What some parser takes for something else than a string. */
const AMBIGUOUS = /^(?:true|false|null|yes|no|on|off|y|n)$/i;

/**
 * Reads the YAML that kubectl, vmop and the tools of clusters write: maps and lists in block style with scalars of one
 * line. Undefined for anything else, or for what may be wrong: a whole parser is to decide, which takes longer to load
 * than everything else that reads a kubeconfig.
 */
export function readPlainYaml(text: string): unknown {
  try {
    const lines = linesOf(text);
    const end = { at: 0 };
    const value = block(lines, end, 0);
    return end.at === lines.length ? value : undefined;
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  }
}

function linesOf(text: string): Line[] {
  // No tabs and no other kinds of space.
  if (/[^\n -~]/.test(text)) throw new NotPlain();
  return text.split('\n').flatMap((line) => {
    const trimmed = line.trim();
    return trimmed === '' || trimmed.startsWith('#')
      ? []
      : [{ column: line.indexOf(trimmed), text: trimmed }];
  });
}

/** A map or a list whose lines begin in `column`, from the line `next.at` on; moves `next` behind it. */
function block(lines: Line[], next: { at: number }, column: number): unknown {
  return lines[next.at]?.text.startsWith('- ') ? list(lines, next, column) : map(lines, next, column);
}

function list(lines: Line[], next: { at: number }, column: number): unknown[] {
  const items: unknown[] = [];
  for (
    let line = lines[next.at];
    line?.column === column && line.text.startsWith('- ');
    line = lines[next.at]
  ) {
    const text = line.text.slice(2).trimStart();
    const inner = column + line.text.length - text.length;
    if (KEY.test(text) || text.startsWith('- ')) {
      // The item begins in this line, behind its dash.
      lines[next.at] = { column: inner, text };
      items.push(block(lines, next, inner));
    } else {
      next.at += 1;
      items.push(scalar(text));
    }
  }
  return items;
}

function map(lines: Line[], next: { at: number }, column: number): Record<string, unknown> {
  const entries = new Map<string, unknown>();
  for (let line = lines[next.at]; line?.column === column; line = lines[next.at]) {
    // A list may begin in the column of the key above it, and so end in the column of the key below it.
    const [, key, value] = KEY.exec(line.text) ?? [];
    if (key === undefined || AMBIGUOUS.test(key) || entries.has(key)) throw new NotPlain();
    next.at += 1;
    entries.set(key, value === undefined ? valueBelow(lines, next, column) : scalar(value));
  }
  if (entries.size === 0) throw new NotPlain();
  return Object.fromEntries(entries);
}

/** The value of a key that has none in its own line. */
function valueBelow(lines: Line[], next: { at: number }, column: number): unknown {
  const below = lines[next.at];
  if (below === undefined) return null;
  if (below.column > column) return block(lines, next, below.column);
  return below.column === column && below.text.startsWith('- ') ? list(lines, next, column) : null;
}

function scalar(text: string): unknown {
  const word = WORDS.get(text);
  if (word !== undefined) return typeof word === 'object' ? structuredClone(word) : word;
  if (PLAIN.test(text) && !AMBIGUOUS.test(text)) return text;
  if (/^'(?:[^']|'')*'$/.test(text)) return text.slice(1, -1).replaceAll("''", "'");
  if (/^"(?:[^"\\]|\\["\\/bfnrt])*"$/.test(text)) return JSON.parse(text);
  throw new NotPlain();
}
