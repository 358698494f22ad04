import { isStatus } from './api-error.ts';
import type { Cluster, ObjectRef, Patch, Resource, WriteOptions } from './types.ts';

const ATTEMPTS = 5;

/**
 * Reads an object, decides, writes with the version that was read; after a conflict (409, or 422 of a JSON patch's
 * `test`) reads again and decides again, five times at most. `decide` returning undefined writes nothing.
 * Resolves to the object as it is afterwards and whether it was written.
 */
export async function modify<T>(
  cluster: Cluster,
  resource: Resource<T>,
  ref: ObjectRef,
  decide: (object: T) => Patch | undefined,
  options: WriteOptions & { first?: T | undefined } = {},
): Promise<{ object: T; written: boolean }> {
  let object = options.first ?? (await cluster.get(resource, ref));
  for (let attempt = 1; ; attempt++) {
    const patch = decide(object);
    if (patch === undefined) return { object, written: false };
    try {
      return { object: await cluster.patch(resource, ref, patch, options), written: true };
    } catch (error) {
      const changed = isStatus(error, 409) || (patch.type === 'json' && isStatus(error, 422));
      if (!changed || attempt >= ATTEMPTS) throw error;
      object = await cluster.get(resource, ref);
    }
  }
}
