import type { MachineEvent } from '../drivers/driver.ts';
import type { RunnerConfig } from './runner-config.ts';
import type { RunnerStatus, StatusPatch } from './runner-status.ts';

export type RunnerPhase =
  /** Not configured yet. */
  | 'new'
  /** Looks for the machine that an earlier process of the sandbox started. */
  | 'adopting'
  /** Has one CPU only: VM-Operator never lets such a machine run. */
  | 'held'
  | 'starting'
  | 'created'
  | 'running'
  | 'terminating'
  | 'stopped';

/** What the display Secret holds. */
export interface DisplayPassword {
  password?: string | undefined;
  /** `now`, `never`, `+seconds` or epoch seconds. */
  expiry?: string | undefined;
}

export interface RunnerState {
  phase: RunnerPhase;
  /** The pod was found running: its machine may run, too. */
  adopt: boolean;
  /** RunnerStarted has been reported. */
  announced: boolean;
  config: RunnerConfig | undefined;
  status: RunnerStatus;
  /** What the Secret holds and the machine has not been told yet. */
  pendingPassword: DisplayPassword | undefined;
  /** What the machine was told. */
  password: DisplayPassword;
  /** The name of the last `login` that was sent. */
  sentLogin: string | undefined;
  /** The SPICE main channel that counts. */
  console: { client: string; port: number } | undefined;
}

export type RunnerTimer = 'displayPassword' | 'powerdown';

export type RunnerInput =
  | { type: 'configured'; config: RunnerConfig; secret: DisplayPassword | undefined }
  | { type: 'machine'; event: MachineEvent }
  /** The machine of an earlier process is in hand, and its events so far have been given. */
  | { type: 'adopted' }
  /** There is no machine to adopt. */
  | { type: 'lost' }
  /** `withinSeconds`: when that is less than the VM's powerdownTimeout. */
  | { type: 'terminate'; withinSeconds?: number | undefined }
  | { type: 'timer'; timer: RunnerTimer };

export type RunnerOutcome = 'succeeded' | 'failed';

export type RunnerEffect =
  | { type: 'status'; patch: StatusPatch }
  | { type: 'event'; action: 'StatusUpdate' | 'ConsoleConnectionUpdate'; reason: string; note?: string }
  | { type: 'start'; config: RunnerConfig }
  | { type: 'adopt'; config: RunnerConfig }
  | { type: 'setPassword'; password: string }
  | { type: 'setExpiry'; expiry: string }
  | { type: 'tellAgent'; line: string }
  | { type: 'reset' }
  | { type: 'resize'; cpus: number; ramBytes: number }
  | { type: 'powerDown' }
  | { type: 'kill' }
  | { type: 'timer'; timer: RunnerTimer; afterMs: number }
  | { type: 'log'; line: string }
  /** The runner's work is done: its container ends. */
  | { type: 'finished'; outcome: RunnerOutcome };

export function initialRunnerState(status: RunnerStatus, adopt: boolean): RunnerState {
  return {
    phase: 'new',
    adopt,
    announced: false,
    config: undefined,
    status,
    pendingPassword: undefined,
    password: {},
    sentLogin: undefined,
    console: undefined,
  };
}
