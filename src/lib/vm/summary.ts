import { compact } from '../cluster/parse.ts';
import { permissionsOn, poolOf, type Subject } from './permissions.ts';
import { consoleUse, phaseOf, type ConsoleUse, type VmPhase } from './state.ts';
import { PERMISSIONS, type Permission, type PowerState, type Vm, type VmPool } from './types.ts';

/** One VM as `vmop list` tells it: its `--json` form. Sizes in bytes. */
export interface VmSummary {
  name: string;
  namespace: string;
  /** `gone`: it was deleted or is no longer yours, while the list is watched. */
  state: VmPhase | 'gone';
  wantedState: PowerState;
  /** Logged in on the guest, as its agent confirmed. */
  loggedInUser?: string;
  console: ConsoleUse;
  pools: string[];
  assignment?: { pool: string; user: string };
  cpus?: number;
  memoryBytes?: number;
  /** What the asking user may do. */
  may: Permission[];
  createdAt?: Date;
  /** What in the object could not be understood. */
  problems: string[];
}

export function summarize(vm: Vm, pools: readonly VmPool[], subject: Subject): VmSummary {
  const { status, spec } = vm;
  const may = permissionsOn(vm, poolOf(vm, pools), subject);
  const running = phaseOf(vm) === 'running';
  return compact({
    name: vm.name,
    namespace: vm.namespace,
    state: phaseOf(vm),
    wantedState: spec.state,
    loggedInUser: running ? status.loggedInUser : undefined,
    console: consoleUse(vm),
    pools: spec.pools,
    assignment: status.assignment && { pool: status.assignment.pool, user: status.assignment.user },
    cpus: (running ? status.cpus : undefined) ?? spec.currentCpus ?? spec.maximumCpus,
    memoryBytes: (running ? status.ramBytes : undefined) ?? spec.currentRamBytes ?? spec.maximumRamBytes,
    may: PERMISSIONS.filter((permission) => may.has(permission)),
    createdAt: vm.createdAt,
    problems: vm.problems,
  });
}
