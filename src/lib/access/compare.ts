import { asObject, isObject } from '../cluster/parse.ts';
import type { KubeObject } from '../cluster/types.ts';
import type { AccessObject } from './types.ts';

/** What a kind's objects consist of, besides their metadata. */
const CONTENTS = ['rules', 'roleRef', 'subjects', 'spec'];

/**
 * Where the object in the cluster is not what it should be, e.g. `rules[0].resourceNames: ["a"], not ["a","b"]`;
 * empty when it is. Labels and annotations of others do not count.
 */
export function accessDifferences(wanted: AccessObject, actual: KubeObject): string[] {
  const contents = asObject(wanted);
  const { labels, annotations } = wanted.metadata;
  return [
    ...additions(labels, actual.metadata.labels, 'metadata.labels'),
    ...additions(annotations, actual.metadata.annotations, 'metadata.annotations'),
    ...CONTENTS.flatMap((key) => differences(contents[key], actual[key], key)),
  ];
}

function additions(
  wanted: Record<string, string> = {},
  actual: Record<string, string> = {},
  path: string,
): string[] {
  return Object.entries(wanted).flatMap(([key, value]) => differences(value, actual[key], `${path}.${key}`));
}

/** Servers fill in what is empty, and later versions may fill in more of it. */
function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === '' ||
    (Array.isArray(value) && value.length === 0) ||
    (isObject(value) && Object.keys(value).length === 0)
  );
}

function differences(wanted: unknown, actual: unknown, path: string): string[] {
  if (isEmpty(wanted) && isEmpty(actual)) return [];
  if (isObject(wanted) && isObject(actual)) {
    const keys = new Set([...Object.keys(wanted), ...Object.keys(actual)]);
    return [...keys].flatMap((key) => differences(wanted[key], actual[key], `${path}.${key}`));
  }
  if (Array.isArray(wanted) && Array.isArray(actual) && wanted.some(isObject)) {
    return Array.from({ length: Math.max(wanted.length, actual.length) }, (_, index) =>
      differences(wanted[index], actual[index], `${path}[${index}]`),
    ).flat();
  }
  const [is, should] = [JSON.stringify(actual), JSON.stringify(wanted)];
  if (is === should) return [];
  if (is === undefined) return [`${path} is missing, should be ${should}`];
  return [
    should === undefined ? `${path} is ${is}, should not be there` : `${path} is ${is}, should be ${should}`,
  ];
}
