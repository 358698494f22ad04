import { asDate, asObject, asString, compact } from '../cluster/parse.ts';
import type { KubeObject, Resource } from '../cluster/types.ts';

/** An Event of `events.k8s.io/v1` as vmop shows it. */
export interface VmEvent {
  at?: Date;
  type: string;
  reason: string;
  action: string;
  note: string;
}

export const EVENTS: Resource<VmEvent> = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
  parse: parseEvent,
};

/** An Event with the uid of what it is about; undefined where its writer did not say. */
export const REGARDING_EVENTS: Resource<{ event: VmEvent; uid: string | undefined }> = {
  ...EVENTS,
  parse: (object) => ({
    event: parseEvent(object),
    uid: asString(asObject(object['regarding'])['uid']),
  }),
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
  });
}

/** Selects the events that are about one VM. */
export function eventsOf(name: string): string {
  return `regarding.kind=VirtualMachine,regarding.name=${name}`;
}
