/** VM-Operator's objects as vmop understands them: parsed, with defaults filled in. Sizes in bytes, times as Date. */

export const GROUP = 'vmoperator.jdrupes.org';
export const VERSION = 'v1';

export const PERMISSIONS = ['start', 'stop', 'reset', 'accessConsole', 'takeConsole'] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** One entry of `spec.permissions`: a user or a role, and what it may do. */
export interface Grant {
  user?: string;
  role?: string;
  may: (Permission | '*')[];
}

export type PowerState = 'Running' | 'Stopped';

export interface Spice {
  /** 5900 where the object names none. */
  port: number;
  /** Overrides the pod's address. */
  server?: string;
  proxyUrl?: string;
  generateSecret: boolean;
}

export interface VmSpec {
  state: PowerState;
  maximumCpus?: number;
  currentCpus?: number;
  maximumRamBytes?: number;
  currentRamBytes?: number;
  powerdownTimeoutSeconds: number;
  pools: string[];
  permissions: Grant[];
  /** Who shall be logged in on the guest. */
  loggedInUser?: string;
  /** undefined: the VM has no SPICE display. */
  spice?: Spice;
}

export const CONDITIONS = [
  'Running',
  'Booted',
  'VmopAgentConnected',
  'UserLoggedIn',
  'ConsoleConnected',
] as const;
export type ConditionType = (typeof CONDITIONS)[number];

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  lastTransitionTime?: Date;
  observedGeneration?: number;
}

export interface Assignment {
  pool: string;
  user: string;
  lastUsed?: Date;
}

export interface VmStatus {
  /** Present while a runner pod works for the VM. */
  runnerVersion?: string;
  cpus?: number;
  ramBytes?: number;
  consoleClient?: string;
  consoleUser?: string;
  /** Who is logged in on the guest, as the guest's agent confirmed. */
  loggedInUser?: string;
  /** −1: no password protection. */
  displayPasswordSerial?: number;
  osinfo: Record<string, string>;
  assignment?: Assignment;
  conditions: Condition[];
}

export interface Vm {
  name: string;
  namespace: string;
  /** How a command names it: `name`, or `namespace/name` where a bare name is looked for in another namespace. */
  argument: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  createdAt?: Date;
  /** By the API server's clock; absent where it does not say. */
  conditionsWrittenAt?: Date;
  deleting: boolean;
  annotations: Record<string, string>;
  labels: Record<string, string>;
  spec: VmSpec;
  status: VmStatus;
  /** What in the object could not be understood; empty when all is well. */
  problems: string[];
}

export interface VmPool {
  name: string;
  namespace: string;
  permissions: Grant[];
  /** ISO 8601 duration or time. */
  retention: string;
  loginOnAssignment: boolean;
  problems: string[];
}
