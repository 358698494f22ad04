import { VmopError } from '../errors.ts';
import { compact } from '../cluster/parse.ts';
import { secretWriteDisturbance } from '../console/secret/disturbance.ts';
import { findDisplaySecret } from '../console/secret/display-secret.ts';
import { hostClock, onHost } from '../console/secret/host-clock.ts';
import { epochAfter, parseExpiry, passwordProblem } from '../console/secret/password.ts';
import {
  rotateDisplayPassword,
  setDisplayPassword,
  setPasswordExpiry,
  type NoPassword,
  type StoredExpiry,
  type StoredPassword,
} from '../console/secret/rotate.ts';
import { parseDuration } from '../output/duration.ts';
import { displaySecretSelector } from '../vm/runner-objects.ts';
import { refOf } from '../vm/write.ts';
import { phaseOf } from '../vm/state.ts';
import type { Vm, VmPool } from '../vm/types.ts';
import type { Context } from '../cli/context.ts';
import { onTargets, WAITING_CONCURRENCY } from '../cli/many.ts';
import type { TargetFlags } from '../cli/targets.ts';
import { expiryJson, isValid, secretSentence as sentence, type SecretResult } from './secret-view.ts';
import { parseValidity } from './validity.ts';

export interface SecretFlags extends TargetFlags {
  reveal?: boolean;
  'dry-run'?: boolean;
  wait?: boolean;
  timeout?: string;
}

/** What the commands have in common that write; reading needs no permission but the API server's. */
const WRITES = { permissions: ['accessConsole'], sentence, concurrency: WAITING_CONCURRENCY } as const;

/** `vmop secret show`: never prints the password unless `reveal`. */
export async function showSecrets(
  context: Context,
  names: readonly string[],
  flags: SecretFlags,
): Promise<void> {
  const { cluster, terminal } = context;
  await onTargets<SecretResult>(context, names, flags, {
    permissions: [],
    sentence,
    act: async ({ vm }) => {
      const [{ secret, warnings }, now] = await Promise.all([
        findDisplaySecret(cluster, refOf(vm)),
        cluster.now(),
      ]);
      warnings.forEach((warning) => terminal.warn(warning));
      const expiry = secret && parseExpiry(secret.expiry);
      return compact({
        ...basis(vm),
        secret: secret?.name,
        password: flags.reveal === true ? secret?.password : undefined,
        expiry: expiry && expiryJson(expiry),
        valid:
          secret?.password === undefined
            ? undefined
            : expiry && isValid(expiry, onHost(now, hostClock(vm, now))),
        changed: false,
        dryRun: false,
      });
    },
  });
}

/** `vmop secret rotate`: a new password, or with `keep` VM-Operator's rule of using one that lasts long enough. */
export async function rotateSecrets(
  context: Context,
  names: readonly string[],
  flags: SecretFlags & { validity: string; keep: boolean; timeout: string },
): Promise<void> {
  const validitySeconds = parseValidity(flags.validity);
  const timeoutMs = flags.wait === false ? 0 : parseDuration(flags.timeout);
  await onTargets<SecretResult>(context, names, flags, {
    ...WRITES,
    act: async ({ vm, pool }, progress) => {
      progress.row(vm.name, 'rotating the display password');
      const stored = await rotateDisplayPassword(context.cluster, refOf(vm), {
        validitySeconds,
        force: !flags.keep,
        timeoutMs,
        signal: context.signal,
        dryRun: flags['dry-run'],
        onStep: warningBeforeWrite(context, vm, pool),
      });
      return storedResult(context, vm, stored, flags);
    },
  });
}

/** `vmop secret set`: a password that a person chose, read without echo or from standard input. */
export async function setSecrets(
  context: Context,
  names: readonly string[],
  flags: SecretFlags & { validity: string; timeout: string },
): Promise<void> {
  const expiry = flags.validity === 'never' ? 'never' : undefined;
  const validitySeconds = expiry === undefined ? parseValidity(flags.validity) : 0;
  const timeoutMs = flags.wait === false ? 0 : parseDuration(flags.timeout);
  let password = '';
  await onTargets<SecretResult>(context, names, flags, {
    ...WRITES,
    // Where no VM was found there is nothing to type it for; each has its error to tell.
    before: async (targets) => {
      if (targets.length > 0) password = await askForPassword(context);
    },
    act: async ({ vm, pool }, progress) => {
      progress.row(vm.name, 'setting the display password');
      const change = (now: Date) => ({ password, expiry: expiry ?? epochAfter(now, validitySeconds) });
      const stored = await setDisplayPassword(context.cluster, refOf(vm), change, {
        timeoutMs,
        signal: context.signal,
        dryRun: flags['dry-run'],
        onStep: warningBeforeWrite(context, vm, pool),
      });
      return storedResult(context, vm, stored, { ...flags, reveal: false });
    },
  });
}

async function askForPassword({ terminal }: Context): Promise<string> {
  const password = await terminal.secretInput('New display password');
  const problem = passwordProblem(password);
  if (problem !== undefined) throw new VmopError('usage', problem);
  return password;
}

/** `vmop secret expire`: when the password ends, now unless said otherwise. */
export async function expireSecrets(
  context: Context,
  names: readonly string[],
  flags: SecretFlags & { in?: string | undefined; never: boolean },
): Promise<void> {
  const seconds = flags.in === undefined ? undefined : parseValidity(flags.in);
  await onTargets<SecretResult>(context, names, flags, {
    ...WRITES,
    act: async ({ vm, pool }, progress) => {
      progress.row(vm.name, 'changing the expiry');
      warningBeforeWrite(context, vm, pool)('write');
      const until = seconds === undefined ? 'now' : await epochOnHost(context, vm, seconds);
      const stored = await setPasswordExpiry(context.cluster, refOf(vm), flags.never ? 'never' : until, {
        signal: context.signal,
        dryRun: flags['dry-run'],
      });
      return storedResult(context, vm, stored, flags);
    },
  });
}

function basis(vm: Vm): { name: string; namespace: string; protected?: boolean } {
  const { displayPasswordSerial: serial } = vm.status;
  const known = phaseOf(vm) === 'running' && serial !== undefined;
  return { name: vm.name, namespace: vm.namespace, ...(known ? { protected: serial >= 0 } : {}) };
}

function storedResult(
  { terminal }: Context,
  vm: Vm,
  stored: StoredPassword | StoredExpiry | NoPassword,
  flags: SecretFlags,
): SecretResult {
  if (stored.kind === 'none') throw noPasswordError(vm, stored);
  stored.warnings.forEach((warning) => terminal.warn(warning));
  const confirmation = 'confirmation' in stored ? stored.confirmation : undefined;
  const dryRun = flags['dry-run'] === true;
  const written = stored.kind === 'written';
  return compact({
    ...basis(vm),
    secret: stored.secret,
    password: flags.reveal === true && 'password' in stored ? stored.password : undefined,
    expiry: expiryJson(stored.expiry),
    changed: written && !dryRun,
    dryRun,
    confirmed: written && !dryRun ? confirmation?.confirmed : undefined,
    unconfirmedBecause:
      written && !dryRun && confirmation?.confirmed === false ? confirmation.reason : undefined,
  });
}

function noPasswordError(vm: Vm, { reason }: NoPassword): VmopError {
  if (reason === 'unprotected' || vm.spec.spice?.generateSecret === false) {
    return new VmopError(
      'state',
      `the display of ${vm.name} asks for no password, so there is none to change`,
      {
        hint: 'spec.vm.display.spice.generateSecret makes VM-Operator protect it at its next start',
        vm: vm.name,
      },
    );
  }
  return new VmopError('notFound', `${vm.name} has no display Secret`, {
    hint: `VM-Operator makes one when the VM starts or is changed; it looks for the labels ${displaySecretSelector(vm.name)}`,
    vm: vm.name,
  });
}

/** Tells whom a write may disturb, once it is sure that there will be one. */
function warningBeforeWrite(
  context: Context,
  vm: Vm,
  pool: VmPool | undefined,
): (step: 'write' | 'confirm') => void {
  const disturbance = secretWriteDisturbance(vm, pool);
  return (step) => {
    if (step === 'write' && disturbance !== undefined) context.terminal.warn(disturbance);
  };
}

/** So many seconds from now, by the clock that ends the VM's password; says where that is another one. */
async function epochOnHost({ cluster, terminal }: Context, vm: Vm, seconds: number): Promise<string> {
  const now = await cluster.now();
  const clock = hostClock(vm, now);
  if (clock.warning !== undefined) terminal.warn(clock.warning);
  return epochAfter(onHost(now, clock), seconds);
}
