import { compact } from '../cluster/parse.ts';
import type { Subject } from './permissions.ts';
import { agentOf, isStaleStop, startObstacle, wantedUser, type GuestAgent } from './state.ts';
import { summarize, type VmSummary } from './summary.ts';
import type { Condition, Grant, Vm, VmPool } from './types.ts';
import type { VmEvent } from './events.ts';

/** What is known of the display password without reading it. */
export interface PasswordState {
  /** The Secret's name; absent: there is none. */
  secret?: string;
  /** How often the runner has set a password; −1: the display asks for none. */
  serial?: number;
  /** `now`, `never`, `+seconds` or a time; absent: the Secret names none, or may not be read. */
  expiry?: string | Date;
  /** Why the Secret could not be read. */
  unreadable?: string;
}

/** Everything about one VM: `vmop show`'s `--json` form. Sizes in bytes. */
export interface VmDetail extends VmSummary {
  /** Why a VM that should run does not. */
  obstacle?: string;
  wantedUser?: string;
  guestAgent: GuestAgent;
  guestOs: Record<string, string>;
  runnerVersion?: string;
  /** Where the VM has not yet got as many as it is to have. */
  wantedCpus?: number;
  wantedMemoryBytes?: number;
  maximumCpus?: number;
  maximumMemoryBytes?: number;
  display?: { port: number; server?: string; proxyUrl?: string };
  password: PasswordState;
  permissions: Grant[];
  conditions: Condition[];
  events: VmEvent[];
}

export interface DetailParts {
  pools: readonly VmPool[];
  pool: VmPool | undefined;
  subject: Subject;
  events: VmEvent[];
  password: PasswordState;
}

export function describeVm(vm: Vm, { pools, pool, subject, events, password }: DetailParts): VmDetail {
  const { spec, status } = vm;
  const { spice } = spec;
  const summary = summarize(vm, pools, subject);
  const unlessSo = (wanted: number | undefined, is: number | undefined): number | undefined =>
    wanted === is ? undefined : wanted;
  return compact({
    ...summary,
    wantedCpus: unlessSo(spec.currentCpus, summary.cpus),
    wantedMemoryBytes: unlessSo(spec.currentRamBytes, summary.memoryBytes),
    obstacle: startObstacle(vm),
    wantedUser: wantedUser(vm, pool),
    guestAgent: agentOf(vm),
    guestOs: status.osinfo,
    runnerVersion: status.runnerVersion,
    maximumCpus: spec.maximumCpus,
    maximumMemoryBytes: spec.maximumRamBytes,
    display: spice && compact({ port: spice.port, server: spice.server, proxyUrl: spice.proxyUrl }),
    password,
    permissions: spec.permissions,
    conditions: status.conditions.map((one) => (isStaleStop(vm, one) ? { ...one, message: '' } : one)),
    events,
  });
}
