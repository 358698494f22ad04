import { asObject, asString } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { GROUP, VERSION } from '../../vm/types.ts';
import {
  CONFIG_MAP_COLUMNS,
  EVENT_COLUMNS,
  NAMESPACE_COLUMNS,
  POD_COLUMNS,
  SECRET_COLUMNS,
  VM_COLUMNS,
  VM_POOL_COLUMNS,
  type Column,
} from './columns.ts';
import { checkedEvent, renameEventFields, toCoreEvent, toNewEvent } from './events.ts';
import { labelsOf, metadataOf, metaText } from './metadata.ts';
import { normalizeSecret } from './secrets.ts';
import type { Schema } from './schema.ts';
import {
  EVENT_SCHEMA,
  NEW_EVENT_SCHEMA,
  OPEN_SCHEMA,
  POD_SCHEMA,
  VM_POOL_SCHEMA,
  VM_SCHEMA,
} from './schemas.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

/** A kind of stored object: all that the rest of the API needs to know of it. */
export interface Kind {
  group: string;
  version: string;
  kind: string;
  plural: string;
  singular: string;
  shortNames: string[];
  categories: string[];
  namespaced: boolean;
  /** Where its objects are; the two kinds of events share one. */
  collection: string;
  /** A custom resource: strategic merge patch is refused, PUT needs a resourceVersion, the body its kind. */
  custom: boolean;
  /** With a subresource `status`: the status changes through that alone, and nothing else does. */
  hasStatus: boolean;
  /** `metadata.generation` counts the changes of what is wanted. */
  hasGeneration: boolean;
  /** With a subresource `log`. */
  hasLog: boolean;
  /** With a subresource `portforward`. */
  hasPortForward: boolean;
  schema: Schema;
  /** Beside `metadata.name` and `metadata.namespace`. */
  selectableFields: string[];
  columns: Column[];
  /** What the server fills in on creation. */
  complete?: (object: JsonObject) => JsonObject;
  /** What each write is brought into. Throws a 400 or 422. */
  normalize?: (object: JsonObject) => JsonObject;
  /** Between the stored form and that of this API, where they differ. */
  conversion?: {
    toStored: (object: JsonObject) => JsonObject;
    fromStored: (object: JsonObject) => JsonObject;
  };
  /** Objects go by themselves this long after their creation. */
  lifetimeSeconds?: number;
}

const CORE = { group: '', version: 'v1', custom: false, hasStatus: false, hasGeneration: false };
const PLAIN = {
  hasLog: false,
  hasPortForward: false,
  shortNames: [],
  categories: [],
  namespaced: true,
  schema: OPEN_SCHEMA,
  selectableFields: [],
};
const VM_OPERATOR = { ...PLAIN, group: GROUP, version: VERSION, custom: true, hasGeneration: true };

const REFERENCE_FIELDS = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];
/** As in Kubernetes. */
const EVENT_LIFETIME = 3600;

export const NAMESPACES: Kind = {
  ...CORE,
  ...PLAIN,
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  namespaced: false,
  collection: 'namespaces',
  hasStatus: true,
  selectableFields: ['status.phase'],
  columns: NAMESPACE_COLUMNS,
  complete: (object) => ({ ...object, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } }),
  normalize: (object) => {
    const labels = { ...labelsOf(object), 'kubernetes.io/metadata.name': metaText(object, 'name') };
    return { ...object, metadata: { ...metadataOf(object), labels } };
  },
};

export const PODS: Kind = {
  ...CORE,
  ...PLAIN,
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  categories: ['all'],
  collection: 'pods',
  hasStatus: true,
  hasGeneration: true,
  hasLog: true,
  hasPortForward: true,
  schema: POD_SCHEMA,
  selectableFields: ['status.phase', 'spec.nodeName', 'status.podIP'],
  columns: POD_COLUMNS,
  complete: (object) => ({ ...object, status: { phase: 'Pending', qosClass: 'BestEffort' } }),
};

export const KINDS: readonly Kind[] = [
  NAMESPACES,
  PODS,
  {
    ...CORE,
    ...PLAIN,
    kind: 'Secret',
    plural: 'secrets',
    singular: 'secret',
    collection: 'secrets',
    selectableFields: ['type'],
    columns: SECRET_COLUMNS,
    normalize: normalizeSecret,
  },
  {
    ...CORE,
    ...PLAIN,
    kind: 'ConfigMap',
    plural: 'configmaps',
    singular: 'configmap',
    shortNames: ['cm'],
    collection: 'configmaps',
    columns: CONFIG_MAP_COLUMNS,
  },
  {
    ...CORE,
    ...PLAIN,
    kind: 'Event',
    plural: 'events',
    singular: 'event',
    shortNames: ['ev'],
    collection: 'events',
    schema: EVENT_SCHEMA,
    normalize: checkedEvent,
    selectableFields: [
      ...REFERENCE_FIELDS.map((field) => `involvedObject.${field}`),
      'reason',
      'reportingComponent',
      'source',
      'type',
    ],
    columns: EVENT_COLUMNS,
    lifetimeSeconds: EVENT_LIFETIME,
  },
  {
    ...CORE,
    ...PLAIN,
    group: 'events.k8s.io',
    kind: 'Event',
    plural: 'events',
    singular: 'event',
    shortNames: ['ev'],
    collection: 'events',
    schema: NEW_EVENT_SCHEMA,
    selectableFields: [
      ...REFERENCE_FIELDS.map((field) => `regarding.${field}`),
      'reason',
      'reportingController',
      'type',
    ],
    columns: EVENT_COLUMNS,
    conversion: { toStored: toCoreEvent, fromStored: toNewEvent },
  },
  {
    ...VM_OPERATOR,
    kind: 'VirtualMachine',
    plural: 'vms',
    singular: 'vm',
    collection: `vms.${GROUP}`,
    hasStatus: true,
    schema: VM_SCHEMA,
    columns: VM_COLUMNS,
  },
  {
    ...VM_OPERATOR,
    kind: 'VmPool',
    plural: 'vmpools',
    singular: 'vmpool',
    collection: `vmpools.${GROUP}`,
    hasStatus: false,
    schema: VM_POOL_SCHEMA,
    columns: VM_POOL_COLUMNS,
  },
];

export const VERBS: readonly Verb[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];

export function apiVersionOf({ group, version }: Pick<Kind, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

export function findKind(group: string, version: string, plural: string): Kind | undefined {
  return KINDS.find((kind) => kind.group === group && kind.version === version && kind.plural === plural);
}

/** The value of a field that objects can be selected by, in the stored form; `''` where it is absent. */
export function fieldOf(object: JsonObject, field: string): string {
  const path = renameEventFields(field).split('.');
  // Only events have a source.
  if (field === 'source') path.push('component');
  let value: unknown = object;
  for (const name of path) value = asObject(value)[name];
  return asString(value) ?? '';
}
