import { isStatus } from './api-error.ts';
import type { KubeObject, Listing } from './types.ts';

/**
 * One object as a listing of one or none, to begin a watch with. Beginning at the object's own version misses nothing,
 * but an old object's version is forgotten by the server (410): when asked again, the listing has no version, and the
 * watch begins with whatever there is then.
 */
export function namedListing<T>(
  read: () => Promise<KubeObject>,
  parse: (object: KubeObject) => T,
): () => Promise<Listing<T>> {
  let asked = false;
  return async () => {
    const again = asked;
    asked = true;
    try {
      const object = await read();
      const resourceVersion = again ? '' : (object.metadata.resourceVersion ?? '');
      return { items: [parse(object)], resourceVersion };
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      return { items: [], resourceVersion: '' };
    }
  };
}
