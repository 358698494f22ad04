import type { Cluster, JsonObject, KubeObject, Resource } from '../../src/lib/cluster/types.ts';
import type { LogLine } from '../../src/lib/sandbox/operator/index.ts';
import { followVm } from '../../src/lib/vm/follow.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import { CONDITIONS, type ConditionType, type Vm } from '../../src/lib/vm/types.ts';
import { ScriptedObjects } from './scripted-objects.ts';

export interface ScriptedVmOptions {
  /** Merged over `spec`: two CPUs of four, a SPICE display. */
  spec?: JsonObject;
  vm?: JsonObject;
  /** See the property. */
  hostAheadMs?: number;
}

interface ConditionChange {
  type: ConditionType;
  status: 'True' | 'False';
  reason: string;
  message?: string;
}

const NAMESPACE = 'default';
const PATIENCE_MS = 30_000;
const STOPPED = { status: 'False', reason: 'VmStopped', message: 'The VM is not running' } as const;

const RAW: Resource<KubeObject> = { ...VMS, parse: (object) => object };

/** One VM whose manager, runner and guest are played by a test: each method writes what one of them was seen to write. */
export class ScriptedVm extends ScriptedObjects {
  readonly #log: LogLine[];
  #conditions: JsonObject[] = [];
  #serial = 0;
  #cpus: number;
  /** How much the clock of QEMU's host is ahead. */
  hostAheadMs = 0;

  private constructor(admin: Cluster, name: string, log: LogLine[], cpus: number) {
    super(admin, { namespace: NAMESPACE, name });
    this.#log = log;
    this.#cpus = cpus;
  }

  /** The VM as somebody applies it, and the conditions that the manager gives it: all False, Creation. */
  static async create(
    admin: Cluster,
    name: string,
    log: LogLine[],
    { spec = {}, vm = {}, hostAheadMs = 0 }: ScriptedVmOptions = {},
  ): Promise<ScriptedVm> {
    const machine = { maximumCpus: 4, currentCpus: 2, maximumRam: '2Gi', display: { spice: {} }, ...vm };
    await admin.create(VMS, NAMESPACE, { metadata: { name }, spec: { vm: machine, ...spec } });
    const scripted = new ScriptedVm(admin, name, log, machine.currentCpus);
    scripted.hostAheadMs = hostAheadMs;
    await scripted.conditions(
      ...CONDITIONS.map((type) => ({ type, status: 'False', reason: 'Creation' }) as const),
    );
    return scripted;
  }

  get(): Promise<Vm> {
    return this.admin.get(VMS, this.ref);
  }

  raw(): Promise<KubeObject> {
    return this.admin.get(RAW, this.ref);
  }

  /** Merged into the spec, as somebody else's change; `null` removes. */
  async spec(spec: JsonObject): Promise<void> {
    await this.admin.patch(VMS, this.ref, { type: 'merge', body: { spec } });
  }

  /** Merged into the status; `null` removes. */
  async status(status: JsonObject): Promise<void> {
    await this.admin.patch(VMS, this.ref, { type: 'merge', body: { status } }, { subresource: 'status' });
  }

  /** The time of a condition moves only when it turns, and is that of the host. */
  async conditions(...changes: ConditionChange[]): Promise<void> {
    await this.#report({}, changes);
  }

  async #report(status: JsonObject, changes: ConditionChange[]): Promise<void> {
    const now = new Date(Date.now() + this.hostAheadMs).toISOString();
    for (const { type, status, reason, message = '' } of changes) {
      const old = this.#conditions.find((condition) => condition['type'] === type);
      const lastTransitionTime = old?.['status'] === status ? old['lastTransitionTime'] : now;
      const others = this.#conditions.filter((condition) => condition !== old);
      const changed = { type, status, reason, message, observedGeneration: 1, lastTransitionTime };
      this.#conditions = [...others, changed];
    }
    await this.status({ ...status, conditions: this.#conditions });
  }

  /** A line of the runner's log; no two have the same time. */
  log(text: string): void {
    const last = this.#log.at(-1)?.at.getTime() ?? 0;
    this.#log.push({ at: new Date(Math.max(Date.now(), last + 1)), text });
  }

  /** Resolves to the VM as soon as it is so. */
  until(holds: (vm: Vm) => boolean): Promise<Vm> {
    return followVm(this.admin, this.ref, {
      resource: VMS,
      decide: (vm) => (holds(vm) ? { done: vm } : undefined),
      describe: (vm) => ({ state: JSON.stringify(vm) }),
      timeoutMs: PATIENCE_MS,
      signal: new AbortController().signal,
    });
  }

  /** Somebody deletes the VM: the object goes at once, the pod later. */
  async delete(): Promise<void> {
    await this.admin.delete(VMS, this.ref);
  }

  // The runner's and the guest's part, in the order of a start (docs/vm-operator.md).

  async runnerReports(): Promise<void> {
    await this.status({ runnerVersion: '4.0.3' });
  }

  /** QEMU is there and paused. */
  async machinePrepared(): Promise<void> {
    await this.status({ cpus: 1, ram: '2Gi' });
    await this.conditions(
      { type: 'Running', status: 'False', reason: 'RunnerStarted', message: 'The runner is up' },
      { type: 'Booted', status: 'False', reason: 'RunnerStarted', message: 'The runner is up' },
      { type: 'VmopAgentConnected', ...STOPPED },
      { type: 'ConsoleConnected', ...STOPPED },
      { type: 'UserLoggedIn', ...STOPPED },
    );
  }

  async cpusAdded(login: 'NotRequested' | 'VmopAgentDisconnected' = 'NotRequested'): Promise<void> {
    await this.status({ cpus: this.#cpus });
    const message = login === 'NotRequested' ? 'No log-in asked for' : 'Waiting for VMOP agent to connect';
    await this.conditions({ type: 'UserLoggedIn', status: 'False', reason: login, message });
  }

  async machineRuns(): Promise<void> {
    await this.conditions({ type: 'Running', status: 'True', reason: 'VmStarted', message: 'It runs' });
  }

  /** The runner has told QEMU a password, whether QEMU took it or not. */
  async passwordTold(): Promise<void> {
    await this.secretSeen();
    this.#serial += 1;
    await this.status({ displayPasswordSerial: this.#serial });
  }

  /** generateSecret is false. */
  async noPasswordTold(): Promise<void> {
    this.#serial = -1;
    await this.status({ displayPasswordSerial: -1 });
  }

  async guestBooted(): Promise<void> {
    await this.status({ osinfo: { name: 'Fedora Linux', 'pretty-name': 'Fedora Linux 42' } });
    await this.conditions({ type: 'Booted', status: 'True', reason: 'VmBooted' });
  }

  async agentGreets(): Promise<void> {
    await this.conditions({ type: 'VmopAgentConnected', status: 'True', reason: 'VmopAgentStarted' });
  }

  /** The agent is about to be told. */
  async loginProcessing(): Promise<void> {
    const message = 'A log-in is under way';
    await this.conditions({ type: 'UserLoggedIn', status: 'False', reason: 'Processing', message });
  }

  /** The condition is there at once; the name follows only when the agent has said so. */
  async loginAnnounced(): Promise<void> {
    const known = this.#conditions.find(({ type }) => type === 'UserLoggedIn');
    if (known?.['status'] !== 'True') await this.loginProcessing();
    await this.conditions({ type: 'UserLoggedIn', status: 'True', reason: 'LoggedIn' });
  }

  async loginDone(user: string): Promise<void> {
    await this.loginAnnounced();
    await this.status({ loggedInUser: user });
  }

  async logoutDone(): Promise<void> {
    await this.status({ loggedInUser: null });
    await this.conditions({ type: 'UserLoggedIn', status: 'False', reason: 'NotRequested' });
  }

  async consoleOpened(consoleClient: string): Promise<void> {
    await this.#report({ consoleClient }, [
      { type: 'ConsoleConnected', status: 'True', reason: 'Connected' },
    ]);
  }

  /** Who was there is thrown out, and the next is there within 35 ms. */
  async consoleTaken(client: string): Promise<void> {
    await this.consoleClosed();
    await this.consoleOpened(client);
  }

  async consoleClosed(): Promise<void> {
    const consoleClient = '';
    await this.#report({ consoleClient }, [
      { type: 'ConsoleConnected', status: 'False', reason: 'Disconnected' },
    ]);
  }

  async terminating(): Promise<void> {
    await this.conditions({ type: 'Running', status: 'True', reason: 'VmTerminating', message: 'It ends' });
  }

  async machineStopped(): Promise<void> {
    await this.conditions(
      ...CONDITIONS.filter((type) => type !== 'UserLoggedIn').map((type) => ({ type, ...STOPPED })),
      { type: 'UserLoggedIn', ...STOPPED },
    );
    await this.status({ loggedInUser: null });
  }

  /** Manager: the pod is gone. */
  async podGone(): Promise<void> {
    await this.status({ runnerVersion: null });
  }

  /** A whole start. */
  async starts(login: 'NotRequested' | 'VmopAgentDisconnected' = 'NotRequested'): Promise<void> {
    await this.runnerReports();
    await this.machinePrepared();
    await this.cpusAdded(login);
    await this.machineRuns();
    await this.passwordTold();
  }

  /** The API server's times of writes are those of this moment: none are better for a VM of long ago. */
  async #forgetWrites(): Promise<void> {
    const body = { metadata: { managedFields: [{}] } };
    await this.admin.patch(VMS, this.ref, { type: 'merge', body });
  }

  /** A whole stop, as a guest that obeys makes it. */
  async stops(): Promise<void> {
    await this.terminating();
    await this.machineStopped();
    await this.podGone();
  }

  /** It has run for long enough that nothing of the start is to come. */
  async hasRunForLong(): Promise<void> {
    this.hostAheadMs -= 3_600_000;
    await this.starts();
    this.hostAheadMs += 3_600_000;
    await this.#forgetWrites();
  }
}
