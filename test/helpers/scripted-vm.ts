import assert from 'node:assert/strict';
import type { Cluster, JsonObject, KubeObject, ObjectRef, Resource } from '../../src/lib/cluster/types.ts';
import {
  DISPLAY_SECRETS,
  findDisplaySecret,
  type DisplaySecret,
} from '../../src/lib/console/secret/display-secret.ts';
import { passwordPatch, type PasswordChange } from '../../src/lib/console/secret/password.ts';
import { RUNNER_PODS } from '../../src/lib/console/runner-pod.ts';
import type { LogLine } from '../../src/lib/sandbox/operator/index.ts';
import { asObject } from '../../src/lib/cluster/parse.ts';
import { EVENTS } from '../../src/lib/vm/events.ts';
import { followVm } from '../../src/lib/vm/follow.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import { CONDITIONS, type ConditionType, type Vm } from '../../src/lib/vm/types.ts';

export interface ScriptedVmOptions {
  /** Merged over `spec`: two CPUs of four, a SPICE display. */
  spec?: JsonObject;
  vm?: JsonObject;
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

const CONFIG_MAPS: Resource<KubeObject> = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
  parse: (object) => object,
};

/** One VM whose manager, runner and guest are played by a test: each method writes what one of them was seen to write. */
export class ScriptedVm {
  readonly ref: ObjectRef;
  readonly #admin: Cluster;
  readonly #log: LogLine[];
  #conditions: JsonObject[] = [];
  #serial = 0;
  #cpus: number;
  /** How much the clock of QEMU's host is ahead. */
  hostAheadMs = 0;

  private constructor(admin: Cluster, name: string, log: LogLine[], cpus: number) {
    this.ref = { namespace: NAMESPACE, name };
    this.#admin = admin;
    this.#log = log;
    this.#cpus = cpus;
  }

  /** The VM as somebody applies it, and the conditions that the manager gives it: all False, Creation. */
  static async create(
    admin: Cluster,
    name: string,
    log: LogLine[],
    { spec = {}, vm = {} }: ScriptedVmOptions = {},
  ): Promise<ScriptedVm> {
    const machine = { maximumCpus: 4, currentCpus: 2, maximumRam: '2Gi', display: { spice: {} }, ...vm };
    await admin.create(VMS, NAMESPACE, { metadata: { name }, spec: { vm: machine, ...spec } });
    const scripted = new ScriptedVm(admin, name, log, machine.currentCpus);
    await scripted.conditions(
      ...CONDITIONS.map((type) => ({ type, status: 'False', reason: 'Creation' }) as const),
    );
    return scripted;
  }

  get name(): string {
    return this.ref.name;
  }

  get(): Promise<Vm> {
    return this.#admin.get(VMS, this.ref);
  }

  raw(): Promise<KubeObject> {
    return this.#admin.get(RAW, this.ref);
  }

  /** Merged into the spec, as somebody else's change; `null` removes. */
  async spec(spec: JsonObject): Promise<void> {
    await this.#admin.patch(VMS, this.ref, { type: 'merge', body: { spec } });
  }

  /** Merged into the status; `null` removes. */
  async status(status: JsonObject): Promise<void> {
    await this.#admin.patch(VMS, this.ref, { type: 'merge', body: { status } }, { subresource: 'status' });
  }

  /** The time of a condition moves only when it turns, and is that of the host. */
  async conditions(...changes: ConditionChange[]): Promise<void> {
    const now = new Date(Date.now() + this.hostAheadMs).toISOString();
    for (const { type, status, reason, message = '' } of changes) {
      const old = this.#conditions.find((condition) => condition['type'] === type);
      const lastTransitionTime = old?.['status'] === status ? old['lastTransitionTime'] : now;
      const others = this.#conditions.filter((condition) => condition !== old);
      const changed = { type, status, reason, message, observedGeneration: 1, lastTransitionTime };
      this.#conditions = [...others, changed];
    }
    await this.status({ conditions: this.#conditions });
  }

  /** A line of the runner's log; no two have the same time. */
  log(text: string): void {
    const last = this.#log.at(-1)?.at.getTime() ?? 0;
    this.#log.push({ at: new Date(Math.max(Date.now(), last + 1)), text });
  }

  /** Resolves to the VM as soon as it is so. */
  until(holds: (vm: Vm) => boolean): Promise<Vm> {
    return followVm(this.#admin, this.ref, {
      resource: VMS,
      decide: (vm) => (holds(vm) ? { done: vm } : undefined),
      describe: (vm) => ({ state: JSON.stringify(vm) }),
      timeoutMs: PATIENCE_MS,
      signal: new AbortController().signal,
    });
  }

  /** Manager: the runner's pod, whose addresses the kubelet tells later: none yet, where none are given. */
  async pod(...addresses: string[]): Promise<void> {
    const { name } = this.ref;
    await this.#admin.create(RUNNER_PODS, NAMESPACE, {
      metadata: { name, labels: this.#labels('vm-runner') },
      spec: { hostNetwork: true, containers: [{ name }] },
    });
    const body = { status: { podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) } };
    if (addresses.length > 0) {
      await this.#admin.patch(RUNNER_PODS, this.ref, { type: 'merge', body }, { subresource: 'status' });
    }
  }

  /** Manager: the runner's configuration. */
  async configMap(text: string): Promise<void> {
    const metadata = { name: this.name, labels: this.#labels('vm-runner') };
    await this.#admin.create(CONFIG_MAPS, NAMESPACE, { metadata, data: { 'config.yaml': text } });
  }

  async configText(): Promise<unknown> {
    const { data } = await this.#admin.get(CONFIG_MAPS, this.ref);
    return asObject(data)['config.yaml'];
  }

  async podAnnotations(): Promise<Record<string, string>> {
    return (
      (await this.#admin.get({ ...RUNNER_PODS, parse: ({ metadata }) => metadata }, this.ref)).annotations ??
      {}
    );
  }

  /** Runner: an event, whose whole text may be its reason. */
  async event(action: string, reason: string): Promise<void> {
    await this.#admin.create(EVENTS, NAMESPACE, {
      metadata: { generateName: `${this.name}-` },
      regarding: { kind: 'VirtualMachine', namespace: NAMESPACE, name: this.name },
      eventTime: new Date().toISOString().replace('Z', '000Z'),
      reportingController: 'vmoperator.jdrupes.org/vm-runner',
      reportingInstance: this.name,
      type: 'Normal',
      action,
      reason,
    });
  }

  /** Somebody deletes the VM: the object goes at once, the pod later. */
  async delete(): Promise<void> {
    await this.#admin.delete(VMS, this.ref);
  }

  async deleteSecret(): Promise<void> {
    await this.#admin.delete(DISPLAY_SECRETS, await this.secretNow());
  }

  #labels(component: string): JsonObject {
    return {
      'app.kubernetes.io/name': 'vm-runner',
      'app.kubernetes.io/component': component,
      'app.kubernetes.io/instance': this.ref.name,
    };
  }

  /** Manager: a display Secret, locked unless said otherwise. `null`: without the key. */
  async secret(
    content: { name?: string; password?: string | null; expiry?: string | null } = {},
  ): Promise<void> {
    const { name = `${this.ref.name}-display-secret`, password = 'of-the-manager', expiry = 'now' } = content;
    const encode = (text: string): string => Buffer.from(text).toString('base64');
    const data = {
      ...(password === null ? {} : { 'display-password': encode(password) }),
      ...(expiry === null ? {} : { 'password-expiry': encode(expiry) }),
    };
    const metadata = { name, labels: this.#labels('display-secret') };
    await this.#admin.create(DISPLAY_SECRETS, NAMESPACE, { metadata, data });
  }

  async secretNow(): Promise<DisplaySecret> {
    const { secret } = await findDisplaySecret(this.#admin, this.ref);
    assert.ok(secret, `${this.ref.name} has a display Secret`);
    return secret;
  }

  /** Another client's write to the Secret. */
  async changeSecret(change: PasswordChange): Promise<void> {
    const secret = await this.secretNow();
    await this.#admin.patch(DISPLAY_SECRETS, secret, passwordPatch(secret, change));
  }

  /** Resolves to the Secret as soon as its password is another one than this. */
  async secretAfter(password: string | undefined): Promise<DisplaySecret> {
    const seen = new AbortController();
    const signal = AbortSignal.any([seen.signal, AbortSignal.timeout(PATIENCE_MS)]);
    const { name } = await this.secretNow();
    try {
      for await (const change of this.#admin.watch(DISPLAY_SECRETS, { namespace: NAMESPACE, signal })) {
        const secrets = change.type === 'synced' ? change.items : [change.item];
        const found = secrets.find((secret) => secret.name === name && secret.password !== password);
        if (found) return found;
      }
    } finally {
      seen.abort();
    }
    throw new Error(`the password of ${this.ref.name} does not change`);
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

  /** The condition is there at once; the name follows only when the agent has said so. */
  async loginAnnounced(): Promise<void> {
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

  async consoleOpened(client: string): Promise<void> {
    await this.status({ consoleClient: client });
    await this.conditions({ type: 'ConsoleConnected', status: 'True', reason: 'Connected' });
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
  }
}
