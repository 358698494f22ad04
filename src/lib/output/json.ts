import { escapeUnsafe } from '../text.ts';
import { toPlain } from './plain.ts';

/** JSON with two spaces and a line end. What a terminal would act upon is written as `\uXXXX`. */
export function renderJson(data: unknown): string {
  return `${escapeUnsafe(JSON.stringify(toPlain(data), undefined, 2))}\n`;
}

/** One document on one line. */
export function renderJsonLine(data: unknown): string {
  return `${escapeUnsafe(JSON.stringify(toPlain(data)))}\n`;
}
