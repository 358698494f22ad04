import type { Cluster } from '../cluster/types.ts';
import { messageOf, VmopError } from '../errors.ts';
import { governingPool } from '../vm/inventory.ts';
import { VMS } from '../vm/parse.ts';
import type { Vm } from '../vm/types.ts';
import { refOf, vmArgument } from '../vm/write.ts';
import type { ConsoleHooks, ConsoleRequest } from './request.ts';
import { secretWriteDisturbance } from './secret/disturbance.ts';
import { onHost } from './secret/host-clock.ts';
import { msUntilExpiry } from './secret/password.ts';
import {
  rotateDisplayPassword,
  setPasswordExpiry,
  type NoPassword,
  type StoredPassword,
} from './secret/rotate.ts';

interface Asked extends Pick<
  ConsoleRequest,
  'pool' | 'validitySeconds' | 'confirmMs' | 'signal' | 'afterwards'
> {
  /** The desktop is to be found as it was left: nothing is written that might log somebody out. */
  spare?: boolean;
  /** How long a password is left that was made for a channel that came late. */
  lateMs?: number;
}

/** A new password was not made, because that would have logged somebody out. */
export class PasswordWithheld extends VmopError {
  override readonly name = 'PasswordWithheld';

  constructor(vm: Vm) {
    const message = `the display password of ${vm.name} has run out, and a new one would log out whoever sits at the desktop`;
    const hint = `vmop console ${vmArgument(vm)} opens it again, and does that; --validity 8h makes a password that lasts`;
    super('console', message, { hint, vm: vm.name });
  }
}

/** Where a new password would log somebody out the present one need not last for longer than a viewer takes. */
const SPARED_SECONDS = 15;
/** All channels of a page or viewer are open by then. */
const LATE_MS = 10_000;

/** A password this close to its end is not handed out any more. */
const MARGIN_MS = 5000;
/** QEMU ends it on a whole second of its own clock, and the API server tells its clock in whole seconds. */
const GRAIN_MS = 1500;
const END_MS = 5000;

/** The display password of one session: found or made, handed out while it lasts, and ended. */
export class ConsolePassword {
  readonly #cluster: Cluster;
  readonly #vm: Vm;
  readonly #asked: Asked;
  readonly #hooks: ConsoleHooks;
  #stored: StoredPassword | NoPassword;
  /** On the clock of `performance.now`. */
  #endsAt: number;
  /** It was ended. */
  #ended = false;
  /** Its end was asked for once: whatever is made from then on is ended as well. */
  #endWanted = false;
  #lateEnd: NodeJS.Timeout | undefined;
  #renewing: Promise<string | undefined> | undefined;
  #ending: Promise<void> | undefined;
  #withheld = false;
  #mayDisturb = false;

  private constructor(
    cluster: Cluster,
    vm: Vm,
    asked: Asked,
    hooks: ConsoleHooks,
    { stored, endsAt }: LastingPassword,
  ) {
    this.#cluster = cluster;
    this.#vm = vm;
    this.#asked = asked;
    this.#hooks = hooks;
    this.#stored = stored;
    this.#endsAt = endsAt;
  }

  /** The present password while it lasts, else a new one. Says beforehand what a change may disturb. */
  static async prepare(
    cluster: Cluster,
    vm: Vm,
    asked: Asked,
    hooks: ConsoleHooks,
  ): Promise<ConsolePassword> {
    return new ConsolePassword(cluster, vm, asked, hooks, await lastingPassword(cluster, vm, asked, hooks));
  }

  /** As it is now. */
  get stored(): StoredPassword | NoPassword {
    return this.#stored;
  }

  /** The password as text; undefined when the display asks for none, or none is known. */
  get text(): string | undefined {
    return this.#stored.kind === 'none' ? undefined : this.#stored.password;
  }

  /** A new one was not made, because that would have logged somebody out. */
  get withheld(): boolean {
    return this.#withheld;
  }

  /** A new one may be made though that logs somebody out: the person wants it. */
  allowDisturbance(): void {
    this.#mayDisturb = true;
    this.#withheld = false;
  }

  /** How long somebody can connect from now on: for ever where a new one disturbs nobody. */
  get connectableMs(): number {
    if (secretWriteDisturbance(this.#vm, this.#asked.pool) === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(this.#endsAt - MARGIN_MS - performance.now(), 0);
  }

  /** Its time is over, as far as the clocks agree. */
  get ranOut(): boolean {
    return performance.now() >= this.#endsAt - GRAIN_MS;
  }

  /**
   * For a channel that links now: the password, or a new one when it has run out, was ended or is the one that the
   * server has `refused`; unless that would log somebody out, then the old one, and the channel stays away.
   */
  async current(refused?: string): Promise<string | undefined> {
    if (this.#endWanted) this.#endLater();
    const lasts = !this.#ended && performance.now() < this.#endsAt - MARGIN_MS && this.text !== refused;
    if (this.#stored.kind === 'none' || lasts) return this.text;
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /**
   * Ends it, if it was made for this session: one that was there before may be somebody's. One that is made later, for a
   * channel that comes late, is ended a while after. Never rejects.
   */
  async end(): Promise<void> {
    this.#endWanted = true;
    clearTimeout(this.#lateEnd);
    await this.#renewing?.catch(() => {});
    if (this.#stored.kind !== 'written') return;
    this.#ended = true;
    this.#ending ??= endPassword(this.#vm, this.#stored.password, this.#asked, this.#hooks);
    await this.#ending;
  }

  #endLater(): void {
    clearTimeout(this.#lateEnd);
    this.#lateEnd = setTimeout(() => void this.end(), this.#asked.lateMs ?? LATE_MS).unref();
  }

  async #renew(): Promise<string | undefined> {
    const current = await this.#cluster.get(VMS, refOf(this.#vm));
    const pool = await governingPool(this.#cluster, current);
    if (!this.#mayDisturb && secretWriteDisturbance(current, pool) !== undefined) {
      this.#withheld = true;
      this.#hooks.onDetail('a channel comes late, and a new password for it would log somebody out');
      return this.text;
    }
    await this.#ending;
    const { stored, endsAt } = await lastingPassword(
      this.#cluster,
      current,
      { ...this.#asked, pool },
      {
        ...this.#hooks,
        onStep: (text) => this.#hooks.onDetail(`for a channel that comes late: ${text}`),
      },
    );
    this.#stored = stored;
    this.#endsAt = endsAt;
    this.#ending = undefined;
    this.#ended = false;
    this.#mayDisturb = false;
    return this.text;
  }
}

interface LastingPassword {
  stored: StoredPassword | NoPassword;
  /** On the clock of `performance.now`. What its Secret says counts: the runner took part of its validity. */
  endsAt: number;
}

async function lastingPassword(
  cluster: Cluster,
  vm: Vm,
  asked: Asked,
  hooks: ConsoleHooks,
): Promise<LastingPassword> {
  const stored = await storedPassword(cluster, vm, asked, hooks);
  if (stored.kind === 'none') return { stored, endsAt: Number.POSITIVE_INFINITY };
  const now = onHost(await cluster.now(), { leadMs: stored.hostLeadMs });
  return { stored, endsAt: performance.now() + msUntilExpiry(stored.expiry, now) };
}

async function storedPassword(
  cluster: Cluster,
  vm: Vm,
  asked: Asked,
  hooks: ConsoleHooks,
): Promise<StoredPassword | NoPassword> {
  const { signal, confirmMs, spare = false } = asked;
  const disturbance = secretWriteDisturbance(vm, asked.pool);
  const validitySeconds =
    spare && disturbance !== undefined
      ? Math.min(asked.validitySeconds, SPARED_SECONDS)
      : asked.validitySeconds;
  let warned = false;
  let written: string | undefined;
  try {
    const password = await rotateDisplayPassword(cluster, refOf(vm), {
      validitySeconds,
      timeoutMs: confirmMs,
      signal,
      onStep: (step, stored) => {
        if (step === 'write' && disturbance !== undefined) {
          if (spare) throw new PasswordWithheld(vm);
          if (!warned) hooks.onWarning(disturbance);
          warned = true;
        }
        written = stored;
        hooks.onStep(
          step === 'write' ? 'setting a new display password' : 'waiting for the runner to confirm it',
        );
      },
    });
    if (password.kind === 'none') {
      hooks.onDetail(
        password.reason === 'unprotected' ? 'the display asks for no password' : 'there is no display Secret',
      );
      // A serial above 0 says that QEMU was given a password once.
      if (password.reason === 'noSecret' && (vm.status.displayPasswordSerial ?? 0) > 0) {
        hooks.onWarning(
          `${vm.name} has no display Secret, but its display asks for a password: a viewer will be refused`,
        );
      }
      return password;
    }
    password.warnings.forEach((warning) => hooks.onWarning(warning));
    if (!password.confirmation.confirmed) {
      hooks.onWarning(`the new display password is not confirmed: ${password.confirmation.reason}`);
    }
    return password;
  } catch (error) {
    // A password that nobody will use does not stay valid.
    if (written !== undefined) await endPassword(vm, written, asked, hooks);
    throw error;
  }
}

/**
 * Ends the password, if it is still the one in force, unless that write would itself log somebody out: then it ends
 * by its own validity. Never rejects: it is the last thing done, and a failure leaves what the validity bounds anyway.
 */
async function endPassword(
  vm: Vm,
  password: string,
  { afterwards }: Asked,
  { onDetail }: ConsoleHooks,
): Promise<void> {
  try {
    // Asked anew: who is logged in may have changed since.
    const current = await afterwards.get(VMS, refOf(vm));
    const pool = await governingPool(afterwards, current);
    if (secretWriteDisturbance(current, pool) !== undefined) {
      onDetail('the display password is left to its own validity: ending it now would log somebody out');
      return;
    }
    const signal = AbortSignal.timeout(END_MS);
    const { kind } = await setPasswordExpiry(afterwards, refOf(vm), 'now', { signal, ofPassword: password });
    if (kind === 'written') onDetail('the display password was ended');
  } catch (error) {
    onDetail(`the display password could not be ended: ${messageOf(error)}`);
  }
}
