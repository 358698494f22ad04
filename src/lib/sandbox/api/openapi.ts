import type { JsonObject } from '../../cluster/types.ts';
import { structuralSchema } from './crd.ts';
import type { Kind } from './kinds.ts';

const INFO = { title: 'vmop sandbox', version: 'v1' };

/**
 * No schemas: kubectl then leaves validation to the server. It asks for the binary form whatever it gets, and an empty
 * document reads as empty in both.
 */
export function openapiV2(): JsonObject {
  return { swagger: '2.0', info: INFO, paths: {}, definitions: {} };
}

/** `paths` are those of group versions, such as `apis/vmoperator.jdrupes.org/v1`. */
export function openapiV3Index(paths: readonly string[]): JsonObject {
  const entries = paths.map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=1` }] as const);
  return { paths: Object.fromEntries(entries) };
}

/**
 * Tells kubectl which kinds there are, that the server understands `fieldValidation` and `dryRun`, and what
 * `kubectl explain` says of VM-Operator's kinds.
 */
export function openapiV3(kinds: readonly Kind[]): JsonObject {
  const parameters = ['fieldValidation', 'dryRun', 'fieldManager'].map((name) => ({
    name,
    in: 'query',
    schema: { type: 'string', uniqueItems: true },
  }));
  const paths = kinds.map(({ group, version, kind, plural, namespaced }) => {
    const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    const path = `${root}${namespaced ? '/namespaces/{namespace}' : ''}/${plural}/{name}`;
    const patch = { parameters, 'x-kubernetes-group-version-kind': { group, version, kind }, responses: {} };
    return [path, { patch }] as const;
  });
  const schemas = Object.fromEntries(
    kinds.filter(({ custom }) => custom).map((kind) => [schemaName(kind), kindSchema(kind)]),
  );
  return { openapi: '3.0.0', info: INFO, paths: Object.fromEntries(paths), components: { schemas } };
}

function schemaName({ group, version, kind }: Kind): string {
  return `${group.split('.').toReversed().join('.')}.${version}.${kind}`;
}

function kindSchema({ group, version, kind, schema }: Kind): JsonObject {
  const whole = structuralSchema({
    ...schema,
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      ...schema.properties,
    },
  });
  return { ...whole, 'x-kubernetes-group-version-kind': [{ group, version, kind }] };
}
