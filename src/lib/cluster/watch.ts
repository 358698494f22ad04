import { StringDecoder } from 'node:string_decoder';
import { messageOf } from '../errors.ts';
import { ApiError, isStatus, parseStatusObject } from './api-error.ts';
import { asObject, asString, parseJson } from './parse.ts';
import { backoff, pause } from './retry.ts';
import type { Change, Listing, WatchOptions } from './types.ts';

export interface WatchSource<T> {
  list: () => Promise<Listing<T>>;
  open: (
    resourceVersion: string,
    timeoutSeconds: number,
    signal: AbortSignal,
  ) => Promise<AsyncIterable<Buffer> & { destroy(): unknown }>;
  parse: (object: unknown) => T;
  options: WatchOptions;
}

/** The server ends a stream after this long by itself; the watch resumes where it stood. */
const STREAM_SECONDS = 290;
/** Past the server's own end by this much a stream is dead. */
const GRACE_SECONDS = 20;

/** Answers that another attempt does not change. */
const FINAL = new Set([400, 401, 403, 404, 405]);

/**
 * Lists, then follows the changes until `options.signal` aborts; then it returns. Resumes from the last
 * resourceVersion after whatever ends a stream, and lists again (`synced`) after a 410. Rejects when the first
 * listing fails, or later when the server's refusal is final (credentials or permission gone).
 */
export async function* followWatch<T>({
  list,
  open,
  parse,
  options,
}: WatchSource<T>): AsyncIterable<Change<T>> {
  const { signal, onInterruption } = options;
  let version: string | undefined;
  let synced = false;
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (version === undefined) {
        const listing = await list();
        if (signal.aborted) return;
        version = listing.resourceVersion;
        synced = true;
        yield { type: 'synced', items: listing.items };
      }
      for await (const event of readEvents(open, version, signal)) {
        failures = 0;
        if (event.version !== undefined) version = event.version;
        if (event.type !== 'bookmark') yield { type: event.type, item: parse(event.object) };
        if (signal.aborted) return;
      }
      // The server ended the stream in its own time: go on at once, but not in a busy loop.
      failures += 1;
    } catch (error) {
      if (signal.aborted) return;
      if (isStatus(error, 410)) {
        onInterruption?.('the server no longer knows the changes since then: listing again');
        version = undefined;
        failures += 1;
      } else {
        if (!synced || (error instanceof ApiError && FINAL.has(error.status.code))) throw error;
        failures += 1;
        onInterruption?.(messageOf(error));
      }
    }
    if (failures > 1) await pause(jittered(backoff(failures)), signal);
  }
}

interface WatchEvent {
  type: 'added' | 'modified' | 'deleted' | 'bookmark';
  object: unknown;
  version: string | undefined;
}

const TYPES = new Map<unknown, WatchEvent['type']>([
  ['ADDED', 'added'],
  ['MODIFIED', 'modified'],
  ['DELETED', 'deleted'],
  ['BOOKMARK', 'bookmark'],
]);

async function* readEvents(
  open: WatchSource<unknown>['open'],
  version: string,
  signal: AbortSignal,
): AsyncIterable<WatchEvent> {
  const body = await open(version, STREAM_SECONDS, signal);
  const dead = setTimeout(() => body.destroy(), (STREAM_SECONDS + GRACE_SECONDS) * 1000);
  // A watch alone does not hold the process back from ending.
  dead.unref();
  try {
    for await (const line of readLines(body)) {
      const event = asObject(parseJson(line));
      if (event['type'] === 'ERROR') throw new ApiError(parseStatusObject(event['object'], 500));
      const type = TYPES.get(event['type']);
      // A line that is no event is a torn one: resume from what is known.
      if (type === undefined) return;
      const metadata = asObject(asObject(event['object'])['metadata']);
      yield { type, object: event['object'], version: asString(metadata['resourceVersion']) };
    }
  } finally {
    clearTimeout(dead);
    body.destroy();
  }
}

async function* readLines(body: AsyncIterable<Buffer>): AsyncIterable<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield line;
  }
}

function jittered(milliseconds: number): number {
  return milliseconds * (0.75 + Math.random() / 2);
}
