import type { Cluster } from '../../cluster/types.ts';
import { messageOf } from '../../errors.ts';
import type { Driver, Machine, MachineEvent, MachineSpec } from '../drivers/driver.ts';
import { CM_VERSION, DP_VERSION, REVISION, type OperatedVm, type RunnerPod } from './resources.ts';
import { RunnerApi, type RunnerMounts } from './runner-api.ts';
import { parseRunnerConfig, type RunnerConfig } from './runner-config.ts';
import type { RunnerLog } from './runner-log.ts';
import { runnerStep } from './runner-state.ts';
import { runnerStatusOf } from './runner-status.ts';
import { initialRunnerState } from './runner-types.ts';
import type { RunnerEffect, RunnerInput, RunnerOutcome, RunnerState, RunnerTimer } from './runner-types.ts';

export interface RunnerOptions {
  /** As the kubelet, which mounts what the pod needs. */
  cluster: Cluster;
  /** As the runner itself. */
  runnerCluster: Cluster;
  driver: Driver;
  pod: RunnerPod;
  /** The pod was found running: look for its machine instead of starting one. */
  adopt: boolean;
  /** The private folder of a VM's machine; it need not exist yet. */
  machineFolder: (vmUid: string) => Promise<string>;
  log: RunnerLog;
}

/** `abandoned`: ended by force or left alone, nothing was reported. */
export type RunnerEnd = RunnerOutcome | 'abandoned';

const START_TIMEOUT_MS = 60_000;
const CALL_TIMEOUT_MS = 10_000;
/** Node's limit. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * One VM's runner: what runs in VM-Operator's runner pod. Feeds everything that happens, one after the other, to
 * `runnerStep` and carries out what that says.
 */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #api: RunnerApi;
  readonly #stopping = new AbortController();
  readonly #timers = new Map<RunnerTimer, NodeJS.Timeout>();
  #vm: OperatedVm | undefined;
  #state: RunnerState | undefined;
  #machine: Machine | undefined;
  /** As JSON: what it is configured with. */
  #mounted: string | undefined;
  #annotations: Record<string, string> | undefined;
  #queue: Promise<void> = Promise.resolve();
  /** Killed: nothing of what waits in the queue is begun any more. */
  #dying = false;
  #finish: (end: RunnerEnd) => void = () => {};
  /** Resolves when the runner's work is over; the machine has gone then, unless it was left alone. */
  readonly ended: Promise<RunnerEnd>;

  constructor(options: RunnerOptions) {
    this.#options = options;
    const { cluster, runnerCluster, pod } = options;
    const ref = { namespace: pod.namespace, name: pod.vm };
    const log = (line: string): void => this.#log(line);
    this.#api = new RunnerApi({ cluster, runnerCluster, ref, log, signal: this.#stopping.signal });
    this.ended = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.#enqueue(() => this.#begin());
    this.podChanged(pod);
  }

  /** Rereads the mounted ConfigMap and Secret when the pod's annotations say that they changed. */
  podChanged({ annotations }: RunnerPod): void {
    const known = this.#annotations;
    if (known && [CM_VERSION, DP_VERSION, REVISION].every((name) => annotations[name] === known[name]))
      return;
    this.#annotations = annotations;
    this.#enqueue(() => this.#reread());
  }

  /** Has the guest power down, and ends the machine when it has not done so in time. */
  terminate(withinSeconds?: number): void {
    this.#input({ type: 'terminate', withinSeconds });
  }

  /** Ends the machine now. All that a runner that is killed still says is that it is terminating. */
  async kill(): Promise<void> {
    this.#dying = true;
    const hasBegun = this.#state !== undefined;
    try {
      // Not before what is under way, which would be the last word otherwise.
      await within(
        CALL_TIMEOUT_MS,
        this.#queue.then(() => (hasBegun ? this.#sayTerminating() : undefined)),
      );
    } catch (error) {
      this.#log(`runner: ${messageOf(error)}`);
    }
    this.#abandon();
    await this.#queue;
    try {
      if (this.#machine) await within(CALL_TIMEOUT_MS, this.#machine.kill());
    } catch (error) {
      this.#log(`the machine cannot be ended: ${messageOf(error)}`);
    }
    this.#finish('abandoned');
  }

  async #sayTerminating(): Promise<void> {
    if (this.#state === undefined || this.#stopping.signal.aborted) return;
    const { effects } = runnerStep(this.#state, { type: 'terminate' }, new Date());
    for (const effect of effects) if (effect.type === 'status') await this.#carryOut(effect);
  }

  /** Leaves the machine running for a later process of the sandbox. */
  async detach(): Promise<void> {
    this.#abandon();
    await this.#queue;
    this.#machine?.detach();
    this.#finish('abandoned');
  }

  #abandon(): void {
    this.#stopping.abort();
    this.#clearTimers();
  }

  async #begin(): Promise<void> {
    this.#vm = await this.#api.readVm();
    if (this.#vm === undefined) return this.#finish('failed');
    this.#state = initialRunnerState(runnerStatusOf(this.#vm, new Date()), this.#options.adopt);
  }

  async #reread(): Promise<void> {
    const mounts = await this.#api.readMounts();
    const mounted = JSON.stringify(mounts);
    if (mounts === undefined || mounted === this.#mounted) return;
    this.#mounted = mounted;
    await this.#configure(mounts);
  }

  async #configure({ text, secret }: RunnerMounts): Promise<void> {
    let config: RunnerConfig;
    try {
      config = parseRunnerConfig(text);
    } catch (error) {
      this.#log(`config.yaml is broken, the configuration stays as it is: ${messageOf(error)}`);
      return;
    }
    this.#log(`configured for generation ${config.generation}`);
    await this.#step({ type: 'configured', config, secret });
  }

  #input(input: RunnerInput): void {
    this.#enqueue(() => this.#step(input));
  }

  #enqueue(task: () => Promise<void>): void {
    this.#queue = this.#after(this.#queue, task);
  }

  async #after(previous: Promise<void>, task: () => Promise<void>): Promise<void> {
    await previous;
    if (this.#dying || this.#stopping.signal.aborted) return;
    try {
      await task();
    } catch (error) {
      this.#log(`runner: ${messageOf(error)}`);
    }
  }

  async #step(input: RunnerInput): Promise<void> {
    if (this.#state === undefined) return;
    const { state, effects } = runnerStep(this.#state, input, new Date());
    this.#state = state;
    for (const effect of effects) {
      if (this.#dying || this.#stopping.signal.aborted) return;
      await this.#carryOut(effect);
    }
  }

  async #carryOut(effect: RunnerEffect): Promise<void> {
    switch (effect.type) {
      case 'status':
        return this.#vm && this.#api.writeStatus(this.#vm, effect.patch);
      case 'event':
        return this.#vm && this.#api.writeEvent(this.#vm, effect);
      case 'start':
        return this.#start(effect.config);
      case 'adopt':
        return this.#adopt(effect.config);
      case 'setPassword':
        return this.#call('set_password', (machine) =>
          machine.setDisplayPassword(effect.password, undefined),
        );
      case 'setExpiry':
        return this.#call('expire_password', (machine) =>
          machine.setDisplayPassword(undefined, effect.expiry),
        );
      case 'tellAgent':
        return this.#machine?.sendToAgent(effect.line);
      case 'reset':
        return this.#call('reset', (machine) => machine.reset());
      case 'resize':
        // A guest may take its time, or for ever, to give up a CPU.
        void this.#resize(effect.cpus, effect.ramBytes);
        return undefined;
      case 'powerDown':
        return this.#call('powerdown', (machine) => machine.powerDown());
      case 'kill':
        return this.#end();
      case 'timer':
        return this.#setTimer(effect.timer, effect.afterMs);
      case 'log':
        return this.#log(effect.line);
      case 'finished':
        this.#clearTimers();
        return this.#finish(effect.outcome);
    }
  }

  async #start(config: RunnerConfig): Promise<void> {
    let starting: Promise<Machine> | undefined;
    try {
      starting = this.#options.driver.start(await this.#machineSpec(config), this.#onEvent);
      this.#machine = await within(START_TIMEOUT_MS, starting);
    } catch (error) {
      this.#onEvent({ type: 'exited', cause: 'failed', message: `it cannot start: ${messageOf(error)}` });
      // Should it come up after all, nobody wants it any more.
      starting?.then((machine) => machine.kill()).catch(() => {});
    }
  }

  async #adopt(config: RunnerConfig): Promise<void> {
    try {
      const spec = await this.#machineSpec(config);
      this.#machine = await within(START_TIMEOUT_MS, this.#options.driver.adopt(spec, this.#onEvent));
    } catch (error) {
      this.#log(`the machine cannot be taken over: ${messageOf(error)}`);
    }
    this.#input({ type: this.#machine === undefined ? 'lost' : 'adopted' });
  }

  readonly #onEvent = (event: MachineEvent): void => this.#input({ type: 'machine', event });

  async #machineSpec(config: RunnerConfig): Promise<MachineSpec> {
    const { pod, machineFolder } = this.#options;
    const uid = this.#vm?.uid ?? '';
    return {
      name: pod.vm,
      namespace: pod.namespace,
      uid,
      directory: await machineFolder(uid),
      maximumCpus: config.maximumCpus,
      currentCpus: config.currentCpus,
      maximumRamBytes: config.maximumRamBytes,
      currentRamBytes: config.currentRamBytes,
      spicePort: config.spicePort,
      passwordProtected: config.hasDisplayPassword,
      annotations: this.#vm?.annotations ?? {},
    };
  }

  /** A machine that refuses is no reason to stop: VM-Operator, too, only notes it. */
  async #call(name: string, call: (machine: Machine) => Promise<unknown>): Promise<void> {
    if (this.#machine === undefined) return;
    try {
      await within(CALL_TIMEOUT_MS, call(this.#machine));
      this.#log(`${name}: done`);
    } catch (error) {
      this.#log(`${name} failed: ${messageOf(error)}`);
    }
  }

  async #resize(cpus: number, ramBytes: number): Promise<void> {
    try {
      const size = await this.#machine?.resize(cpus, ramBytes);
      if (size !== undefined) this.#onEvent({ type: 'resized', ...size });
    } catch (error) {
      this.#log(`resize failed: ${messageOf(error)}`);
    }
  }

  /** `exited` follows from the driver; should the machine not end, the runner does. */
  async #end(): Promise<void> {
    try {
      if (this.#machine) await within(CALL_TIMEOUT_MS, this.#machine.kill());
    } catch (error) {
      this.#onEvent({ type: 'exited', cause: 'host', message: messageOf(error) });
    }
  }

  #setTimer(timer: RunnerTimer, afterMs: number): void {
    clearTimeout(this.#timers.get(timer));
    this.#timers.set(
      timer,
      setTimeout(() => this.#input({ type: 'timer', timer }), Math.min(afterMs, LONGEST_TIMER_MS)),
    );
  }

  #clearTimers(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #log(line: string): void {
    this.#options.log.append(line, new Date());
  }
}

/** Rejects when the promise takes longer; what it does goes on. */
async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer for ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
