import { asInteger, asObject, asString, parseJson } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { subjectOf, type Answer, type ApiContext, type KindRequest } from './context.ts';
import { apiVersionOf, type Kind } from './kinds.ts';

import { shown } from './objects.ts';
import { integerParameter, negotiate } from './request.ts';
import { parseSelection } from './selection.ts';
import { ApiFailure, badRequest, expired, notFound } from './status.ts';
import type { StoredObject } from './store.ts';
import { parseIncludeObject, toTable } from './tables.ts';

export function getObject(context: ApiContext, request: KindRequest): Answer {
  const stored = findObject(context, request);
  if (negotiate(request.accept, true) === 'object')
    return { status: 200, text: textOf(request.kind, stored) };
  const metadata = { resourceVersion: String(stored.version) };
  return { status: 200, text: tableText(context, request, [stored], metadata) };
}

/** The object that the request names. Throws a 404. */
export function findObject(context: ApiContext, request: KindRequest): StoredObject {
  const stored = lookUp(context, request);
  if (stored === undefined) throw notFound(subjectOf(request.kind, request.resource.name ?? ''));
  return stored;
}

export function lookUp({ store }: ApiContext, { kind, resource }: KindRequest): StoredObject | undefined {
  const namespace = kind.namespaced ? (resource.namespace ?? '') : '';
  return store.get(kind.collection, namespace, resource.name ?? '');
}

/** The object's JSON as the kind's API shows it. */
export function textOf(kind: Kind, stored: StoredObject): string {
  return kind.conversion ? JSON.stringify(shown(kind, stored.object)) : stored.text;
}

/** Where a list stands: its version, and the last key of the page before. */
interface PageToken {
  /** undefined: whichever is current, which is not that of the pages before. */
  version?: number;
  after: string;
}

export function listObjects(context: ApiContext, request: KindRequest): Answer {
  const { kind, target } = request;
  const representation = negotiate(request.accept, true);
  const selection = parseSelection(request);
  const token = parsePageToken(target.query);
  const version = token?.version ?? context.store.version;
  checkVersion(context, target.query);
  const all = context.store.listAt(kind.collection, version, selection.namespace);
  if (all === undefined) throw expiredPage(token?.after ?? '');
  const selected = selection.filtered ? all.filter(selection.matches) : all;
  const rest = token ? selected.slice(firstAfter(selected, token.after)) : selected;
  const limit = integerParameter(target.query, 'limit') || rest.length;
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  const remaining = rest.length - page.length;
  const metadata = {
    resourceVersion: String(version),
    ...(remaining > 0 && last
      ? {
          continue: encodePageToken({ version, after: last.key }),
          ...(selection.filtered ? {} : { remainingItemCount: remaining }),
        }
      : {}),
  };
  return {
    status: 200,
    text:
      representation === 'table'
        ? tableText(context, request, page, metadata)
        : listText(kind, metadata, page),
  };
}

/** A list, put together from the texts that its objects have anyway. */
export function listText(kind: Kind, metadata: JsonObject, objects: readonly StoredObject[]): string {
  const head = JSON.stringify({ kind: `${kind.kind}List`, apiVersion: apiVersionOf(kind), metadata });
  const items = objects.map((stored) => textOf(kind, stored)).join(',');
  return `${head.slice(0, -1)},"items":[${items}]}`;
}

function tableText(
  { now }: ApiContext,
  { kind, target }: KindRequest,
  objects: readonly StoredObject[],
  metadata: JsonObject,
): string {
  const include = parseIncludeObject(target.query);
  const rows = objects.map((stored) => ({ stored: stored.object, shown: shown(kind, stored.object) }));
  return JSON.stringify(toTable(kind, rows, { include, now: now(), metadata, headers: true }));
}

function firstAfter(objects: readonly StoredObject[], key: string): number {
  const at = objects.findIndex((stored) => stored.key > key);
  return at < 0 ? objects.length : at;
}

function encodePageToken(token: PageToken): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function parsePageToken(query: URLSearchParams): PageToken | undefined {
  const text = query.get('continue') ?? '';
  if (text === '') return undefined;
  const token = asObject(parseJson(Buffer.from(text, 'base64url').toString()));
  const version = asInteger(token['version']);
  const after = asString(token['after']);
  if (after === undefined) throw badRequest('continue key is not valid');
  return version === undefined ? { after } : { version, after };
}

function expiredPage(after: string): ApiFailure {
  return expired(
    'The provided continue parameter is too old to display a consistent list result. ' +
      'You can start a new list without the continue parameter, or use the continue token in this response to ' +
      'retrieve the remainder of the results, which then may lack objects or have some that came meanwhile.',
    { continueToken: encodePageToken({ after }) },
  );
}

/** A reader that knows a later version than the server has cannot be served. */
function checkVersion({ store }: ApiContext, query: URLSearchParams): void {
  const version = integerParameter(query, 'resourceVersion') ?? 0;
  if (version <= store.version) return;
  const message = `Too large resource version: ${version}, current: ${store.version}`;
  throw new ApiFailure(504, 'Timeout', `Timeout: ${message}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}
