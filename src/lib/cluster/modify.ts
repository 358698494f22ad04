import { isStatus } from './api-error.ts';
import { pause as pauseFor } from './retry.ts';
import type { Cluster, ObjectRef, Patch, Resource, WriteOptions } from './types.ts';

const ATTEMPTS = 10;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 800;

/** Before attempt 2, 3, …: growing, and never the same for two who are in each other's way; 5 s at most in all. */
export function conflictPauseMs(attempt: number, random: number): number {
  const longest = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 2), LONGEST_PAUSE_MS);
  return longest * (0.5 + random / 2);
}

/**
 * Reads an object, decides, writes with the version that was read; after a conflict (409, or 422 of a JSON patch's
 * `test`) pauses, reads again and decides again, ten times at most. `decide` returning undefined writes nothing.
 * Resolves to the object as it is afterwards and whether it was written.
 */
export async function modify<T>(
  cluster: Cluster,
  resource: Resource<T>,
  ref: ObjectRef,
  decide: (object: T) => Patch | undefined,
  {
    first,
    pause = (ms) => pauseFor(ms, options.signal),
    ...options
  }: WriteOptions & { first?: T | undefined; pause?: ((ms: number) => Promise<void>) | undefined } = {},
): Promise<{ object: T; written: boolean }> {
  let object = first ?? (await cluster.get(resource, ref));
  for (let attempt = 1; ; attempt++) {
    const patch = decide(object);
    if (patch === undefined) return { object, written: false };
    try {
      return { object: await cluster.patch(resource, ref, patch, options), written: true };
    } catch (error) {
      const changed = isStatus(error, 409) || (patch.type === 'json' && isStatus(error, 422));
      if (!changed || attempt >= ATTEMPTS) throw error;
      await pause(conflictPauseMs(attempt + 1, Math.random()));
      object = await cluster.get(resource, ref);
    }
  }
}
