import { randomBytes } from 'node:crypto';
import { isStatus } from '../../cluster/api-error.ts';
import type { Cluster, JsonObject, Resource } from '../../cluster/types.ts';
import { messageOf } from '../../errors.ts';
import { POOLS } from '../../vm/parse.ts';
import type { VmPool } from '../../vm/types.ts';
import { ObjectCache, follow, keyOf } from './object-cache.ts';
import {
  conditionsOf,
  configMapObject,
  displaySecretName,
  displaySecretObject,
  runnerPodObject,
} from './objects.ts';
import { reconcile, type Action } from './reconcile.ts';
import {
  CM_VERSION,
  CONFIG_MAPS,
  DISPLAY_SECRETS_SELECTOR,
  DP_VERSION,
  ENDING,
  oldestSecret,
  OPERATED_VMS,
  PODS,
  REVISION,
  RUNNER_CONFIGS_SELECTOR,
  RUNNER_PODS_SELECTOR,
  SECRETS,
} from './resources.ts';
import type { DisplaySecret, Observable, OperatedVm, RunnerConfigMap, RunnerPod } from './resources.ts';
import { renderRunnerConfig } from './runner-config.ts';
import { WorkQueue } from './work-queue.ts';

export interface ManagerOptions {
  cluster: Cluster;
  /** undefined: all. */
  namespace: string | undefined;
  /** What the runners' pods run as. */
  serviceAccountName: string;
  /** One line for the sandbox's own log. */
  log: (line: string) => void;
}

/** Between these, a failed runner does not count as one in a row: it had run for a while. */
const SETTLED_MS = 60_000;
const CONCURRENCY = 16;

type Named<T> = T & Observable;
type Annotations = Record<string, string>;

/**
 * The part of VM-Operator that runs once per cluster: turns VMs into ConfigMap, display Secret and runner pod, and
 * hands changes on to the runners. It knows nothing but what the API server tells.
 */
export class Manager {
  readonly #options: ManagerOptions;
  readonly #vms = new ObjectCache<OperatedVm>();
  readonly #pools = new ObjectCache<Named<VmPool>>();
  readonly #pods = new ObjectCache<RunnerPod>();
  readonly #configMaps = new ObjectCache<RunnerConfigMap>();
  readonly #secrets = new ObjectCache<DisplaySecret>();
  readonly #failures = new Map<string, number>();
  readonly #queue: WorkQueue;
  readonly #stopping = new AbortController();
  #synced = false;
  #watches: Promise<void>[] = [];

  constructor(options: ManagerOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      work: (key) => this.#work(key),
      onFailure: (key, error, retryMs) =>
        options.log(`${key}: ${messageOf(error)}; trying again in ${retryMs} ms`),
      concurrency: CONCURRENCY,
    });
  }

  /** Resolves when everything has been listed once; rejects when the API server refuses a listing. */
  async start(): Promise<void> {
    const synced = [
      this.#follow(OPERATED_VMS, this.#vms, undefined, (vm) => [keyOf(vm)]),
      this.#follow(POOLS_OBSERVED, this.#pools, undefined, (pool) => this.#assignedFrom(pool)),
      this.#follow(PODS, this.#pods, RUNNER_PODS_SELECTOR, (pod) => [keyOf(pod)]),
      this.#follow(CONFIG_MAPS, this.#configMaps, RUNNER_CONFIGS_SELECTOR, (map) => [keyOf(map)]),
      this.#follow(SECRETS, this.#secrets, DISPLAY_SECRETS_SELECTOR, ({ namespace, vm }) => [
        keyOf({ namespace, name: vm }),
      ]),
    ];
    await Promise.all(synced);
    this.#synced = true;
    for (const cache of [this.#vms, this.#pods, this.#configMaps]) {
      for (const object of cache.values()) this.#queue.add(keyOf(object));
    }
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#queue.stop();
    await Promise.allSettled(this.#watches);
  }

  /** Resolves after the first listing. */
  #follow<T extends Observable>(
    resource: Resource<T>,
    cache: ObjectCache<T>,
    labelSelector: string | undefined,
    keysOf: (object: T) => string[],
  ): Promise<void> {
    const { cluster, namespace, log } = this.#options;
    return new Promise((resolve, reject) => {
      const watch = follow(cluster, resource, {
        namespace,
        labelSelector,
        signal: this.#stopping.signal,
        onTrouble: (reason) => log(`watch of ${resource.plural}: ${reason}`),
        onChange: (change) => {
          const concerned = cache.apply(change);
          if (this.#synced)
            for (const object of concerned) keysOf(object).forEach((key) => this.#queue.add(key));
          if (change.type === 'synced') resolve();
        },
      });
      this.#watches.push(
        watch.catch((error: unknown) => {
          log(`watch of ${resource.plural} ended: ${messageOf(error)}`);
          reject(error);
        }),
      );
    });
  }

  #assignedFrom(pool: VmPool): string[] {
    return [...this.#vms.values()]
      .filter((vm) => vm.namespace === pool.namespace && vm.status.assignment?.pool === pool.name)
      .map(keyOf);
  }

  #secretOf(key: string): DisplaySecret | undefined {
    const belongs = ({ namespace, vm }: DisplaySecret): boolean => keyOf({ namespace, name: vm }) === key;
    return oldestSecret([...this.#secrets.values()].filter(belongs));
  }

  async #work(key: string): Promise<void> {
    const vm = this.#vms.get(key);
    const assignment = vm?.status.assignment;
    const pool =
      vm && assignment && this.#pools.get(keyOf({ namespace: vm.namespace, name: assignment.pool }));
    const pod = this.#pods.get(key);
    const configMap = this.#configMaps.get(key);
    const failures = this.#failures.get(key) ?? 0;
    const observed = { vm, pool, pod, configMap, secret: this.#secretOf(key), failures };
    for (const action of reconcile(observed, new Date())) await this.#act(key, action);
    if (vm === undefined) this.#failures.delete(key);
  }

  async #act(key: string, action: Action): Promise<void> {
    const { signal } = this.#stopping;
    const [namespace = '', name = ''] = key.split('/');
    const ref = { namespace, name };
    const { cluster } = this.#options;
    const vm = this.#vms.get(key);
    switch (action.type) {
      case 'initStatus':
        return vm && this.#patchStatus(vm, { conditions: conditionsOf(vm, new Date()) }, signal);
      case 'clearRunnerVersion':
        return vm && this.#patchStatus(vm, { runnerVersion: null }, signal);
      case 'stopVm':
        if (vm)
          this.#vms.put(
            await cluster.patch(OPERATED_VMS, ref, merge({ spec: { vm: { state: 'Stopped' } } }), { signal }),
          );
        return undefined;
      case 'createSecret':
        return vm && this.#createSecret(vm, signal);
      case 'writeConfig':
        return vm && this.#writeConfig(vm, action.revision, renderRunnerConfig(action.config), signal);
      case 'createPod':
        return vm && this.#createPod(vm, action.revision, signal);
      case 'touchPod':
        return this.#annotatePod(key, this.#mounts(key, action), signal);
      case 'endPod':
        return this.#annotatePod(key, { [ENDING]: new Date().toISOString() }, signal);
      case 'deletePod':
        if (action.failed) this.#countFailure(key);
        return ifPresent(cluster.delete(PODS, ref, { graceSeconds: 0, signal }));
      case 'deleteConfig':
        return ifPresent(cluster.delete(CONFIG_MAPS, ref, { signal }));
      case 'lookAgain':
        return this.#queue.addLater(key, action.afterMs);
    }
  }

  #mounts(key: string, { revision, secretVersion }: Extract<Action, { type: 'touchPod' }>): Annotations {
    const configMap = this.#configMaps.get(key)?.resourceVersion ?? '';
    return {
      ...(revision === undefined ? {} : { [REVISION]: revision, [CM_VERSION]: configMap }),
      ...(secretVersion === undefined ? {} : { [DP_VERSION]: secretVersion }),
    };
  }

  async #annotatePod(key: string, annotations: Annotations, signal: AbortSignal): Promise<void> {
    const pod = this.#pods.get(key);
    if (pod === undefined) return;
    // Not another pod of the same name.
    const metadata = { uid: pod.uid, annotations };
    try {
      this.#pods.put(await this.#options.cluster.patch(PODS, pod, merge({ metadata }), { signal }));
    } catch (error) {
      // It has gone, or there is another one by now: the watch brings that.
      if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
    }
  }

  async #patchStatus(vm: OperatedVm, status: JsonObject, signal: AbortSignal): Promise<void> {
    const options = { subresource: 'status', signal } as const;
    this.#vms.put(await this.#options.cluster.patch(OPERATED_VMS, vm, merge({ status }), options));
  }

  async #createSecret(vm: OperatedVm, signal: AbortSignal): Promise<void> {
    const { cluster } = this.#options;
    const password = randomBytes(16).toString('base64');
    try {
      this.#secrets.put(
        await cluster.create(SECRETS, vm.namespace, displaySecretObject(vm, password), { signal }),
      );
    } catch (error) {
      if (!isStatus(error, 409)) throw error;
      // There is one of this name that the watch has not brought yet, or that lacks the labels.
      const ref = { namespace: vm.namespace, name: displaySecretName(vm) };
      this.#secrets.put({ ...(await cluster.get(SECRETS, ref)), vm: vm.name });
    }
  }

  async #writeConfig(vm: OperatedVm, revision: string, text: string, signal: AbortSignal): Promise<void> {
    const { cluster } = this.#options;
    const object = configMapObject(vm, revision, text);
    const patch = () => cluster.patch(CONFIG_MAPS, vm, merge(object), { signal });
    const create = () => cluster.create(CONFIG_MAPS, vm.namespace, object, { signal });
    const known = this.#configMaps.get(keyOf(vm)) !== undefined;
    const [first, second] = known ? [patch, create] : [create, patch];
    try {
      this.#configMaps.put(await first());
    } catch (error) {
      // It has gone, or come, and the watch has not brought that yet.
      if (!isStatus(error, known ? 404 : 409)) throw error;
      this.#configMaps.put(await second());
    }
  }

  async #createPod(vm: OperatedVm, revision: string, signal: AbortSignal): Promise<void> {
    const { cluster, serviceAccountName } = this.#options;
    const mounted = {
      revision,
      configMap: this.#configMaps.get(keyOf(vm))?.resourceVersion ?? '',
      secret: this.#secretOf(keyOf(vm))?.resourceVersion,
    };
    const pod = runnerPodObject(vm, mounted, serviceAccountName);
    this.#pods.put(await cluster.create(PODS, vm.namespace, pod, { signal }));
  }

  #countFailure(key: string): void {
    const pod = this.#pods.get(key);
    const lasted = (pod?.finishedAt?.getTime() ?? 0) - (pod?.startedAt?.getTime() ?? 0);
    this.#failures.set(key, lasted > SETTLED_MS ? 1 : (this.#failures.get(key) ?? 0) + 1);
  }
}

const POOLS_OBSERVED: Resource<Named<VmPool>> = {
  ...POOLS,
  parse: (object) => ({
    ...POOLS.parse(object),
    uid: object.metadata.uid ?? '',
    resourceVersion: object.metadata.resourceVersion ?? '',
  }),
};

function merge(body: JsonObject): { type: 'merge'; body: JsonObject } {
  return { type: 'merge', body };
}

/** What is gone already need not be deleted. */
async function ifPresent(deletion: Promise<void>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!isStatus(error, 404)) throw error;
  }
}
