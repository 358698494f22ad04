import type { JsonObject, KubeObject, ObjectMeta, OwnerReference } from './types.ts';

/** Narrowing of untrusted JSON: what does not fit becomes undefined or empty, never an exception. */

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function asString(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

export function asInteger(value: unknown): number | undefined {
  return Number.isInteger(value) ? asNumber(value) : undefined;
}

export function asBoolean(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}

export function asStrings(value: unknown): Record<string, string> {
  const strings: Record<string, string> = {};
  for (const [key, text] of Object.entries(asObject(value)))
    if (typeof text === 'string') strings[key] = text;
  return strings;
}

export function asDate(value: unknown): Date | undefined {
  if (typeof value !== 'string') return undefined;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** T with its undefined-able properties made optional instead. */
type Compact<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

function isCompact<T extends object>(object: T): object is T & Compact<T> {
  return !Object.values(object).includes(undefined);
}

/** Drops the keys whose value is undefined, so that optional properties are absent rather than undefined. */
export function compact<T extends object>(object: T): Compact<T> {
  const copy = { ...object };
  for (const [key, value] of Object.entries(copy)) if (value === undefined) Reflect.deleteProperty(copy, key);
  if (!isCompact(copy)) throw new TypeError('an undefined value stayed');
  return copy;
}

function parseOwner(value: unknown): OwnerReference {
  const owner = asObject(value);
  return {
    apiVersion: asString(owner['apiVersion']) ?? '',
    kind: asString(owner['kind']) ?? '',
    name: asString(owner['name']) ?? '',
    uid: asString(owner['uid']) ?? '',
    controller: owner['controller'] === true,
  };
}

/** Of entries of `managedFields`. Of one width and zone: as text they sort by time. */
function latestTime(writes: readonly JsonObject[]): string {
  const times = writes.map(({ time }) => asString(time) ?? '');
  return times.reduce((latest, time) => (time > latest ? time : latest), '');
}

function isOfConditions({ subresource, fieldsV1 }: JsonObject): boolean {
  return subresource === 'status' && asObject(asObject(fieldsV1)['f:status'])['f:conditions'] !== undefined;
}

function parseMeta(value: unknown): ObjectMeta {
  const meta = asObject(value);
  const parsed: ObjectMeta = { name: asString(meta['name']) ?? '' };
  for (const key of [
    'namespace',
    'uid',
    'resourceVersion',
    'creationTimestamp',
    'deletionTimestamp',
  ] as const) {
    const text = asString(meta[key]);
    if (text !== undefined) parsed[key] = text;
  }
  const generation = asInteger(meta['generation']);
  if (generation !== undefined) parsed.generation = generation;
  const writes = asArray(meta['managedFields']).map(asObject);
  const writtenAt = latestTime(writes);
  if (writtenAt !== '') parsed.writtenAt = writtenAt;
  const conditionsWrittenAt = latestTime(writes.filter(isOfConditions));
  if (conditionsWrittenAt !== '') parsed.conditionsWrittenAt = conditionsWrittenAt;
  if (isObject(meta['labels'])) parsed.labels = asStrings(meta['labels']);
  if (isObject(meta['annotations'])) parsed.annotations = asStrings(meta['annotations']);
  if (Array.isArray(meta['ownerReferences']))
    parsed.ownerReferences = meta['ownerReferences'].map(parseOwner);
  return parsed;
}

/** Any JSON as a Kubernetes object; list items lack kind and apiVersion, the caller knows them. */
export function parseObject(value: unknown, defaults: { apiVersion: string; kind: string }): KubeObject {
  const object = asObject(value);
  return {
    ...object,
    apiVersion: asString(object['apiVersion']) ?? defaults.apiVersion,
    kind: asString(object['kind']) ?? defaults.kind,
    metadata: parseMeta(object['metadata']),
  };
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
