import type { ServerResponse } from 'node:http';
import { asObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import type { ApiContext, KindRequest } from './context.ts';
import { apiVersionOf } from './kinds.ts';
import { shown } from './objects.ts';
import { textOf } from './read.ts';
import { integerParameter, isTrue, negotiate } from './request.ts';
import { parseSelection, type Selection } from './selection.ts';
import { expired, invalid } from './status.ts';
import type { StoreEvent, StoredObject } from './store.ts';
import { parseIncludeObject, toTable } from './tables.ts';

type WatchType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';

/** What a watch sends for a change, as its selection sees it; undefined: the selection has not changed. */
export function seenThrough(
  selection: Pick<Selection, 'matches'>,
  { type, current, previous, version }: StoreEvent,
): { type: WatchType; stored: StoredObject } | undefined {
  const before = previous !== undefined && selection.matches(previous);
  const after = type !== 'DELETED' && selection.matches(current);
  if (after) return { type: before ? 'MODIFIED' : 'ADDED', stored: current };
  if (!before) return undefined;
  // What left the selection is shown as it was in it, with the version at which it left.
  return { type: 'DELETED', stored: type === 'DELETED' ? current : withVersion(previous, version) };
}

function withVersion(stored: StoredObject, version: number): StoredObject {
  const metadata = { ...asObject(stored.object['metadata']), resourceVersion: String(version) };
  const object = { ...stored.object, metadata };
  return { ...stored, version, object, text: JSON.stringify(object) };
}

/** Unsent bytes of a watch beyond which it waits for its client; what it misses stays in the store's history. */
const UNSENT_BYTES = 1024 * 1024;

/** Kubernetes ends a watch by itself after half an hour to an hour. */
const DEFAULT_TIMEOUT_SECONDS = 1800;

/** How long before its end a watch says how far it has come. */
const LAST_BOOKMARK_MS = 2000;

/** How a watch writes its lines. */
interface WatchWriter {
  line: (type: WatchType, stored: StoredObject) => string;
  bookmark: (version: number, initialEventsEnd: boolean) => string;
}

/** Answers a watch; resolves when it has ended. Failures before the first byte are thrown. */
export async function serveWatch(
  context: ApiContext,
  request: KindRequest,
  response: ServerResponse,
): Promise<void> {
  const { store } = context;
  const { kind, target } = request;
  const { query } = target;
  const selection = parseSelection(request);
  const writer = watchWriter(context, request);
  const bookmarks = isTrue(query, 'allowWatchBookmarks');
  const from = integerParameter(query, 'resourceVersion') ?? 0;
  const initialEnd = isTrue(query, 'sendInitialEvents');
  if (initialEnd && query.get('resourceVersionMatch') !== 'NotOlderThan') throw initialEventsFailure();
  const initial = initialEnd || (from === 0 && query.get('sendInitialEvents') === null);
  const timeoutSeconds = integerParameter(query, 'timeoutSeconds') || DEFAULT_TIMEOUT_SECONDS;

  let cursor = initial || from === 0 ? store.version : from;
  const stream = new LineStream(response, () => store.eventsAfter(kind.collection, cursor) === undefined);
  const started = initial ? store.list(kind.collection, selection.namespace).filter(selection.matches) : [];
  const stopListening = store.listen(kind.collection, () => stream.wake());
  let bookmarkDue = false;
  const bookmarkTimer = setInterval(() => {
    bookmarkDue = bookmarks;
    stream.wake();
  }, context.bookmarkIntervalMs);
  // Beside the regular one: who asks again after the end finds the place.
  const lastBookmarkMs = timeoutSeconds * 1000 - LAST_BOOKMARK_MS;
  const lastBookmark = setTimeout(() => {
    bookmarkDue ||= bookmarks && lastBookmarkMs > 0;
    stream.wake();
  }, lastBookmarkMs);
  const timeout = setTimeout(() => stream.end(), timeoutSeconds * 1000);
  try {
    for (const stored of started) await stream.write(writer.line('ADDED', stored));
    if (initialEnd && bookmarks) await stream.write(writer.bookmark(cursor, true));
    while (stream.open) {
      const events = store.eventsAfter(kind.collection, cursor);
      if (events === undefined) {
        await stream.write(errorLine(cursor, store.version));
        return;
      }
      for (const event of events) {
        const seen = seenThrough(selection, event);
        if (seen) await stream.write(writer.line(seen.type, seen.stored));
        cursor = event.version;
        if (!stream.open) return;
      }
      // While the last line was on its way, more may have changed.
      if (store.lastChange(kind.collection) > cursor) continue;
      if (bookmarkDue) {
        bookmarkDue = false;
        cursor = store.version;
        await stream.write(writer.bookmark(cursor, false));
      }
      await stream.sleep(() => !bookmarkDue && store.lastChange(kind.collection) <= cursor);
    }
  } finally {
    clearInterval(bookmarkTimer);
    clearTimeout(lastBookmark);
    clearTimeout(timeout);
    stopListening();
    stream.close();
  }
}

function errorLine(version: number, current: number): string {
  const message = `too old resource version: ${version} (${current})`;
  return `${JSON.stringify({ type: 'ERROR', object: expired(message).toStatus() })}\n`;
}

function initialEventsFailure(): Error {
  const field = 'resourceVersionMatch';
  const message = 'Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan';
  return invalid('meta.k8s.io', 'ListOptions', '', [{ field, reason: 'FieldValueForbidden', message }]);
}

function watchWriter({ now }: ApiContext, { kind, target, accept }: KindRequest): WatchWriter {
  const eventLine = (type: WatchType, text: string): string => `{"type":"${type}","object":${text}}\n`;
  const bookmarkMeta = (version: number, initialEventsEnd: boolean): JsonObject => ({
    resourceVersion: String(version),
    ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  });
  if (negotiate(accept, true) === 'object') {
    const type = { kind: kind.kind, apiVersion: apiVersionOf(kind) };
    return {
      line: (event, stored) => eventLine(event, textOf(kind, stored)),
      bookmark: (version, end) =>
        eventLine('BOOKMARK', JSON.stringify({ ...type, metadata: bookmarkMeta(version, end) })),
    };
  }
  const include = parseIncludeObject(target.query);
  // The columns are told once.
  let headers = true;
  const table = (objects: readonly StoredObject[], metadata: JsonObject): string => {
    const rows = objects.map(({ object }) => ({ stored: object, shown: shown(kind, object) }));
    const text = JSON.stringify(toTable(kind, rows, { include, now: now(), metadata, headers }));
    headers = false;
    return text;
  };
  return {
    line: (event, stored) => eventLine(event, table([stored], { resourceVersion: String(stored.version) })),
    bookmark: (version, end) => eventLine('BOOKMARK', table([], bookmarkMeta(version, end))),
  };
}

/** A response as a stream of lines that waits for its client, and gives it up when it is too far `behind`. */
class LineStream {
  readonly #response: ServerResponse;
  readonly #behind: () => boolean;
  #ended = false;
  #resume: (() => void) | undefined;
  readonly #onDrain = (): void => this.#resume?.();
  readonly #onClose = (): void => {
    this.#ended = true;
    this.#resume?.();
  };

  constructor(response: ServerResponse, behind: () => boolean) {
    this.#response = response;
    this.#behind = behind;
    response.on('drain', this.#onDrain);
    response.on('close', this.#onClose);
    response.on('error', this.#onClose);
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.flushHeaders();
  }

  get open(): boolean {
    return !this.#ended && !this.#response.destroyed;
  }

  async write(line: string): Promise<void> {
    if (!this.open) return;
    this.#response.write(line);
    while (this.open && this.#response.writableLength > UNSENT_BYTES) {
      await this.#pause();
      // It missed too much to go on: its client asks again and is told to list.
      if (this.open && this.#response.writableLength > UNSENT_BYTES && this.#behind())
        this.#response.destroy();
    }
  }

  /** Until something happens; returns at once when `idle` does not hold. */
  async sleep(idle: () => boolean): Promise<void> {
    if (this.open && idle()) await this.#pause();
  }

  wake(): void {
    this.#resume?.();
  }

  /** The watch's time is over. */
  end(): void {
    this.#onClose();
  }

  close(): void {
    this.#ended = true;
    this.#response.off('drain', this.#onDrain);
    this.#response.off('close', this.#onClose);
    // A client that does not read would never see the end.
    if (this.#response.writableLength > UNSENT_BYTES) this.#response.destroy();
    else this.#response.end();
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
    });
    this.#resume = undefined;
  }
}
