import { asInteger, asObject, asString, isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { sameJson } from './json.ts';
import { apiVersionOf, type Kind } from './kinds.ts';
import { entriesOf, type Owners } from './managed-fields.ts';
import { metadataOf, metaText, serverMetadata, validateMetadata, writableMetadata } from './metadata.ts';
import { validate, withDefaults } from './schema.ts';
import { badRequest, conflict, invalid } from './status.ts';

/** The object as the kind's API shows it, from the stored form. */
export function shown(kind: Kind, stored: JsonObject): JsonObject {
  return kind.conversion ? kind.conversion.fromStored(stored) : stored;
}

export interface Creation {
  /** From the path. */
  namespace: string | undefined;
  /** RFC 3339, seconds. */
  now: string;
  uid: string;
  /** Follows a `generateName`. */
  suffix: string;
  owners?: Owners | undefined;
}

/** What is stored for a body sent for creation. Throws 400 and 422. */
export function newObject(kind: Kind, body: unknown, creation: Creation): JsonObject {
  const object = checkedBody(kind, body);
  if (metaText(object, 'resourceVersion') !== '') {
    throw badRequest('resourceVersion should not be set on objects to be created');
  }
  const metadata = writableMetadata(object['metadata']);
  const generateName = asString(metadata['generateName']);
  if (!metadata['name'] && generateName) metadata['name'] = generateName + creation.suffix;
  checkNamespace(metadata, creation.namespace);
  const { apiVersion, kind: name, metadata: _given, status, ...rest } = object;
  const created = finished(kind, {
    apiVersion,
    kind: name,
    metadata: {
      ...metadata,
      ...(kind.namespaced ? { namespace: creation.namespace } : {}),
      uid: creation.uid,
      creationTimestamp: creation.now,
      ...(kind.hasGeneration ? { generation: 1 } : {}),
      ...givenEntries(object),
    },
    ...rest,
    ...(kind.hasStatus || status === undefined ? {} : { status }),
  });
  const complete = kind.complete ? kind.complete(created) : created;
  return creation.owners ? owned(complete, creation.owners({}, complete)) : complete;
}

export interface Update {
  subresource: 'status' | undefined;
  /** A PUT of a custom resource must say which version it replaces; a patch need not. */
  versionRequired?: boolean;
  owners: Owners;
}

/**
 * What is stored for a body that replaces an object, whether sent whole or patched; the existing object itself when
 * nothing changes. Throws 400, 409 and 422.
 */
export function changedObject(kind: Kind, existing: JsonObject, body: unknown, update: Update): JsonObject {
  const object = checkedBody(kind, body);
  const metadata = {
    ...writableMetadata(object['metadata']),
    ...serverMetadata(existing),
    ...givenEntries(object),
  };
  checkIdentity(kind, existing, object, update);
  const old = shown(kind, existing);
  const changed = finished(
    kind,
    update.subresource === 'status'
      ? withStatus(old, object['status'])
      : withStatus({ ...object, metadata }, kind.hasStatus ? old['status'] : object['status']),
  );
  const candidate = owned(changed, update.owners(existing, changed));
  if (sameJson(candidate, existing)) return existing;
  if (!kind.hasGeneration || sameJson(wanted(candidate), wanted(existing))) return candidate;
  const generation = (asInteger(metadataOf(existing)['generation']) ?? 0) + 1;
  return { ...candidate, metadata: { ...metadataOf(candidate), generation } };
}

/** Whoever sends `managedFields` sets them, as kubectl does when it goes over to server-side apply. */
function givenEntries(body: JsonObject): { managedFields?: JsonObject[] } {
  const given = asObject(body['metadata'])['managedFields'];
  if (!Array.isArray(given)) return {};
  // One empty entry is how a patch says none.
  return { managedFields: entriesOf(body).filter((entry) => Object.keys(entry).length > 0) };
}

function owned(object: JsonObject, managedFields: JsonObject[]): JsonObject {
  const { managedFields: _old, ...metadata } = metadataOf(object);
  return { ...object, metadata: { ...metadata, ...(managedFields.length > 0 ? { managedFields } : {}) } };
}

/** The part whose changes a generation counts. */
function wanted({ metadata: _metadata, status: _status, ...rest }: JsonObject): JsonObject {
  return rest;
}

function withStatus({ status: _old, ...rest }: JsonObject, status: unknown): JsonObject {
  return status === undefined ? rest : { ...rest, status };
}

/** With defaults, checked against the schema, in the stored form. */
function finished(kind: Kind, object: JsonObject): JsonObject {
  const full = asObject(withDefaults(kind.schema, object));
  const errors = [...validateMetadata(metadataOf(full)), ...validate(kind.schema, full, '')];
  if (errors.length > 0) throw invalid(kind.group, kind.kind, metaText(full, 'name'), errors);
  const stored = kind.conversion ? kind.conversion.toStored(full) : full;
  return kind.normalize ? kind.normalize(stored) : stored;
}

function checkedBody(kind: Kind, body: unknown): JsonObject {
  if (!isObject(body)) throw badRequest(`the body is not a JSON object of kind ${kind.kind}`);
  const apiVersion = apiVersionOf(kind);
  if (kind.custom && body['kind'] === undefined) {
    throw badRequest(`Object 'Kind' is missing in '${JSON.stringify(body).slice(0, 200)}'`);
  }
  const { apiVersion: givenVersion = apiVersion, kind: givenKind = kind.kind } = body;
  if (givenKind !== kind.kind || givenVersion !== apiVersion) {
    throw badRequest(
      `the body is a ${String(givenKind)} of ${String(givenVersion)}, not the expected ${kind.kind} of ${apiVersion}`,
    );
  }
  return { apiVersion, kind: kind.kind, ...body };
}

function checkNamespace(metadata: JsonObject, namespace: string | undefined): void {
  const given = asString(metadata['namespace']) ?? '';
  if (given !== '' && given !== (namespace ?? '')) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
}

function checkIdentity(
  kind: Kind,
  existing: JsonObject,
  body: JsonObject,
  { versionRequired }: Update,
): void {
  const name = metaText(existing, 'name');
  const given = metaText(body, 'name');
  if (given !== name) {
    throw badRequest(`the name of the object (${given}) does not match the name on the URL (${name})`);
  }
  checkNamespace(metadataOf(body), asString(metadataOf(existing)['namespace']));
  const subject = { group: kind.group, resource: kind.plural, name };
  const version = metaText(body, 'resourceVersion');
  if (version === '' && versionRequired && kind.custom) {
    const message = 'Invalid value: 0: must be specified for an update';
    const field = 'metadata.resourceVersion';
    throw invalid(kind.group, kind.plural, name, [{ field, reason: 'FieldValueInvalid', message }]);
  }
  const uid = metaText(body, 'uid');
  if (uid !== '' && uid !== metaText(existing, 'uid')) {
    const found = metaText(existing, 'uid');
    throw conflict(subject, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${found}`);
  }
  if (version !== '' && version !== metaText(existing, 'resourceVersion')) throw conflict(subject);
}
