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
export function jsonPatch(target: unknown, operations: unknown[]): unknown {
  let document = structuredClone(target);
  for (const operation of operations) document = applyOperation(document, operation);
  return document;
}

/** What is wrong with a JSON patch as such, whatever it is applied to. */
export function jsonPatchProblem(patch: unknown): string | undefined {
  if (!Array.isArray(patch)) return 'a JSON patch is a list of operations';
  for (const operation of patch) {
    if (!isObject(operation)) return 'an operation of a JSON patch is an object';
    const { op, path, from } = operation;
    if (typeof op !== 'string' || !OPERATIONS.has(op)) return `unknown operation ${JSON.stringify(op)}`;
    if (typeof path !== 'string' || (path !== '' && !path.startsWith('/'))) return `no path in ${op}`;
    if ((op === 'move' || op === 'copy') && typeof from !== 'string') return `no from in ${op}`;
    if ((op === 'add' || op === 'replace' || op === 'test') && !Object.hasOwn(operation, 'value')) {
      return `no value in ${op}`;
    }
  }
  return undefined;
}

const OPERATIONS = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);

function applyOperation(document: unknown, operation: unknown): unknown {
  const { op, path, from, value } = isObject(operation) ? operation : {};
  const tokens = parsePointer(path);
  switch (op) {
    case 'add':
      return add(document, tokens, structuredClone(value));
    case 'remove':
      return remove(document, tokens);
    case 'replace':
      if (tokens.length === 0) return structuredClone(value);
      lookup(document, tokens);
      return add(remove(document, tokens), tokens, structuredClone(value));
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

function remove(document: unknown, tokens: string[]): unknown {
  lookup(document, tokens);
  const { parent, token } = parentOf(document, tokens);
  if (Array.isArray(parent)) parent.splice(Number(token), 1);
  else if (isObject(parent)) delete parent[token];
  return document;
}
