import { asObject, asString, isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { metaText } from './metadata.ts';
import { invalid } from './status.ts';

/** What the fields of an event are called in events.k8s.io/v1 (left) and in core v1, in which they are stored. */
const NAMES: readonly (readonly [string, string])[] = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
];

const TO_CORE = new Map(NAMES);
const TO_NEW = new Map(NAMES.map(([newer, core]) => [core, newer]));

export function toCoreEvent(event: JsonObject): JsonObject {
  return { ...renamed(event, TO_CORE), apiVersion: 'v1', kind: 'Event' };
}

export function toNewEvent(event: JsonObject): JsonObject {
  return { ...renamed(event, TO_NEW), apiVersion: 'events.k8s.io/v1', kind: 'Event' };
}

function renamed(event: JsonObject, names: ReadonlyMap<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(event).map(([name, value]) => [names.get(name) ?? name, value]));
}

/** Throws a 422 for an event (stored form) that is in another namespace than what it is about. */
export function checkedEvent(event: JsonObject): JsonObject {
  const namespace = metaText(event, 'namespace');
  const about = asString(asObject(event['involvedObject'])['namespace']) ?? '';
  // What is in no namespace has its events in the default one.
  if (about === namespace || (about === '' && namespace === 'default')) return event;
  const message = `Invalid value: ${JSON.stringify(about)}: does not match event.namespace`;
  const field = 'involvedObject.namespace';
  throw invalid('', 'Event', metaText(event, 'name'), [{ field, reason: 'FieldValueInvalid', message }]);
}

/** A field selector's path in the stored form. */
export function renameEventFields(path: string): string {
  const [first = '', ...rest] = path.split('.');
  return [TO_CORE.get(first) ?? first, ...rest].join('.');
}

/** When an event was last seen, as its writers note it in three different ways. */
export function lastSeen(event: JsonObject): string | undefined {
  const { series } = event;
  const seen = isObject(series) ? asString(series['lastObservedTime']) : undefined;
  return seen ?? asString(event['lastTimestamp']) ?? asString(event['eventTime']);
}
