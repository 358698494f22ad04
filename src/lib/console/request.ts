import type { Cluster } from '../cluster/types.ts';
import type { Permission, VmPool } from '../vm/types.ts';
import type { EndpointOverrides } from './reach/endpoint.ts';
import type { TunnelChoice } from '../console-choices.ts';

/** What a person sees while a console is opened. */
export interface ConsoleHooks {
  /** What is done now. */
  onStep: (text: string) => void;
  /** What was done and stays done; not shown when quiet. */
  onNote: (text: string) => void;
  /** What the person should know though it stops nothing. */
  onWarning: (text: string) => void;
  /** Only with `-v`. */
  onDetail: (text: string) => void;
  /** The console is there for the first time: what comes now is the person's time. */
  onConnected?: (() => void) | undefined;
  /** Asks the person; absent where nobody can be asked. */
  confirm?: ((question: string) => Promise<boolean>) | undefined;
}

/** Who shall be logged in on the guest, and when: before the viewer is started, or once it is connected. */
export interface ConsoleLogin {
  user: string;
  first: boolean;
}

export interface ConsoleRequest {
  /** My name in VM-Operator. */
  me: string;
  permissions: ReadonlySet<Permission>;
  pool: VmPool | undefined;
  take: boolean;
  login: ConsoleLogin | undefined;
  /** How long the guest's agent may take for that. */
  loginMs: number;
  overrides: EndpointOverrides;
  /** Names of hosts as the cluster knows them → as they are reached from here. */
  hosts: Readonly<Record<string, string>>;
  tunnel: TunnelChoice;
  /** The flag that has to work without vmop, and so cannot lead through it. */
  leaving?: '--file' | '--detach' | undefined;
  validitySeconds: number;
  /** How long to wait for the runner to confirm a new password. */
  confirmMs: number;
  signal: AbortSignal;
  /** The same cluster, to tidy up with: the signal does not end its calls, short time-outs do. */
  afterwards: Cluster;
}
