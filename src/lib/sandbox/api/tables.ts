import { asObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import type { Kind } from './kinds.ts';
import { badRequest } from './status.ts';

/** What of the object a row carries beside its cells. */
export type IncludedObject = 'None' | 'Metadata' | 'Object';

export function parseIncludeObject(query: URLSearchParams): IncludedObject {
  const text = query.get('includeObject') ?? '';
  switch (text) {
    case '':
    case 'Metadata':
      return 'Metadata';
    case 'None':
    case 'Object':
      return text;
    default:
      throw badRequest(`includeObject is one of None, Metadata, Object, not "${text}"`);
  }
}

interface TableOptions {
  include: IncludedObject;
  now: Date;
  /** The list's, or the object's own. */
  metadata: JsonObject;
  /** `false`: the reader knows the columns from an earlier event. */
  headers: boolean;
}

/** The `meta.k8s.io/v1` Table of objects; `objects` in the stored form, `shown` as this API gives them out. */
export function toTable(
  kind: Kind,
  objects: readonly { stored: JsonObject; shown: JsonObject }[],
  { include, now, metadata, headers }: TableOptions,
): JsonObject {
  const columns = kind.columns.map(({ name, type, format, description, priority }) => ({
    name,
    type,
    format,
    description,
    priority,
  }));
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: headers ? columns : [],
    rows: objects.map(({ stored, shown }) => ({
      cells: kind.columns.map(({ cell }) => cell(stored, now)),
      object: included(include, shown),
    })),
  };
}

function included(include: IncludedObject, object: JsonObject): JsonObject | null {
  if (include === 'None') return null;
  if (include === 'Object') return object;
  return {
    kind: 'PartialObjectMetadata',
    apiVersion: 'meta.k8s.io/v1',
    metadata: asObject(object['metadata']),
  };
}
