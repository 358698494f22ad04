import { badRequest, notAcceptable } from './status.ts';

/** What a request's URL and method are about. */
export interface Target {
  /** As Kubernetes' rules name it; for other paths the method in small letters. */
  verb: string;
  method: string;
  path: string;
  query: URLSearchParams;
  /** undefined: the path names no resource (discovery, health). */
  resource: ResourceTarget | undefined;
}

export interface ResourceTarget {
  group: string;
  version: string;
  plural: string;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
}

const VERBS: Record<string, [one: string, many: string]> = {
  GET: ['get', 'list'],
  HEAD: ['get', 'list'],
  POST: ['create', 'create'],
  PUT: ['update', 'update'],
  PATCH: ['patch', 'patch'],
  DELETE: ['delete', 'deletecollection'],
};

export function parseTarget(method: string, url: string): Target {
  const parsed = URL.parse(url, 'https://localhost');
  if (parsed === null) throw badRequest(`the request's URL cannot be understood: ${url}`);
  const { pathname, searchParams: query } = parsed;
  const resource = parseResource(pathname);
  const target = { method, path: pathname, query, resource };
  if (resource === undefined) return { ...target, verb: method.toLowerCase() };
  const [one, many] = VERBS[method] ?? [method.toLowerCase(), method.toLowerCase()];
  const verb = resource.name === undefined ? many : one;
  const watches = method === 'GET' && verb === 'list' && isTrue(query, 'watch');
  return { ...target, verb: watches ? 'watch' : verb };
}

export function isTrue(query: URLSearchParams, name: string): boolean {
  return ['1', 'true'].includes(query.get(name) ?? '');
}

/** A query's number; a 400 where it is none. */
export function integerParameter(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`${name} is not a number: "${text}"`);
  return Number(text);
}

function parseResource(path: string): ResourceTarget | undefined {
  const segments = decodeSegments(path);
  const [root, ...rest] = segments;
  const group = root === 'api' ? '' : root === 'apis' ? rest.shift() : undefined;
  const version = rest.shift();
  if (group === undefined || version === undefined || rest.length === 0 || rest.includes(''))
    return undefined;
  const [first, second, ...tail] = rest;
  const inNamespace = first === 'namespaces' && second !== undefined && tail.length > 0;
  // What may follow a namespace's own name are its subresources.
  const isNamespace = inNamespace && tail.length === 1 && ['status', 'finalize'].includes(tail[0] ?? '');
  const [plural = '', name, subresource, ...extra] = inNamespace && !isNamespace ? tail : rest;
  if (extra.length > 0) return undefined;
  // A namespace is in itself, as far as rules and messages go.
  const namespace = inNamespace && !isNamespace ? second : plural === 'namespaces' ? name : undefined;
  return { group, version, plural, namespace, name, subresource };
}

function decodeSegments(path: string): string[] {
  try {
    return path.split('/').slice(1).map(decodeURIComponent);
  } catch {
    throw badRequest(`the path is not well encoded: ${path}`);
  }
}

/** How an object or list is sent. */
export type Representation = 'object' | 'table';

/** What the `Accept` header asks for first of what there is; a 406 when nothing fits. */
export function negotiate(accept: string | undefined, tables: boolean): Representation {
  if (accept === undefined || accept.trim() === '') return 'object';
  for (const range of accept.split(',')) {
    const [type = '', ...rest] = range.split(';').map((part) => part.trim());
    const parameters = new Map(rest.map((part) => [part.split('=')[0], part.split('=')[1]] as const));
    if (!['application/json', 'application/*', '*/*'].includes(type)) continue;
    const as = parameters.get('as');
    if (as === undefined) return 'object';
    if (as === 'Table' && tables) return 'table';
  }
  throw notAcceptable();
}
