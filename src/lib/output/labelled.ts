import { sanitize } from '../text.ts';

/** A line of a text about one thing; the label is empty where the line goes on with the one before. */
export interface LabelledLine {
  label: string;
  text: string;
}

/** One line per text, of which the first has the label. */
export function labelledLines(label: string, texts: readonly string[]): LabelledLine[] {
  return texts.map((text, index) => ({ label: index === 0 ? label : '', text }));
}

/** Labels in a column, texts in the next; control characters are shown. */
export function labelledText(lines: readonly LabelledLine[]): string {
  const width = Math.max(...lines.map(({ label }) => label.length)) + 2;
  return lines
    .map(({ label, text }) => `${(label === '' ? '' : `${label}:`).padEnd(width)}${sanitize(text)}\n`)
    .join('');
}
