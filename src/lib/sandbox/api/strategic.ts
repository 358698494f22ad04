import { asArray, isObject } from '../../cluster/parse.ts';
import { sameJson } from './json.ts';

/** Lists of objects that are merged item by item, and the key that tells the items apart. */
const MERGE_KEYS: Record<string, string> = {
  conditions: 'type',
  containers: 'name',
  env: 'name',
  imagePullSecrets: 'name',
  initContainers: 'name',
  ownerReferences: 'uid',
  podIPs: 'ip',
  ports: 'containerPort',
  volumeMounts: 'mountPath',
  volumes: 'name',
};

/** Lists of texts to which a patch adds. */
const SETS = ['finalizers'];

const REMOVED = '$deleteFromPrimitiveList/';
const ORDER = '$setElementOrder/';

/**
 * A strategic merge patch on a core object: a merge patch in which some lists are merged by key, with the directives
 * `$patch`, `$retainKeys` and `$deleteFromPrimitiveList`. The order that a patch asks for is not established.
 */
export function strategicMerge(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const { $patch: directive, $retainKeys: retain, ...changes } = patch;
  if (directive === 'delete') return {};
  const base = isObject(target) && directive !== 'replace' ? target : {};
  const kept = asArray(retain);
  const result = Object.fromEntries(
    Object.entries(base).filter(([key]) => kept.length === 0 || kept.includes(key)),
  );
  for (const [key, value] of Object.entries(changes)) {
    if (key.startsWith(ORDER)) continue;
    if (key.startsWith(REMOVED)) {
      const list = key.slice(REMOVED.length);
      const gone = asArray(value);
      result[list] = asArray(result[list]).filter((item) => !gone.some((other) => sameJson(item, other)));
    } else if (value === null) {
      delete result[key];
    } else {
      result[key] = Array.isArray(value)
        ? mergeList(key, result[key], value)
        : strategicMerge(result[key], value);
    }
  }
  return result;
}

function mergeList(name: string, target: unknown, patch: unknown[]): unknown[] {
  if (SETS.includes(name)) return [...new Set([...asArray(target), ...patch])];
  const key = MERGE_KEYS[name];
  if (key === undefined) return patch;
  const items = patch.filter(isObject);
  const replaces = items.some((item) => item['$patch'] === 'replace' && item[key] === undefined);
  const result = replaces ? [] : [...asArray(target)];
  for (const item of items) {
    if (item[key] === undefined) continue;
    const at = result.findIndex((other) => isObject(other) && sameJson(other[key], item[key]));
    if (item['$patch'] === 'delete') {
      if (at >= 0) result.splice(at, 1);
    } else if (at < 0) {
      result.push(strategicMerge({}, item));
    } else {
      result[at] = strategicMerge(result[at], item);
    }
  }
  return result;
}
