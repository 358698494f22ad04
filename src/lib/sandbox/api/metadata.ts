import { asObject, asString, isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import type { FieldError } from './status.ts';
import { badRequest } from './status.ts';

/** Never changed by a request. */
export const SERVER_FIELDS = [
  'namespace',
  'uid',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generation',
  'managedFields',
  'resourceVersion',
] as const;

export function metadataOf(object: JsonObject): JsonObject {
  return asObject(object['metadata']);
}

/** A string of the metadata; `''` where it is absent. */
export function metaText(object: JsonObject, field: string): string {
  return asString(metadataOf(object)[field]) ?? '';
}

export function labelsOf(object: JsonObject): Record<string, string> {
  return stringMap(metadataOf(object)['labels'], 'labels');
}

export function finalizersOf(object: JsonObject): unknown[] {
  const { finalizers } = metadataOf(object);
  return Array.isArray(finalizers) ? finalizers : [];
}

/** The metadata that a request may set. Throws a 400 where a type is wrong. */
export function writableMetadata(metadata: unknown): JsonObject {
  if (metadata !== undefined && !isObject(metadata)) throw badRequest('metadata is not an object');
  const result: JsonObject = { ...metadata };
  for (const field of [...SERVER_FIELDS, 'selfLink']) if (field !== 'namespace') delete result[field];
  for (const field of ['labels', 'annotations']) {
    if (result[field] === null) delete result[field];
    if (result[field] !== undefined) result[field] = stringMap(result[field], field);
  }
  for (const field of ['name', 'namespace', 'generateName']) {
    if (result[field] !== undefined && typeof result[field] !== 'string') {
      throw badRequest(`metadata.${field} is not a string`);
    }
  }
  if (Array.isArray(result['finalizers']) && result['finalizers'].length === 0) delete result['finalizers'];
  return result;
}

/** The server's own fields of an object's metadata. */
export function serverMetadata(object: JsonObject): JsonObject {
  const metadata = metadataOf(object);
  const fields = SERVER_FIELDS.filter((field) => Object.hasOwn(metadata, field));
  return Object.fromEntries(fields.map((field) => [field, metadata[field]]));
}

function stringMap(value: unknown, what: string): Record<string, string> {
  const map: Record<string, string> = {};
  for (const [key, text] of Object.entries(asObject(value))) {
    if (typeof text !== 'string') throw badRequest(`metadata.${what}[${key}] is not a string`);
    map[key] = text;
  }
  return map;
}

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const LABEL_VALUE = '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?';

export function validateMetadata(metadata: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  const name = asString(metadata['name']) ?? '';
  if (name === '') {
    const message = 'Required value: name or generateName is required';
    errors.push({ field: 'metadata.name', reason: 'FieldValueRequired', message });
  } else if (name.length > 253 || !matches(SUBDOMAIN, name)) {
    const rule =
      `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', ` +
      `and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '${SUBDOMAIN}')`;
    errors.push({ field: 'metadata.name', ...badValue(name, rule) });
  }
  for (const value of Object.values(stringMap(metadata['labels'], 'labels'))) {
    if (value.length <= 63 && matches(LABEL_VALUE, value)) continue;
    const rule =
      value.length > 63
        ? 'must be no more than 63 characters'
        : `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must ` +
          `start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', ` +
          `regex used for validation is '${LABEL_VALUE}')`;
    errors.push({ field: 'metadata.labels', ...badValue(value, rule) });
  }
  return errors;
}

function matches(pattern: string, text: string): boolean {
  return new RegExp(`^${pattern}$`).test(text);
}

function badValue(value: string, rule: string): Pick<FieldError, 'reason' | 'message'> {
  return { reason: 'FieldValueInvalid', message: `Invalid value: ${JSON.stringify(value)}: ${rule}` };
}
