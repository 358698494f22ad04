import type { Identity } from '../../cluster/types.ts';

/** Users as kube-apiserver reads them from its token file: CSV with token, name, uid (none) and groups. */
export function tokenFile(tokens: Record<string, Identity>): string {
  return Object.entries(tokens)
    .map(([token, { username, groups }]) => [token, username, '', groups.join(',')].map(quoted).join(','))
    .map((line) => `${line}\n`)
    .join('');
}

function quoted(field: string): string {
  return `"${field.replaceAll('"', '""')}"`;
}
