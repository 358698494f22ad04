import { randomInt, randomUUID } from 'node:crypto';
import { asArray, asDate, asInteger, asObject, asString, isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { subjectOf, timestamp, type Answer, type ApiContext, type KindRequest } from './context.ts';
import { KINDS, NAMESPACES, PODS, type Kind } from './kinds.ts';
import { ownersAfterWrite, type Owners } from './managed-fields.ts';
import { finalizersOf, metadataOf, metaText } from './metadata.ts';
import { changedObject, newObject, shown, type Update } from './objects.ts';
import { findObject, listText, textOf } from './read.ts';
import { integerParameter } from './request.ts';
import { parseSelection } from './selection.ts';
import { alreadyExists, ApiFailure, badRequest, conflict, invalid, notFound } from './status.ts';
import type { StoredObject } from './store.ts';

/** The letters and digits of generated names: no vowels, so no words. */
const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;

/** `owners`: after an apply. Throws 400, 404, 409 and 422. */
export function createObject(
  context: ApiContext,
  request: KindRequest,
  body: unknown,
  owners: Owners = ownersOf(context, request),
): Answer {
  const { kind, resource } = request;
  const dryRun = isDryRun(request);
  const namespace = kind.namespaced ? resource.namespace : undefined;
  if (kind.namespaced && namespace === undefined) {
    throw badRequest('an empty namespace may not be set during creation');
  }
  const object = newObject(kind, body, {
    namespace,
    now: timestamp(context.now()),
    uid: randomUUID(),
    suffix: randomSuffix(),
    owners,
  });
  const name = metaText(object, 'name');
  if (namespace !== undefined && !context.store.get(NAMESPACES.collection, '', namespace)) {
    throw notFound(subjectOf(NAMESPACES, namespace));
  }
  if (context.store.get(kind.collection, namespace ?? '', name)) throw alreadyExists(subjectOf(kind, name));
  return { status: 201, text: save(context, kind, object, dryRun) };
}

/** An ordinary write is that of the program which sends it, unless it names another manager. */
function ownersOf(context: ApiContext, { target, resource, userAgent }: KindRequest): Owners {
  const [program = ''] = userAgent.split('/');
  return ownersAfterWrite({
    manager: target.query.get('fieldManager') || program.slice(0, MAX_MANAGER_LENGTH) || 'unknown',
    subresource: resource.subresource === 'status' ? 'status' : undefined,
    now: timestamp(context.now()),
  });
}

const MAX_MANAGER_LENGTH = 128;

function randomSuffix(): string {
  return Array.from({ length: SUFFIX_LENGTH }, () => SUFFIX_LETTERS[randomInt(SUFFIX_LETTERS.length)]).join(
    '',
  );
}

export function replaceObject(context: ApiContext, request: KindRequest, body: unknown): Answer {
  return updateObject(context, request, () => body, { versionRequired: true });
}

/** `change` gets the object as the kind's API shows it and returns what shall be there instead. */
export function updateObject(
  context: ApiContext,
  request: KindRequest,
  change: (object: JsonObject) => unknown,
  options: Partial<Omit<Update, 'subresource'>> = {},
): Answer {
  const { kind, resource } = request;
  const dryRun = isDryRun(request);
  const existing = findObject(context, request);
  const update: Update = {
    owners: ownersOf(context, request),
    ...options,
    subresource: resource.subresource === 'status' ? 'status' : undefined,
  };
  const object = changedObject(kind, existing.object, change(shown(kind, existing.object)), update);
  if (object === existing.object) return { status: 200, text: textOf(kind, existing) };
  const finished =
    metaText(object, 'deletionTimestamp') !== '' && isDue(object) && finalizersOf(object).length === 0;
  const text = save(context, kind, object, dryRun);
  if (finished && !dryRun) context.store.delete(kind.collection, existing.namespace, existing.name);
  return { status: 200, text };
}

/** Stores the object, unless it is a rehearsal; its text as it is then. */
function save({ store }: ApiContext, kind: Kind, object: JsonObject, dryRun: boolean): string {
  return dryRun ? JSON.stringify(shown(kind, object)) : textOf(kind, store.put(kind.collection, object));
}

export function deleteObject(context: ApiContext, request: KindRequest, options: unknown): Answer {
  const { kind } = request;
  const existing = findObject(context, request);
  const dryRun = isDryRun(request, options);
  checkPreconditions(kind, existing, asObject(asObject(options)['preconditions']));
  const ending = endingPod(context, kind, existing.object, gracePeriodOf(request, options));
  if (ending) return { status: 200, text: save(context, kind, ending, dryRun) };
  const remaining = dryRun ? undefined : remove(context, kind, existing);
  if (remaining) return { status: 200, text: textOf(kind, remaining) };
  // Of a pod the answer is what it was.
  if (kind === PODS) return { status: 200, text: textOf(kind, existing) };
  const details = {
    name: existing.name,
    ...(kind.group === '' ? {} : { group: kind.group }),
    kind: kind.plural,
    uid: metaText(existing.object, 'uid'),
  };
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
  return { status: 200, text: JSON.stringify(status) };
}

export function deleteCollection(context: ApiContext, request: KindRequest, options: unknown): Answer {
  const { kind } = request;
  const selection = parseSelection(request);
  const dryRun = isDryRun(request, options);
  const selected = context.store.list(kind.collection, selection.namespace).filter(selection.matches);
  for (const stored of dryRun ? [] : selected) {
    const ending = endingPod(context, kind, stored.object, gracePeriodOf(request, options));
    if (ending) save(context, kind, ending, false);
    else remove(context, kind, stored);
  }
  const metadata = { resourceVersion: String(context.store.version) };
  return { status: 200, text: listText(kind, metadata, selected) };
}

/** What a deletion says itself, in its body or, where it has none, in its query. */
function gracePeriodOf({ target }: KindRequest, options: unknown): number | undefined {
  return isObject(options)
    ? asInteger(options['gracePeriodSeconds'])
    : integerParameter(target.query, 'gracePeriodSeconds');
}

const DEFAULT_GRACE_SECONDS = 30;

/** A pod that has been given the time that it has to end; undefined: it goes at once, as all other kinds do. */
function endingPod(
  { now }: ApiContext,
  kind: Kind,
  object: JsonObject,
  asked: number | undefined,
): JsonObject | undefined {
  if (kind !== PODS) return undefined;
  const spec = asObject(object['spec']);
  const phase = asObject(object['status'])['phase'];
  // Nothing runs that would have to end.
  if (!spec['nodeName'] || phase === 'Succeeded' || phase === 'Failed' || asked === 0) return undefined;
  const metadata = metadataOf(object);
  const before = asInteger(metadata['deletionGracePeriodSeconds']);
  const seconds =
    asked ?? before ?? asInteger(spec['terminationGracePeriodSeconds']) ?? DEFAULT_GRACE_SECONDS;
  // It may only become shorter.
  if (before !== undefined && seconds >= before) return object;
  const generation = (asInteger(metadata['generation']) ?? 0) + (before === undefined ? 1 : 0);
  const began = asDate(metadata['deletionTimestamp'])?.getTime();
  const start = began === undefined ? now().getTime() : began - (before ?? 0) * 1000;
  const deletionTimestamp = timestamp(new Date(start + seconds * 1000));
  return {
    ...object,
    metadata: { ...metadata, generation, deletionTimestamp, deletionGracePeriodSeconds: seconds },
  };
}

/** What is marked for deletion has no time left. */
function isDue(object: JsonObject): boolean {
  return !asInteger(metadataOf(object)['deletionGracePeriodSeconds']);
}

/** Deletes, or marks for deletion what finalizers hold back; that is returned. */
function remove(context: ApiContext, kind: Kind, existing: StoredObject): StoredObject | undefined {
  const { store, now } = context;
  if (finalizersOf(existing.object).length > 0) {
    if (metaText(existing.object, 'deletionTimestamp') !== '') return existing;
    const deletionTimestamp = timestamp(now());
    const metadata = { ...metadataOf(existing.object), deletionTimestamp, deletionGracePeriodSeconds: 0 };
    return store.put(kind.collection, { ...existing.object, metadata });
  }
  if (kind === NAMESPACES) emptyNamespace(context, existing.name);
  store.delete(kind.collection, existing.namespace, existing.name);
  return undefined;
}

function emptyNamespace({ store }: ApiContext, namespace: string): void {
  if (namespace === 'default') {
    const message = `namespaces "${namespace}" is forbidden: this namespace may not be deleted`;
    throw new ApiFailure(403, 'Forbidden', message, { subject: subjectOf(NAMESPACES, namespace) });
  }
  for (const { collection, namespaced } of KINDS) {
    if (!namespaced) continue;
    for (const { name } of store.list(collection, namespace)) store.delete(collection, namespace, name);
  }
}

function checkPreconditions(kind: Kind, { object, name }: StoredObject, preconditions: JsonObject): void {
  const subject = { group: kind.group, resource: kind.kind, name };
  for (const [field, title, guess] of [
    ['uid', 'UID', 'deleted and then recreated'],
    ['resourceVersion', 'ResourceVersion', 'modified'],
  ] as const) {
    const wanted = asString(preconditions[field]);
    const found = metaText(object, field);
    if (wanted === undefined || wanted === found) continue;
    throw conflict(
      subject,
      `the ${title} in the precondition (${wanted}) does not match the ${title} in record (${found}). ` +
        `The object might have been ${guess}`,
    );
  }
}

/** From the query; where a deletion has a body, from that alone. */
function isDryRun({ target }: KindRequest, options?: unknown): boolean {
  const values = isObject(options)
    ? asArray(options['dryRun'])
    : target.query.getAll('dryRun').filter((value) => value !== '');
  if (values.some((value) => value !== 'All')) {
    const message = `Unsupported value: ${JSON.stringify(values)}: supported values: "All"`;
    const optionsKind = OPTIONS_KINDS[target.method] ?? 'Options';
    throw invalid('meta.k8s.io', optionsKind, '', [
      { field: 'dryRun', reason: 'FieldValueNotSupported', message },
    ]);
  }
  return values.length > 0;
}

/** What Kubernetes calls a request's parameters, by method. */
const OPTIONS_KINDS: Record<string, string> = {
  POST: 'CreateOptions',
  PUT: 'UpdateOptions',
  PATCH: 'PatchOptions',
  DELETE: 'DeleteOptions',
};
