import type { JsonObject } from '../../cluster/types.ts';
import type { Column, CustomColumn } from './columns.ts';
import { KINDS, type Kind } from './kinds.ts';
import type { Schema } from './schema.ts';

/**
 * The CustomResourceDefinitions of VM-Operator's kinds with just the checks and columns that the sandbox's own API has,
 * for a real kube-apiserver.
 */
export function customResourceDefinitions(): JsonObject[] {
  return KINDS.filter(({ custom }) => custom).map(customResourceDefinition);
}

function customResourceDefinition({ group, version, plural, singular, kind, ...rest }: Kind): JsonObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural, singular, kind, listKind: `${kind}List` },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          ...(rest.hasStatus ? { subresources: { status: {} } } : {}),
          additionalPrinterColumns: rest.columns.filter(isCustomColumn).map(printerColumn),
          schema: { openAPIV3Schema: structuralSchema(rest.schema) },
        },
      ],
    },
  };
}

function isCustomColumn(column: Column): column is CustomColumn {
  return 'jsonPath' in column;
}

function printerColumn({ name, type, description, priority, jsonPath }: CustomColumn): JsonObject {
  return { name, type, description, priority, jsonPath };
}

/** As OpenAPI tells it; fields that are not named may be there. */
export function structuralSchema(schema: Schema): JsonObject {
  const { type, properties, items, exactlyOne, ...same } = schema;
  return {
    ...same,
    ...(type === 'intOrString' ? { 'x-kubernetes-int-or-string': true } : { type }),
    ...(type === 'object' ? { 'x-kubernetes-preserve-unknown-fields': true } : {}),
    ...(items ? { items: structuralSchema(items) } : {}),
    ...(exactlyOne ? { oneOf: exactlyOne.map((name) => ({ required: [name] })) } : {}),
    ...(properties ? { properties: mapValues(properties, structuralSchema) } : {}),
  };
}

function mapValues<T, R>(record: Record<string, T>, map: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
