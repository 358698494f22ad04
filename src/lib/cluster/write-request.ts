import { apiVersionOf, type Query } from './paths.ts';
import type { Patch, Resource, WriteOptions } from './types.ts';

/** What every write says of itself. */
export function writeQuery({ dryRun }: WriteOptions): Query {
  return { dryRun: dryRun === true ? 'All' : undefined, fieldManager: 'vmop' };
}

export function patchQuery(patch: Patch, options: WriteOptions): Query {
  const { fieldManager, force } = patch.type === 'apply' ? patch : {};
  return { ...writeQuery(options), ...(fieldManager === undefined ? {} : { fieldManager, force }) };
}

export function patchBody(resource: Resource<unknown>, patch: Patch): { contentType: string; body: string } {
  switch (patch.type) {
    case 'merge':
      return { contentType: 'application/merge-patch+json', body: JSON.stringify(patch.body) };
    case 'json':
      return { contentType: 'application/json-patch+json', body: JSON.stringify(patch.operations) };
    default: {
      // JSON is YAML.
      const object = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...patch.object };
      return { contentType: 'application/apply-patch+yaml', body: JSON.stringify(object) };
    }
  }
}
