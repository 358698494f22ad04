import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { isStatus } from '../../cluster/api-error.ts';
import type { Change, Cluster, ObjectRef } from '../../cluster/types.ts';
import { messageOf } from '../../errors.ts';
import type { Driver } from '../drivers/driver.ts';
import { machineFolderName, machineFolders } from './machine-folder.ts';
import { follow, keyOf } from './object-cache.ts';
import { podStatus, type ContainerState } from './objects.ts';
import { isOver, OPERATED_VMS, PODS, RUNNER_PODS_SELECTOR, type RunnerPod } from './resources.ts';
import { RunnerLog } from './runner-log.ts';
import { Runner, type RunnerEnd } from './runner.ts';

export interface RunnerHostOptions {
  cluster: Cluster;
  /** As the runners. */
  runnerCluster: Cluster;
  /** undefined: all. */
  namespace: string | undefined;
  driver: Driver;
  /** Holds one private folder per machine; short enough for socket paths. */
  machinesFolder: string;
  log: (line: string) => void;
}

interface Hosted {
  runner: Runner;
  pod: RunnerPod;
  startedAt: Date;
  log: RunnerLog;
  /** Ends the machine when the pod's grace period is over. */
  deadline: NodeJS.Timeout | undefined;
  /** The pod was deleted by force. */
  vanished: boolean;
}

/**
 * The sandbox's only node: starts a runner for each runner pod, writes the pod's status, and ends the runner when the
 * pod is deleted, as a kubelet does.
 */
export class RunnerHost {
  readonly #options: RunnerHostOptions;
  readonly #stopping = new AbortController();
  /** By the pod's uid. */
  readonly #hosted = new Map<string, Hosted>();
  /** The uids of pods that are being removed because their runner is over: they get no other. */
  readonly #over = new Set<string>();
  /** Logs outlive their runner until the pod goes. By namespace and name. */
  readonly #logs = new Map<string, RunnerLog>();
  #listed = false;
  #watch: Promise<void> = Promise.resolve();
  readonly #endings = new Set<Promise<void>>();

  constructor(options: RunnerHostOptions) {
    this.#options = options;
  }

  /** Resolves after the pods that are there have been looked at; rejects when they cannot be listed. */
  async start(): Promise<void> {
    const { cluster, namespace, log } = this.#options;
    const pods = await new Promise<RunnerPod[]>((resolve, reject) => {
      const watch = follow(cluster, PODS, {
        namespace,
        labelSelector: RUNNER_PODS_SELECTOR,
        signal: this.#stopping.signal,
        onTrouble: (reason) => log(`watch of pods: ${reason}`),
        onChange: (change) => {
          this.#apply(change);
          if (change.type === 'synced') resolve(change.items);
        },
      });
      this.#watch = watch.catch((error: unknown) => {
        log(`watch of pods ended: ${messageOf(error)}`);
        reject(error);
      });
    });
    await this.#reapStrays(pods);
  }

  logOf(pod: ObjectRef): RunnerLog | undefined {
    return this.#logs.get(keyOf(pod));
  }

  /** Lets go of the machines, which run on. */
  async detach(): Promise<void> {
    await this.#stopWatching();
    await Promise.all([...this.#hosted.values()].map(({ runner }) => runner.detach()));
    await Promise.all(this.#endings);
  }

  /** Ends all machines: asks the guests to power down, and ends what has not done so in time. */
  async end(withinSeconds: number): Promise<void> {
    await this.#stopWatching();
    for (const hosted of this.#hosted.values()) {
      hosted.pod = { ...hosted.pod, ending: true };
      hosted.runner.terminate(withinSeconds);
    }
    await Promise.all(this.#endings);
  }

  async #stopWatching(): Promise<void> {
    this.#stopping.abort();
    await this.#watch;
    for (const { deadline } of this.#hosted.values()) clearTimeout(deadline);
  }

  #apply(change: Change<RunnerPod>): void {
    if (change.type === 'deleted') return this.#vanished(change.item);
    const pods = change.type === 'synced' ? change.items : [change.item];
    for (const pod of pods) this.#present(pod);
    if (change.type !== 'synced') return;
    this.#listed = true;
    const uids = new Set(pods.map(({ uid }) => uid));
    for (const { pod } of this.#hosted.values()) if (!uids.has(pod.uid)) this.#vanished(pod);
    for (const uid of this.#over) if (!uids.has(uid)) this.#over.delete(uid);
  }

  #present(pod: RunnerPod): void {
    let hosted = this.#hosted.get(pod.uid);
    if (hosted === undefined) {
      const wanted = !isOver(pod) && !this.#over.has(pod.uid) && !(pod.ending && pod.phase === 'Pending');
      if (!wanted && pod.ending) this.#track(this.#remove(pod));
      if (!wanted) return;
      hosted = this.#host(pod);
    }
    const { runner, pod: known } = hosted;
    hosted.pod = pod;
    runner.podChanged(pod);
    if (pod.ending && !known.ending) runner.terminate();
    if (pod.deletionTimestamp && !known.deletionTimestamp) {
      const leftMs = Math.max(pod.deletionTimestamp.getTime() - Date.now(), 0);
      hosted.deadline = setTimeout(() => void runner.kill(), Math.min(leftMs, 2 ** 31 - 1));
    }
  }

  #host(pod: RunnerPod): Hosted {
    const { cluster, runnerCluster, driver } = this.#options;
    const machineFolder = this.#machineFolder;
    const log = new RunnerLog();
    // A pod that was there before: an earlier process may have started its machine, even without having said so.
    const adopt = !this.#listed || pod.phase === 'Running';
    const runner = new Runner({ cluster, runnerCluster, driver, pod, adopt, machineFolder, log });
    const startedAt = adopt ? (pod.startedAt ?? new Date()) : new Date();
    // Without its deletion, so that `present` sees that as a change.
    const { deletionTimestamp: _, ...rest } = pod;
    const fresh = { ...rest, ending: false };
    const hosted: Hosted = { runner, pod: fresh, startedAt, log, deadline: undefined, vanished: false };
    this.#hosted.set(pod.uid, hosted);
    this.#logs.set(keyOf(pod), log);
    if (pod.phase !== 'Running') this.#track(this.#writeStatus(pod, { phase: 'Running', startedAt }));
    this.#track(runner.ended.then((end) => this.#ended(hosted, end)));
    return hosted;
  }

  async #ended(hosted: Hosted, end: RunnerEnd): Promise<void> {
    const { pod, startedAt, log } = hosted;
    clearTimeout(hosted.deadline);
    this.#hosted.delete(pod.uid);
    log.end();
    if (hosted.vanished) return;
    if (pod.ending && (end !== 'abandoned' || pod.deletionTimestamp)) {
      this.#over.add(pod.uid);
      return this.#remove(pod);
    }
    if (end === 'abandoned') return;
    const phase = end === 'succeeded' ? 'Succeeded' : 'Failed';
    await this.#writeStatus(pod, { phase, startedAt, finishedAt: new Date() });
  }

  /** The pod was deleted by force, or by somebody who does not wait: so is the machine. */
  #vanished(pod: RunnerPod): void {
    this.#over.delete(pod.uid);
    const log = this.#logs.get(keyOf(pod));
    const hosted = this.#hosted.get(pod.uid);
    if (hosted === undefined || hosted.log === log) this.#logs.delete(keyOf(pod));
    if (hosted === undefined) return;
    hosted.vanished = true;
    this.#track(hosted.runner.kill());
  }

  async #writeStatus(pod: RunnerPod, container: ContainerState): Promise<void> {
    const status = podStatus(pod.vm, container);
    const patch = { type: 'merge', body: { metadata: { uid: pod.uid }, status } } as const;
    await this.#options.cluster.patch(PODS, pod, patch, { subresource: 'status' });
  }

  /** The last word on a pod that has ended, as the kubelet has it. */
  async #remove(pod: RunnerPod): Promise<void> {
    await this.#options.cluster.delete(PODS, pod, { graceSeconds: 0 });
  }

  /** Not awaited, but known until it has ended. */
  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => {
        // The pod has gone meanwhile, or is another one of the same name.
        if (!isStatus(error, 404) && !isStatus(error, 409)) this.#options.log(messageOf(error));
      })
      .finally(() => this.#endings.delete(tracked));
    this.#endings.add(tracked);
  }

  readonly #machineFolder = async (vmUid: string): Promise<string> => {
    const folder = path.join(this.#options.machinesFolder, machineFolderName(vmUid));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  };

  /** Ends machines of an earlier process whose pod has gone meanwhile, and clears up after VMs that have. */
  async #reapStrays(pods: readonly RunnerPod[]): Promise<void> {
    const { cluster, namespace, machinesFolder, driver } = this.#options;
    const names = await machineFolders(machinesFolder);
    if (names.length === 0) return;
    const { items: vms } = await cluster.list(OPERATED_VMS, { namespace });
    const running = new Set(pods.map(({ ownerUid }) => machineFolderName(ownerUid)));
    const existing = new Set(vms.map(({ uid }) => machineFolderName(uid)));
    for (const name of names.filter((candidate) => !running.has(candidate))) {
      const folder = path.join(machinesFolder, name);
      await driver.reap(folder);
      if (!existing.has(name)) await rm(folder, { recursive: true, force: true });
    }
  }
}
