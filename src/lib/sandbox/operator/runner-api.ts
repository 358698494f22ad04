import { ApiError, isStatus } from '../../cluster/api-error.ts';
import { backoff, pause } from '../../cluster/retry.ts';
import type { Cluster, ObjectRef } from '../../cluster/types.ts';
import { messageOf } from '../../errors.ts';
import { eventObject, type RunnerEvent } from './events.ts';
import {
  CONFIG_MAPS,
  DISPLAY_SECRETS_SELECTOR,
  EVENTS,
  LABEL,
  oldestSecret,
  OPERATED_VMS,
  SECRETS,
  type OperatedVm,
} from './resources.ts';
import type { StatusPatch } from './runner-status.ts';
import type { DisplayPassword } from './runner-types.ts';

/** What the pod has mounted. */
export interface RunnerMounts {
  /** `config.yaml` */
  text: string;
  /** undefined: there is no display Secret. */
  secret: DisplayPassword | undefined;
}

export interface RunnerApiOptions {
  /** As the kubelet. */
  cluster: Cluster;
  /** As the runner. */
  runnerCluster: Cluster;
  /** The VM. */
  ref: ObjectRef;
  log: (line: string) => void;
  /** Ends all waiting. */
  signal: AbortSignal;
}

/** What a runner reads from and writes to the API server: it tries until there is an answer, and never rejects. */
export class RunnerApi {
  readonly #options: RunnerApiOptions;

  constructor(options: RunnerApiOptions) {
    this.#options = options;
  }

  /** undefined: it has gone. */
  async readVm(): Promise<OperatedVm | undefined> {
    return await this.#persistently(() => this.#options.runnerCluster.get(OPERATED_VMS, this.#options.ref));
  }

  /** undefined: there is no ConfigMap. */
  async readMounts(): Promise<RunnerMounts | undefined> {
    const { cluster, ref } = this.#options;
    const labelSelector = `${DISPLAY_SECRETS_SELECTOR},${LABEL.instance}=${ref.name}`;
    return await this.#persistently(async () => {
      const [map, secrets] = await Promise.all([
        cluster.get(CONFIG_MAPS, ref),
        cluster.list(SECRETS, { namespace: ref.namespace, labelSelector }),
      ]);
      const secret = oldestSecret(secrets.items);
      return { text: map.text, secret: secret && { password: secret.password, expiry: secret.expiry } };
    });
  }

  /** Not that of another VM of the same name, made since. */
  async writeStatus({ uid }: OperatedVm, status: StatusPatch): Promise<void> {
    const { runnerCluster, ref } = this.#options;
    const patch = { type: 'merge', body: { metadata: { uid }, status } } as const;
    await this.#persistently(() => runnerCluster.patch(OPERATED_VMS, ref, patch, { subresource: 'status' }));
  }

  async writeEvent(vm: OperatedVm, event: RunnerEvent): Promise<void> {
    const object = eventObject(vm, event, new Date());
    await this.#persistently(() => this.#options.runnerCluster.create(EVENTS, vm.namespace, object));
  }

  /** Tries again until the server answers; undefined when it refuses for good, or the signal aborts. */
  async #persistently<T>(call: () => Promise<T>): Promise<T | undefined> {
    const { signal, log } = this.#options;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        return await call();
      } catch (error) {
        if (isStatus(error, 404)) return undefined;
        log(`the API server: ${messageOf(error)}`);
        if (isRefusal(error)) return undefined;
        await pause(backoff(attempt), signal);
      }
    }
    return undefined;
  }
}

/** An answer that does not change by asking again. */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && error.status.code < 500 && error.status.code !== 429;
}
