import { asObject } from '../../cluster/parse.ts';
import type { KindRequest } from './context.ts';
import { fieldOf, type Kind } from './kinds.ts';
import { labelsOf } from './metadata.ts';
import { matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector } from './selectors.ts';
import type { StoredObject } from './store.ts';

/** The objects that a list, a watch or a deletion of many is about. */
export interface Selection {
  namespace: string | undefined;
  /** `false`: every object of the namespace is selected. */
  filtered: boolean;
  matches: (stored: StoredObject) => boolean;
}

const META_FIELDS = ['metadata.name', 'metadata.namespace'];

export function parseSelection({ kind, target, resource }: KindRequest): Selection {
  const namespace = kind.namespaced ? resource.namespace : undefined;
  const labels = parseLabelSelector(target.query.get('labelSelector') ?? '');
  const fields = parseFields(kind, target.query);
  return {
    namespace,
    filtered: labels.length + fields.length > 0,
    matches: (stored) =>
      (namespace === undefined || stored.namespace === namespace) &&
      matchesLabels(labels, labelsOf(stored.object)) &&
      matchesFields(fields, (field) => fieldOf(asObject(stored.object), field)),
  };
}

function parseFields(kind: Kind, query: URLSearchParams): ReturnType<typeof parseFieldSelector> {
  return parseFieldSelector(query.get('fieldSelector') ?? '', [...META_FIELDS, ...kind.selectableFields]);
}

/** The one name that a field selector allows: rules with `resourceNames` then hold for lists, too. */
export function selectedName(query: URLSearchParams): string | undefined {
  return /^metadata\.name==?([^,!=]+)$/.exec(query.get('fieldSelector') ?? '')?.[1];
}
