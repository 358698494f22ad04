import { apiVersionOf, type Query } from './paths.ts';
import type { DeleteOptions, Patch, Resource, WriteOptions } from './types.ts';

/** What every write says of itself. */
export function writeQuery({ dryRun }: WriteOptions): Query {
  return { dryRun: dryRun === true ? 'All' : undefined, fieldManager: 'vmop' };
}

export function patchQuery(patch: Patch, options: WriteOptions): Query {
  const { fieldManager, force } = patch.type === 'apply' ? patch : {};
  return { ...writeQuery(options), ...(fieldManager === undefined ? {} : { fieldManager, force }) };
}

/** All that a deletion asks for: where there is a body, the API server does not look at the query. */
export function deleteBody({ dryRun, graceSeconds, uid }: DeleteOptions): string | undefined {
  if (graceSeconds === undefined && uid === undefined) return undefined;
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    ...(dryRun === true ? { dryRun: ['All'] } : {}),
    ...(graceSeconds === undefined ? {} : { gracePeriodSeconds: graceSeconds }),
    ...(uid === undefined ? {} : { preconditions: { uid } }),
  });
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
