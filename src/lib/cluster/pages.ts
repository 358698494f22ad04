import { setImmediate as turn } from 'node:timers/promises';
import { isStatus } from './api-error.ts';
import { asArray, asObject, asString, parseJson } from './parse.ts';
import type { Query } from './paths.ts';
import type { JsonObject, Listing } from './types.ts';

/** 500 as kubectl: large enough to be fast, small enough to keep one page's text in memory. */
const PAGE_SIZE = 500;

export interface PageSource<T> {
  /** Asks for one page; resolves to its text. */
  fetch: (query: Query) => Promise<string>;
  /** A page's text as an object; throws when it is none. */
  parsePage: (text: string) => JsonObject;
  parseItem: (item: unknown) => T;
}

/** A list of any length, page by page. */
export async function listPages<T>(source: PageSource<T>): Promise<Listing<T>> {
  try {
    return await readPages(source, PAGE_SIZE);
  } catch (error) {
    if (!isStatus(error, 410)) throw error;
    // The server no longer knows the state that the pages are of: all in one piece, then.
    return await readPages(source, undefined);
  }
}

async function readPages<T>(
  { fetch, parsePage, parseItem }: PageSource<T>,
  limit: number | undefined,
): Promise<Listing<T>> {
  const items: T[] = [];
  let text = await fetch({ limit });
  for (;;) {
    // The next page is under way while this one is parsed: half the time of a large list.
    const token = continueToken(text);
    const next = token === undefined ? undefined : fetch({ limit, continue: token });
    // Its failure is met below, when it is awaited.
    next?.catch(() => {});
    // It leaves in this turn.
    if (next) await turn();
    const list = parsePage(text);
    for (const item of asArray(list['items'])) items.push(parseItem(item));
    if (next === undefined) {
      return { items, resourceVersion: asString(asObject(list['metadata'])['resourceVersion']) ?? '' };
    }
    text = await next;
  }
}

/** The server puts a list's metadata before its items; found there, the page need not be parsed first. */
function continueToken(text: string): string | undefined {
  const head = text.slice(0, 4096);
  const items = head.indexOf('"items"');
  if (items >= 0) {
    const before = head.slice(0, items);
    const found = /"continue"\s*:\s*"([^"\\]*)"/.exec(before);
    if (found) return found[1] || undefined;
    if (before.includes('"metadata"') && !before.includes('"continue"')) return undefined;
  }
  return asString(asObject(asObject(parseJson(text))['metadata'])['continue']) || undefined;
}
