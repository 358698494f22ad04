import { CONDITIONS, type VmPool } from '../../vm/types.ts';
import { DP_VERSION, isOver, REVISION } from './resources.ts';
import type { DisplaySecret, OperatedVm, RunnerConfigMap, RunnerPod } from './resources.ts';
import { runnerConfig, type RunnerConfig } from './runner-config.ts';

/** All that the manager knows of one VM's name. */
export interface Observed {
  /** undefined: there is none, or no longer. */
  vm: OperatedVm | undefined;
  /** The pool that the VM is assigned from. */
  pool: VmPool | undefined;
  pod: RunnerPod | undefined;
  configMap: RunnerConfigMap | undefined;
  secret: DisplaySecret | undefined;
  /** Runners of this VM that failed one after another. */
  failures: number;
}

export type Action =
  | { type: 'initStatus' }
  | { type: 'clearRunnerVersion' }
  | { type: 'createSecret' }
  | { type: 'writeConfig'; config: RunnerConfig; revision: string }
  | { type: 'createPod'; revision: string }
  /** Tells the pod of a new state of the ConfigMap, the Secret, or both. */
  | { type: 'touchPod'; revision?: string; secretVersion?: string }
  /** Has the guest power down. */
  | { type: 'endPod' }
  /** When its runner is over. `failed`: it is to be tried again. */
  | { type: 'deletePod'; failed: boolean }
  | { type: 'deleteConfig' }
  /** The guest powered off by itself: the VM shall stay off. */
  | { type: 'stopVm' }
  | { type: 'lookAgain'; afterMs: number };

const FIRST_RESTART_MS = 250;
const LONGEST_RESTART_MS = 60_000;

/**
 * What leads from how things are to how they shall be; empty when nothing is to be done. The actions are carried out
 * in order, and each is safe to repeat.
 */
export function reconcile(observed: Observed, now: Date): Action[] {
  const { vm, pod, configMap } = observed;
  if (vm === undefined || vm.deleting)
    return [...endPod(pod), ...(configMap ? [{ type: 'deleteConfig' } as const] : [])];
  const actions: Action[] = hasAllConditions(vm) ? [] : [{ type: 'initStatus' }];
  if (pod === undefined && vm.status.runnerVersion !== undefined)
    actions.push({ type: 'clearRunnerVersion' });
  // An earlier VM of this name: its pod has to be gone first.
  if (pod !== undefined && pod.ownerUid !== vm.uid) return [...actions, ...endPod(pod)];
  if (vm.spec.state === 'Stopped') return [...actions, ...endPod(pod)];
  return [...actions, ...keepRunning(vm, observed, now)];
}

function hasAllConditions({ status }: OperatedVm): boolean {
  return CONDITIONS.every((type) => status.conditions.some((condition) => condition.type === type));
}

function endPod(pod: RunnerPod | undefined): Action[] {
  if (pod === undefined) return [];
  if (isOver(pod)) return [{ type: 'deletePod', failed: false }];
  return pod.ending ? [] : [{ type: 'endPod' }];
}

function keepRunning(vm: OperatedVm, observed: Observed, now: Date): Action[] {
  const { pod } = observed;
  // A start while the last run ends.
  if (pod?.ending) return endPod(pod);
  if (pod?.phase === 'Succeeded') return [{ type: 'stopVm' }, { type: 'deletePod', failed: false }];
  if (pod?.phase === 'Failed') return restart(pod, observed.failures, now);
  const loggedInUser = effectiveUser(vm, observed.pool);
  const revision = revisionOf(vm, loggedInUser);
  const { configMap } = observed;
  const stale = configMap?.revision !== revision || configMap.ownerUid !== vm.uid;
  if (pod !== undefined && !stale) return inform(pod, observed, revision);
  const { actions, hasDisplayPassword } = ensureSecret(vm, observed.secret);
  const config = runnerConfig({ vm, loggedInUser, hasDisplayPassword });
  actions.push({ type: 'writeConfig', config, revision });
  actions.push(pod === undefined ? { type: 'createPod', revision } : { type: 'touchPod', revision });
  return actions;
}

/** A failed runner is tried again, later each time. */
function restart(pod: RunnerPod, failures: number, now: Date): Action[] {
  const pauseMs = Math.min(FIRST_RESTART_MS * 2 ** failures, LONGEST_RESTART_MS);
  const dueMs = (pod.finishedAt ?? now).getTime() + pauseMs - now.getTime();
  return dueMs > 0 ? [{ type: 'lookAgain', afterMs: dueMs }] : [{ type: 'deletePod', failed: true }];
}

/** A Secret that is deleted while the VM runs is made again only when something else changes. */
function ensureSecret(
  vm: OperatedVm,
  secret: DisplaySecret | undefined,
): { actions: Action[]; hasDisplayPassword: boolean } {
  const create = secret === undefined && vm.spec.spice?.generateSecret === true;
  return {
    actions: create ? [{ type: 'createSecret' }] : [],
    hasDisplayPassword: secret !== undefined || create,
  };
}

function inform(pod: RunnerPod, { secret }: Observed, revision: string): Action[] {
  const configChanged = pod.annotations[REVISION] !== revision;
  const secretChanged = secret !== undefined && pod.annotations[DP_VERSION] !== secret.resourceVersion;
  if (!configChanged && !secretChanged) return [];
  return [
    {
      type: 'touchPod',
      ...(configChanged ? { revision } : {}),
      ...(secretChanged ? { secretVersion: secret.resourceVersion } : {}),
    },
  ];
}

/** With `loginOnAssignment` the assignment's user overrides the VM's own field. */
function effectiveUser(vm: OperatedVm, pool: VmPool | undefined): string | undefined {
  const { assignment } = vm.status;
  return assignment && pool?.loginOnAssignment === true ? assignment.user : vm.loginText;
}

/** Differs whenever the runner has to be configured anew: on any change of the spec, and of the wanted user. */
function revisionOf(vm: OperatedVm, loggedInUser: string | undefined): string {
  return `${vm.generation}${loggedInUser === undefined ? '' : ` login ${loggedInUser}`}`;
}
