import type { ApiContext } from './context.ts';
import { KINDS } from './kinds.ts';
import { metaText } from './metadata.ts';

const SWEEP_INTERVAL_MS = 60_000;

/** Removes objects whose lifetime is over, now and then, until the returned function is called. */
export function startExpiry(context: ApiContext): () => void {
  const timer = setInterval(() => removeExpired(context), SWEEP_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function removeExpired({ store, now }: ApiContext): void {
  for (const { collection, lifetimeSeconds } of KINDS) {
    if (lifetimeSeconds === undefined) continue;
    const oldest = now().getTime() - lifetimeSeconds * 1000;
    for (const { object, namespace, name } of store.list(collection)) {
      const created = new Date(metaText(object, 'creationTimestamp')).getTime();
      if (created < oldest) store.delete(collection, namespace, name);
    }
  }
}
