import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../cluster/types.ts';
import { VMS } from '../vm/parse.ts';
import type { Vm } from '../vm/types.ts';
import { refOf } from '../vm/write.ts';
import { isAnother } from './console-user.ts';
import { gateError, inUseGate } from './gates.ts';
import type { ConsoleRequest } from './request.ts';

const LOOK_AGAIN_MS = 250;
/** How long after a session's own connection the session may hear of it. */
const STATUS_MS = 2000;

/**
 * Whether a main channel may be opened now: it throws out whoever is there. Between the gates and the channel there may
 * be a log-in, or a link that somebody opens a minute later.
 */
export class Admission {
  readonly #cluster: Cluster;
  readonly #vm: Vm;
  readonly #asked: Pick<ConsoleRequest, 'me' | 'permissions' | 'take'>;
  readonly #own: Set<string>;
  #connected = false;

  /** `own`: connections that may be closed; it is added to. */
  constructor(
    cluster: Cluster,
    vm: Vm,
    asked: Pick<ConsoleRequest, 'me' | 'permissions' | 'take'>,
    own: Set<string>,
  ) {
    this.#cluster = cluster;
    this.#vm = vm;
    this.#asked = asked;
    this.#own = own;
  }

  /** This connection is the session's own, as the VM shows it: a page that is loaded anew may take its place. */
  isOwn(connection: string | undefined): void {
    this.#connected = true;
    if (connection !== undefined) this.#own.add(connection);
  }

  /** Looks anew. Errors: the gate's, when somebody else has come; `notFound`; whatever the API server says. */
  async check(): Promise<void> {
    const { me, permissions, take } = this.#asked;
    for (const until = performance.now() + STATUS_MS; ;) {
      const vm = await this.#cluster.get(VMS, refOf(this.#vm));
      const another = isAnother(vm, this.#vm);
      if (another) throw another;
      const shut = gateError(vm, [inUseGate(vm, { name: me, permissions, take, own: this.#own })]);
      if (shut === undefined) return;
      if (!this.#connected || performance.now() >= until) throw shut;
      await sleep(LOOK_AGAIN_MS);
    }
  }
}
