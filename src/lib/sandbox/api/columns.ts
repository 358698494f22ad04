import { asArray, asInteger, asObject, asString } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { ageText } from './age.ts';
import { lastSeen } from './events.ts';

/** A column of the table that `kubectl get` prints. */
export interface Column {
  name: string;
  type: 'string' | 'integer' | 'date';
  format: '' | 'name';
  description: string;
  /** Above 0: only with `-o wide`. */
  priority: 0 | 1;
  cell: (object: JsonObject, now: Date) => string | number | null;
}

/** A column as a CustomResourceDefinition has it, too. */
export interface CustomColumn extends Column {
  jsonPath: string;
}

const NONE = '<none>';

/** A column whose cell is the value at a path, or `''`. */
function field(name: string, path: string, description: string, priority: 0 | 1 = 0): Column {
  return column(name, description, (object) => textAt(object, path), priority);
}

function column(
  name: string,
  description: string,
  cell: Column['cell'],
  priority: 0 | 1 = 0,
  type: Column['type'] = 'string',
): Column {
  return { name, type, format: '', description, priority, cell };
}

function at(object: JsonObject, path: string): unknown {
  let value: unknown = object;
  for (const name of path.split('.')) value = asObject(value)[name];
  return value;
}

function textAt(object: JsonObject, path: string): string {
  const value = at(object, path);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : '';
}

/** Unlike those of Kubernetes' own kinds, these cells are null where there is no value. */
function customField(name: string, path: string, description: string, priority: 0 | 1 = 0): CustomColumn {
  const cell: Column['cell'] = (object) => (at(object, path) === undefined ? null : textAt(object, path));
  return { ...column(name, description, cell, priority), jsonPath: `.${path}` };
}

function conditionColumn(name: string, type: string, description: string, priority: 0 | 1 = 0): CustomColumn {
  const cell: Column['cell'] = (object) => {
    const conditions = asArray(at(object, 'status.conditions')).map(asObject);
    return asString(conditions.find((condition) => condition['type'] === type)?.['status']) ?? null;
  };
  const jsonPath = `.status.conditions[?(@.type=="${type}")].status`;
  return { ...column(name, description, cell, priority), jsonPath };
}

const name: Column = {
  ...field('Name', 'metadata.name', 'Name within the namespace'),
  format: 'name',
};

const age = column('Age', 'Time since the creation', (object, now) =>
  ageText(asString(at(object, 'metadata.creationTimestamp')), now),
);

const customAge: CustomColumn = { ...age, type: 'date', jsonPath: '.metadata.creationTimestamp' };

function entries(object: JsonObject, ...fields: string[]): number {
  return fields.reduce((sum, name) => sum + Object.keys(asObject(object[name])).length, 0);
}

/** Beside the name. */
const VM_CUSTOM_COLUMNS: CustomColumn[] = [
  customField('State', 'spec.vm.state', 'Wanted power state'),
  conditionColumn('Running', 'Running', 'Whether the machine runs'),
  customField('Console User', 'status.consoleUser', 'Who opened the console last'),
  customField('Logged In', 'status.loggedInUser', 'Who is logged in on the guest'),
  customField('Pool', 'status.assignment.pool', 'The pool that the VM is assigned from', 1),
  customField('Assigned To', 'status.assignment.user', 'Whom the pool assigned the VM to', 1),
  customField('CPUs', 'status.cpus', 'CPUs at the moment', 1),
  customField('RAM', 'status.ram', 'Memory at the moment', 1),
  conditionColumn('Booted', 'Booted', 'Whether the guest is up', 1),
  customAge,
];

const VM_POOL_CUSTOM_COLUMNS: CustomColumn[] = [
  customField('Retention', 'spec.retention', 'How long a VM stays assigned after its last use'),
  customField('Login', 'spec.loginOnAssignment', 'Whether the user is logged in on assignment'),
  customAge,
];

export const VM_COLUMNS: Column[] = [name, ...VM_CUSTOM_COLUMNS];
export const VM_POOL_COLUMNS: Column[] = [name, ...VM_POOL_CUSTOM_COLUMNS];

export const NAMESPACE_COLUMNS: Column[] = [name, field('Status', 'status.phase', 'Phase'), age];

export const SECRET_COLUMNS: Column[] = [
  name,
  field('Type', 'type', 'Type of the secret'),
  column('Data', 'Number of entries', (secret) => entries(secret, 'data'), 0, 'integer'),
  age,
];

export const CONFIG_MAP_COLUMNS: Column[] = [
  name,
  column('Data', 'Number of entries', (map) => entries(map, 'data', 'binaryData'), 0, 'integer'),
  age,
];

function containerStatuses(pod: JsonObject): JsonObject[] {
  return asArray(at(pod, 'status.containerStatuses')).map(asObject);
}

function podStatus(pod: JsonObject): string {
  if (at(pod, 'metadata.deletionTimestamp') !== undefined) return 'Terminating';
  const reasons = containerStatuses(pod).map((status) => {
    const state = asObject(status['state']);
    return asString(asObject(state['waiting'] ?? state['terminated'])['reason']);
  });
  return (
    reasons.findLast((reason) => reason !== undefined) ??
    (textAt(pod, 'status.reason') || textAt(pod, 'status.phase'))
  );
}

export const POD_COLUMNS: Column[] = [
  name,
  column('Ready', 'Containers that are ready, of all', (pod) => {
    const ready = containerStatuses(pod).filter((status) => status['ready'] === true).length;
    return `${ready}/${asArray(at(pod, 'spec.containers')).length}`;
  }),
  column('Status', 'Phase, or why it is not running', podStatus),
  column('Restarts', 'Restarts of all containers', (pod) =>
    String(containerStatuses(pod).reduce((sum, status) => sum + (asInteger(status['restartCount']) ?? 0), 0)),
  ),
  age,
  column('IP', 'Address of the pod', (pod) => textAt(pod, 'status.podIP') || NONE, 1),
  column('Node', 'Where it runs', (pod) => textAt(pod, 'spec.nodeName') || NONE, 1),
];

export const EVENT_COLUMNS: Column[] = [
  column('Last Seen', 'Time since it was last seen', (event, now) =>
    ageText(lastSeen(event) ?? asString(at(event, 'metadata.creationTimestamp')), now),
  ),
  field('Type', 'type', 'Normal or Warning'),
  field('Reason', 'reason', 'Short, machine-readable'),
  column('Object', 'What it is about', (event) => {
    const kind = textAt(event, 'involvedObject.kind').toLowerCase();
    return `${kind}/${textAt(event, 'involvedObject.name')}`;
  }),
  column('Message', 'For a person to read', (event) => textAt(event, 'message').trim()),
  { ...field('Name', 'metadata.name', 'Name of the event', 1), format: 'name' },
];
