import { VmopError } from '../../errors.ts';
import type { KillGuard } from '../../kill-guard.ts';
import { startServer, type ServerProcess, type ServerProgram } from './processes.ts';

/** Processes that are of use together only: when one ends by itself, `onFailure` is told; the guard ends them with us. */
export class ServerGroup {
  readonly #directory: string;
  readonly #guard: KillGuard;
  readonly #onFailure: (error: VmopError) => void;
  readonly #running: ServerProcess[] = [];
  readonly #failed = new AbortController();
  #started = false;
  #closing = false;

  constructor(directory: string, guard: KillGuard, onFailure: (error: VmopError) => void) {
    this.#directory = directory;
    this.#guard = guard;
    this.#onFailure = onFailure;
  }

  async begin(program: ServerProgram): Promise<ServerProcess> {
    const server = await startServer(this.#directory, program, this.#guard);
    this.#running.push(server);
    void server.ended.then((why) => this.#noticed(server, why));
    return server;
  }

  /** Carries out the last part of the start; rejects when a process ends meanwhile, or takes too long. */
  async ready(work: (signal: AbortSignal) => Promise<void>, timeoutMs: number): Promise<void> {
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      await work(AbortSignal.any([this.#failed.signal, deadline]));
    } catch (error) {
      this.#failed.signal.throwIfAborted();
      if (!deadline.aborted) throw error;
      throw new VmopError('timeout', `kube-apiserver was not ready after ${timeoutMs / 1000} s`, {
        hint: `its log is in ${this.#directory}`,
        cause: error,
      });
    }
    this.#failed.signal.throwIfAborted();
    this.#started = true;
  }

  /** The last one that was begun ends first: without etcd, kube-apiserver does not. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const server of this.#running.toReversed()) await server.stop();
  }

  #noticed({ name }: ServerProcess, why: string): void {
    if (this.#closing) return;
    const error = new VmopError('failed', `${name} ${why}`, {
      hint: `its log is in ${this.#directory}`,
    });
    this.#failed.abort(error);
    if (this.#started) this.#onFailure(error);
  }
}
