import { VmopError } from '../errors.ts';
import type { ObjectRef, Resource } from './types.ts';

type Location = Pick<Resource<unknown>, 'group' | 'version' | 'plural' | 'namespaced'>;

export type Query = Record<string, string | number | boolean | undefined>;

export function apiVersionOf({ group, version }: Pick<Resource<unknown>, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** The URL path of a collection; `namespace` undefined means all namespaces. Error: `usage` for what names nothing. */
export function collectionPath(resource: Location, namespace: string | undefined, query: Query = {}): string {
  const root = resource.group === '' ? '/api' : `/apis/${resource.group}`;
  const scope = resource.namespaced && namespace !== undefined ? `/namespaces/${segment(namespace)}` : '';
  return `${root}/${resource.version}${scope}/${resource.plural}${queryString(query)}`;
}

export function objectPath(
  resource: Location,
  ref: ObjectRef,
  subresource?: string,
  query: Query = {},
): string {
  const tail = subresource === undefined ? '' : `/${subresource}`;
  const collection = collectionPath(resource, ref.namespace);
  return `${collection}/${segment(ref.name)}${tail}${queryString(query)}`;
}

/** `.`, `..` and nothing would make it the path of something else; no name of Kubernetes' has `/` or `%`. */
function segment(name: string): string {
  if (/^\.{0,2}$|[/%]/.test(name)) throw new VmopError('usage', `not a name: ${JSON.stringify(name)}`);
  return encodeURIComponent(name);
}

function queryString(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== '' && value !== false) parameters.set(key, String(value));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}
