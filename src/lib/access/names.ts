import { createHash } from 'node:crypto';

/** A name that tells a person what it is for: a DNS label, and the same for the same `what` for ever. */
export function stableName(prefix: readonly string[], what: string, suffix = ''): string {
  const slug = what
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 36)
    .replaceAll(/^-+|-+$/g, '');
  const hash = createHash('sha256').update(what).digest('hex').slice(0, 8);
  return [...prefix, slug, hash, suffix].filter((word) => word !== '').join('-');
}
