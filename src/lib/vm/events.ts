import { asDate, asObject, asString, compact } from '../cluster/parse.ts';
import type { KubeObject, Resource } from '../cluster/types.ts';

/** An Event of `events.k8s.io/v1` as vmop shows it. */
export interface VmEvent {
  at?: Date;
  type: string;
  reason: string;
  action: string;
  note: string;
  /** Of the object that it is about; absent where its writer did not say. */
  uid?: string;
}

export const EVENTS: Resource<VmEvent> = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
  parse: parseEvent,
};

function parseEvent(object: KubeObject): VmEvent {
  const series = asObject(object['series']);
  return compact({
    at:
      asDate(series['lastObservedTime']) ??
      asDate(object['eventTime']) ??
      asDate(object['deprecatedLastTimestamp']) ??
      asDate(object.metadata.creationTimestamp),
    type: asString(object['type']) ?? '',
    reason: asString(object['reason']) ?? '',
    action: asString(object['action']) ?? '',
    note: asString(object['note']) ?? '',
    uid: asString(asObject(object['regarding'])['uid']),
  });
}

/** Selects the events that are about one VM. */
export function eventsOf(name: string): string {
  return `regarding.kind=VirtualMachine,regarding.name=${name}`;
}
