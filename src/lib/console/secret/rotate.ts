import { modify } from '../../cluster/modify.ts';
import type { Cluster, ObjectRef } from '../../cluster/types.ts';
import { VmopError } from '../../errors.ts';
import { VMS } from '../../vm/parse.ts';
import { afterEarlierBump, awaitConfirmation, UNPROTECTED, type Confirmation } from './confirmation.ts';
import { DISPLAY_SECRETS, findDisplaySecret, type DisplaySecret } from './display-secret.ts';
import { hostClock, onHost } from './host-clock.ts';
import { decidePassword, parseExpiry, passwordPatch, type Expiry, type PasswordChange } from './password.ts';

/** Why there is no password to connect with: the display asks for none, or no Secret holds one. */
export interface NoPassword {
  kind: 'none';
  reason: 'unprotected' | 'noSecret';
}

export interface StoredExpiry {
  /** `kept`: it was right as it was, and nothing was written. */
  kind: 'kept' | 'written';
  /** The Secret's name. */
  secret: string;
  expiry: Expiry;
  /** Sentences about a Secret that is not as it should be. */
  warnings: string[];
}

export interface StoredPassword extends StoredExpiry {
  password: string;
  /** How much the clock that ends it is ahead of the API server's, as far as that is evident. */
  hostLeadMs: number;
  /** A password that was kept needs none. */
  confirmation: Confirmation;
}

export interface SecretWriteOptions {
  signal: AbortSignal;
  dryRun?: boolean | undefined;
}

export interface PasswordWriteOptions extends SecretWriteOptions {
  /** How long to wait for the runner's confirmation. */
  timeoutMs: number;
  /** Told before something is written, and before the wait for the runner; `password` is the one that is stored. */
  onStep?: ((step: 'write' | 'confirm', password: string) => void) | undefined;
}

export interface RotationOptions extends PasswordWriteOptions {
  validitySeconds: number;
  /** Write a new password even where the present one is valid for long enough. */
  force?: boolean | undefined;
}

/**
 * The password to connect with: the present one while it lasts, else a new one, confirmed by the runner as far as it
 * can be. On a VM that has only just started, or whose Secret somebody has only just written, it first waits (3 s at
 * most) until the runner has applied that.
 * Errors: whatever the API server refuses; `conflict` when others keep changing the Secret.
 */
export async function rotateDisplayPassword(
  cluster: Cluster,
  vm: ObjectRef,
  options: RotationOptions,
): Promise<StoredPassword | NoPassword> {
  return changePassword(cluster, vm, options, (secret, now) => {
    const decision = decidePassword(secret, { ...options, now });
    return decision.action === 'keep' ? undefined : decision;
  });
}

/**
 * Stores a password that somebody chose; `change` is given the time by the clock that ends it. Errors: as
 * `rotateDisplayPassword`, and `usage` as `passwordPatch`.
 */
export async function setDisplayPassword(
  cluster: Cluster,
  vm: ObjectRef,
  change: (now: Date) => PasswordChange & { password: string },
  options: PasswordWriteOptions,
): Promise<StoredPassword | NoPassword> {
  return changePassword(cluster, vm, options, (_secret, now) => change(now));
}

export interface ExpiryWriteOptions extends SecretWriteOptions {
  /** Only while this is the password: another one is somebody else's. */
  ofPassword?: string | undefined;
}

/**
 * Changes when the password ends (`now` to end it); the runner never confirms that.
 * Errors: `usage` for what is no expiry, and whatever the API server refuses.
 */
export async function setPasswordExpiry(
  cluster: Cluster,
  vm: ObjectRef,
  expiry: string,
  { signal, dryRun, ofPassword }: ExpiryWriteOptions,
): Promise<StoredExpiry | NoPassword> {
  const { secret, warnings } = await findDisplaySecret(cluster, vm);
  if (secret === undefined) return { kind: 'none', reason: 'noSecret' };
  const { object, written } = await modify(
    cluster,
    DISPLAY_SECRETS,
    secret,
    (current) => {
      const another = ofPassword !== undefined && current.password !== ofPassword;
      return another || current.expiry === expiry ? undefined : passwordPatch(current, { expiry });
    },
    { first: secret, signal, dryRun },
  );
  return stored(object, written, warnings);
}

async function changePassword(
  cluster: Cluster,
  ref: ObjectRef,
  options: PasswordWriteOptions,
  decide: (secret: DisplaySecret, now: Date) => (PasswordChange & { password: string }) | undefined,
): Promise<StoredPassword | NoPassword> {
  const { signal, dryRun, timeoutMs, onStep } = options;
  const [seen, { secret, warnings }, seenAt] = await Promise.all([
    cluster.get(VMS, ref),
    findDisplaySecret(cluster, ref),
    cluster.now(),
  ]);
  if (seen.status.displayPasswordSerial === UNPROTECTED) return { kind: 'none', reason: 'unprotected' };
  if (secret === undefined) return { kind: 'none', reason: 'noSecret' };
  const vm = await afterEarlierBump(cluster, seen, secret, { now: seenAt, signal });
  const now = await cluster.now();
  const clock = hostClock(vm, now);
  let same = false;
  const { object, written } = await modify(
    cluster,
    DISPLAY_SECRETS,
    secret,
    (current) => {
      const change = decide(current, onHost(now, clock));
      if (change === undefined) return undefined;
      same = change.password === current.password;
      onStep?.('write', change.password);
      return passwordPatch(current, change);
    },
    { first: secret, signal, dryRun },
  );
  const { password } = object;
  if (password === undefined) {
    throw new VmopError('failed', `Secret ${object.name} holds no password, although one was written`);
  }
  const result = { ...stored(object, written, warnings), password, hostLeadMs: clock.leadMs };
  if (clock.warning !== undefined && result.expiry.kind === 'at') result.warnings.push(clock.warning);
  if (!written) return { ...result, confirmation: { confirmed: true } };
  if (dryRun === true) return { ...result, confirmation: { confirmed: false, reason: 'nothing was stored' } };
  if (same) {
    const reason = 'it is the password of before, and the runner never confirms an expiry';
    return { ...result, confirmation: { confirmed: false, reason } };
  }
  onStep?.('confirm', password);
  const before = vm.status.displayPasswordSerial;
  return { ...result, confirmation: await awaitConfirmation(cluster, vm, { before, timeoutMs, signal }) };
}

function stored({ name, expiry }: DisplaySecret, written: boolean, warnings: string[]): StoredExpiry {
  return { kind: written ? 'written' : 'kept', secret: name, expiry: parseExpiry(expiry), warnings };
}
