/** Text as a terminal shows it: what may be sent, how wide it is, and the roles that become colours. */

/** What a piece of text means; `src/lib/io` turns roles into colours where the stream takes them. */
export type Role = 'good' | 'bad' | 'warn' | 'dim' | 'bold' | 'header';

/** Gives text the looks of a role; returns it unchanged where there is no colour. */
export type Paint = (role: Role, text: string) => string;

export const plainPaint: Paint = (_role, text) => text;

/** Control characters (C0, DEL, C1), line separators, and the marks that override the direction of writing. */
const UNSAFE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

const NAMED: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function visible(character: string): string {
  const code = character.charCodeAt(0);
  const named = NAMED[character];
  if (named !== undefined) return named;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
}

/** Shows what a terminal would act upon (`\x1b`, `\n`, `\u202e`) instead of sending it. For text within one line. */
export function sanitize(text: string): string {
  return text.replace(UNSAFE, visible);
}

/** As `sanitize`, but line ends and tabs stay: for text of several lines. */
export function sanitizeLines(text: string): string {
  return text.replace(UNSAFE, (character) =>
    character === '\n' || character === '\t' ? character : visible(character),
  );
}

/** Writes the same characters as `\uXXXX`, which JSON and double-quoted YAML read back as they were. */
export function escapeUnsafe(text: string): string {
  return text.replace(UNSAFE, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Whether `sanitize` would change anything. */
export function isUnsafe(text: string): boolean {
  return text.search(UNSAFE) >= 0;
}

const ASCII = /^[ -~]*$/;
/** What may join its neighbours to one character: marks, joiners, emoji, Hangul letters. */
const JOINING = /[\p{M}\p{Cf}\p{Emoji_Presentation}\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7fb]/u;
const NOTHING_TO_SEE = /^[\p{M}\p{Cf}]+$/u;
const EMOJI = /\p{Emoji_Presentation}|\ufe0f/u;
/** East Asian Wide and Fullwidth (Unicode Standard Annex 11), in blocks. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{17000}-\u{18cff}\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]/u;

let segmenter: Intl.Segmenter | undefined;

function graphemes(text: string): string[] {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

function graphemeWidth(grapheme: string): 0 | 1 | 2 {
  if (ASCII.test(grapheme)) return 1;
  if (NOTHING_TO_SEE.test(grapheme)) return 0;
  return WIDE.test(grapheme) || EMOJI.test(grapheme) ? 2 : 1;
}

/** Columns that a terminal needs for sanitized, unpainted text. */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const part of JOINING.test(text) ? graphemes(text) : text) width += graphemeWidth(part);
  return width;
}

/** The text in at most `columns` columns; what does not fit is replaced by `…`. For sanitized, unpainted text. */
export function truncate(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns < 1) return '';
  let kept = '';
  let width = 0;
  for (const grapheme of graphemes(text)) {
    width += graphemeWidth(grapheme);
    if (width > columns - 1) break;
    kept += grapheme;
  }
  return `${kept}…`;
}
