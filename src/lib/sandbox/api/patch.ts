import { isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { sameJson } from './json.ts';

/** Why a JSON patch cannot be carried out on the object. */
export class PatchError extends Error {}

/** RFC 7396. Neither argument is changed; the result shares parts with both. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else set(result, key, mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}

/** As an own property whatever its name: `__proto__` in a patch is data. */
function set(object: JsonObject, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

/** RFC 6902. The target is not changed. Throws PatchError for an operation that does not fit it. */
export function jsonPatch(target: unknown, operations: readonly JsonObject[]): unknown {
  let document = structuredClone(target);
  for (const operation of operations) document = applyOperation(document, operation);
  return document;
}

/** Whether it has the form of a JSON patch, whatever its operations say. */
export function isJsonPatch(patch: unknown): patch is JsonObject[] {
  return (
    Array.isArray(patch) &&
    patch.every(
      (operation) => isObject(operation) && ['op', 'path', 'from'].every((name) => isText(operation[name])),
    )
  );
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}

function applyOperation(document: unknown, { op, path, from, value }: JsonObject): unknown {
  const tokens = parsePointer(path);
  if (value === undefined && (op === 'add' || op === 'replace' || op === 'test')) {
    throw new PatchError(`a value is missing in ${op}`);
  }
  switch (op) {
    case 'add':
      return add(document, tokens, structuredClone(value));
    case 'remove':
      return remove(document, tokens);
    case 'replace':
      return replace(document, tokens, structuredClone(value));
    case 'copy':
      return add(document, tokens, structuredClone(lookup(document, parsePointer(from))));
    case 'move': {
      const source = parsePointer(from);
      const moved = lookup(document, source);
      return add(remove(document, source), tokens, moved);
    }
    case 'test': {
      const found = lookup(document, tokens, true);
      if (sameJson(found, value)) return document;
      throw new PatchError(`testing path ${String(path)} failed`);
    }
    default:
      throw new PatchError(`unknown operation ${String(op)}`);
  }
}

function parsePointer(pointer: unknown): string[] {
  if (typeof pointer !== 'string') throw new PatchError('a path is missing');
  if (pointer !== '' && !pointer.startsWith('/')) throw new PatchError(`${pointer} is no path`);
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** `absentIsNull`: as kube-apiserver, which lets `test` find null where a key is absent. */
function lookup(document: unknown, tokens: string[], absentIsNull = false): unknown {
  let value = document;
  for (const [depth, token] of tokens.entries()) {
    if (Array.isArray(value)) value = value[index(token, value.length - 1)];
    else if (isObject(value) && Object.hasOwn(value, token)) value = value[token];
    else if (absentIsNull && isObject(value) && depth === tokens.length - 1) return null;
    else throw new PatchError(`path /${tokens.join('/')} does not exist`);
  }
  return value;
}

function index(token: string, last: number): number {
  const position = /^(0|[1-9]\d*)$/.test(token) ? Number(token) : NaN;
  if (position <= last) return position;
  throw new PatchError(`no index ${token} in a list with ${last + 1} items`);
}

/** The container of the last token; both ends of a move are worked on in place, on the document's own copy. */
function parentOf(document: unknown, tokens: string[]): { parent: unknown; token: string } {
  const token = tokens.at(-1);
  if (token === undefined) throw new PatchError('the whole document cannot be removed');
  return { parent: lookup(document, tokens.slice(0, -1)), token };
}

function add(document: unknown, tokens: string[], value: unknown): unknown {
  if (tokens.length === 0) return value;
  const { parent, token } = parentOf(document, tokens);
  if (Array.isArray(parent)) {
    parent.splice(token === '-' ? parent.length : index(token, parent.length), 0, value);
  } else if (isObject(parent)) {
    set(parent, token, value);
  } else {
    throw new PatchError(`path /${tokens.join('/')} does not exist`);
  }
  return document;
}

/** As in kube-apiserver, a key that is absent is replaced, too. */
function replace(document: unknown, tokens: string[], value: unknown): unknown {
  if (tokens.length === 0) return value;
  const { parent } = parentOf(document, tokens);
  return add(Array.isArray(parent) ? remove(document, tokens) : document, tokens, value);
}

function remove(document: unknown, tokens: string[]): unknown {
  lookup(document, tokens);
  const { parent, token } = parentOf(document, tokens);
  if (Array.isArray(parent)) parent.splice(Number(token), 1);
  else if (isObject(parent)) delete parent[token];
  return document;
}
