import type { JsonObject } from '../../cluster/types.ts';
import type { ConditionType, Vm } from '../../vm/types.ts';
import { conditionsOf, type ConditionObject } from './objects.ts';

/** The part of a VM's status that its runner writes. */
export interface RunnerStatus {
  conditions: ConditionObject[];
  runnerVersion: string | undefined;
  /** Counts the display passwords that were set; −1: none is asked for. */
  serial: number;
  loggedInUser: string | undefined;
  /** The console's client; empty when there is none. */
  consoleClient: string;
  cpus: number | undefined;
  ramBytes: number | undefined;
  osinfo: Record<string, string>;
}

export interface ConditionChange {
  type: ConditionType;
  status: boolean;
  reason: string;
  message: string;
}

const NOT_RUNNING = { status: false, reason: 'VmStopped', message: 'The VM is not running' };

/** What only makes sense while the machine runs. */
export const GUEST_IS_GONE: ConditionChange[] = [
  { type: 'VmopAgentConnected', ...NOT_RUNNING },
  { type: 'UserLoggedIn', ...NOT_RUNNING },
  { type: 'ConsoleConnected', ...NOT_RUNNING },
];

export function runnerStatusOf(vm: Vm, now: Date): RunnerStatus {
  const { runnerVersion, displayPasswordSerial, loggedInUser, consoleClient, cpus, ramBytes, osinfo } =
    vm.status;
  return {
    conditions: conditionsOf(vm, now),
    runnerVersion,
    serial: displayPasswordSerial ?? 0,
    loggedInUser,
    consoleClient: consoleClient ?? '',
    cpus,
    ramBytes,
    osinfo,
  };
}

/** The conditions after changes; a transition's time moves only when the condition turns. */
export function withConditions(
  conditions: ConditionObject[],
  changes: readonly ConditionChange[],
  observedGeneration: number,
  now: Date,
): ConditionObject[] {
  return conditions.map((current) => {
    const change = changes.findLast(({ type }) => type === current.type);
    if (change === undefined) return current;
    const status = change.status ? 'True' : 'False';
    const { reason, message } = change;
    if (status === current.status && reason === current.reason && message === current.message) return current;
    const lastTransitionTime = status === current.status ? current.lastTransitionTime : now.toISOString();
    return { type: current.type, status, observedGeneration, lastTransitionTime, reason, message };
  });
}

export function conditionHolds(conditions: ConditionObject[], type: ConditionType): boolean {
  return conditions.some((condition) => condition.type === type && condition.status === 'True');
}

/** A merge patch of `status`: `null` removes. */
export type StatusPatch = JsonObject;

/** What of the status differs, as a merge patch; empty when nothing does. */
export function statusDifference(before: RunnerStatus, after: RunnerStatus): StatusPatch {
  const patch: StatusPatch = {};
  const differs = (key: keyof RunnerStatus): boolean =>
    JSON.stringify(before[key]) !== JSON.stringify(after[key]);
  if (differs('conditions')) patch['conditions'] = after.conditions;
  if (differs('runnerVersion')) patch['runnerVersion'] = after.runnerVersion ?? null;
  if (differs('serial')) patch['displayPasswordSerial'] = after.serial;
  if (differs('loggedInUser')) patch['loggedInUser'] = after.loggedInUser ?? null;
  if (differs('consoleClient')) patch['consoleClient'] = after.consoleClient;
  if (differs('cpus')) patch['cpus'] = after.cpus ?? 0;
  // A quantity: a string, as in the CRD.
  if (differs('ramBytes')) patch['ram'] = String(after.ramBytes ?? 0);
  if (differs('osinfo')) patch['osinfo'] = Object.keys(after.osinfo).length > 0 ? after.osinfo : null;
  return patch;
}
