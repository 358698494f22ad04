/** What the runner tells a driver about one machine to start. Sizes in bytes. */
export interface MachineSpec {
  name: string;
  namespace: string;
  uid: string;
  /** A private folder (0700) of this machine: sockets, logs. Short enough for a unix socket path in it. */
  directory: string;
  maximumCpus: number;
  currentCpus: number;
  maximumRamBytes: number;
  currentRamBytes: number;
  /** The SPICE port on loopback; undefined: no display. */
  spicePort: number | undefined;
  /** `true`: the display asks for a password (locked until one is set). */
  passwordProtected: boolean;
  /** The VM's annotations: the simulated driver reads its script from `sandbox.vmop/*`. */
  annotations: Record<string, string>;
}

export type ExitCause =
  /** The guest powered off by itself. */
  | 'guest'
  /** `powerDown` or `kill` was asked for. */
  | 'host'
  /** The process died or could not start. */
  | 'failed';

export type MachineEvent =
  /** Created and paused, CPUs and RAM known: VM-Operator's RunnerStarted. */
  | { type: 'created'; cpus: number; ramBytes: number }
  /** The CPUs run: VmStarted. */
  | { type: 'started' }
  | { type: 'resized'; cpus: number; ramBytes: number }
  /** The guest's operating system is up. */
  | { type: 'booted'; osinfo?: Record<string, string> }
  /** One line that the guest's agent wrote, without its line end. */
  | { type: 'agentLine'; line: string }
  /** The guest closed the agent's port. */
  | { type: 'agentGone' }
  /** A SPICE main channel passed authentication; `client` is its address. */
  | { type: 'consoleConnected'; client: string; port: number }
  | { type: 'consoleDisconnected'; client: string; port: number }
  /** For the runner's log; never holds a password. */
  | { type: 'log'; line: string }
  | { type: 'exited'; cause: ExitCause; message: string };

export interface Machine {
  /**
   * Sets the display password and when it ends. `expiry` is `now`, `never`, `+seconds` or epoch seconds, as in the
   * Secret; anything else is refused with an error and changes nothing. `undefined` leaves that part as it is.
   */
  setDisplayPassword(password: string | undefined, expiry: string | undefined): Promise<void>;
  /** Writes one line to the guest's agent; lost when nobody listens. */
  sendToAgent(line: string): void;
  reset(): Promise<void>;
  /** Asks the guest to power off (ACPI); resolves when the request is sent, `exited` follows when it complies. */
  powerDown(): Promise<void>;
  /** Ends the machine now; resolves after its process is gone. */
  kill(): Promise<void>;
  /** As near as the machine can get; resolves to what it has then. */
  resize(cpus: number, ramBytes: number): Promise<{ cpus: number; ramBytes: number }>;
  /** Lets go of the machine without ending it (the sandbox itself stops or restarts). */
  detach(): void;
}

/** Runs machines. One implementation per way of running them; the runner above knows no other difference. */
export interface Driver {
  readonly name: string;
  /** Starts a machine; events arrive in order, the first one after `start` was called. Rejects when it cannot start. */
  start(spec: MachineSpec, onEvent: (event: MachineEvent) => void): Promise<Machine>;
  /**
   * Takes over a machine that an earlier process of the sandbox started and that still runs; undefined when there is
   * none. Emits `created`, `started`, `booted` as far as they already hold.
   */
  adopt(spec: MachineSpec, onEvent: (event: MachineEvent) => void): Promise<Machine | undefined>;
  /** Ends whatever runs in `directory` without having adopted it (`sandbox stop` after a crash). */
  reap(directory: string): Promise<void>;
}
