import { hash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { asArray, asNumber, asObject, asString, parseJson } from '../cluster/parse.ts';
import type { Cluster, Identity } from '../cluster/types.ts';
import type { Runtime } from '../io/runtime.ts';
import type { Subject } from '../vm/permissions.ts';
import { GROUP } from '../vm/types.ts';
import { cacheFolder } from './paths.ts';
import type { Settings } from './settings.ts';

/** What the API server says of me: who I am, and whether I may change any VM of the namespace. */
export interface Standing extends Identity {
  administrator: boolean;
}

const LIFETIME_MS = 5 * 60_000;

/** Asks both at once. `namespace` undefined: in all namespaces. */
export async function askStanding(cluster: Cluster, namespace: string | undefined): Promise<Standing> {
  const [identity, verdict] = await Promise.all([
    cluster.self(),
    cluster.canI({ group: GROUP, resource: 'vms', verb: 'patch', namespace }),
  ]);
  return { ...identity, administrator: verdict.allowed };
}

/** As `askStanding`, remembered on disk for minutes per cluster, credentials and namespace. */
export async function rememberedStanding(
  runtime: Pick<Runtime, 'env' | 'platform' | 'now'>,
  cluster: Cluster,
  credentials: string,
  namespace: string | undefined,
): Promise<Standing> {
  const key = hash('sha256', JSON.stringify([cluster.context.server, credentials, namespace ?? null]));
  const folder = path.join(cacheFolder(runtime.env, runtime.platform), 'standing');
  const file = path.join(folder, `${key.slice(0, 32)}.json`);
  const now = runtime.now().getTime();
  const remembered = recallStanding(file, now);
  if (remembered) return remembered;
  const standing = await askStanding(cluster, namespace);
  storeStanding(file, { at: now, ...standing });
  return standing;
}

// A small file, read and written at once: node:fs/promises would take longer to load.

function recallStanding(file: string, now: number): Standing | undefined {
  try {
    return parseStanding(readFileSync(file, 'utf8'), now);
  } catch {
    return undefined;
  }
}

/** Only a shortcut: a cache that cannot be written costs the next call a request. */
function storeStanding(file: string, stored: Standing & { at: number }): void {
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(stored), { mode: 0o600 });
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    return;
  }
}

function parseStanding(text: string, now: number): Standing | undefined {
  const stored = asObject(parseJson(text));
  const at = asNumber(stored['at']) ?? 0;
  const username = asString(stored['username']);
  if (username === undefined || now - at > LIFETIME_MS || at > now) return undefined;
  const groups = asArray(stored['groups']).filter((group) => typeof group === 'string');
  return { username, groups, administrator: stored['administrator'] === true };
}

/** Maps the API server's name and groups to the names that `spec.permissions` uses. */
export function subjectOf(standing: Standing, settings: Settings, userName: string | undefined): Subject {
  const { roles = {} } = settings;
  return {
    name: userName ?? settings.userName ?? standing.username,
    roles: standing.groups.map((group) => (Object.hasOwn(roles, group) ? roles[group] : undefined) ?? group),
    administrator: standing.administrator,
  };
}
