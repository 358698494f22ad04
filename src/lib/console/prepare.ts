import { isStatus } from '../cluster/api-error.ts';
import type { Cluster } from '../cluster/types.ts';
import { messageOf } from '../errors.ts';
import { logIn } from '../vm/login.ts';
import { VMS } from '../vm/parse.ts';
import { refOf } from '../vm/write.ts';
import type { Permission, Vm, VmPool } from '../vm/types.ts';
import type { Endpoint } from './address.ts';
import { consoleEndpoint, type EndpointOverrides } from './endpoint.ts';
import { consoleGates, gateError, type GateName } from './gates.ts';
import { preflight } from './preflight.ts';
import { RUNNER_PODS, type RunnerPod } from './runner-pod.ts';
import { UNPROTECTED } from './secret/confirmation.ts';
import { findDisplaySecret } from './secret/display-secret.ts';
import { secretWriteDisturbance } from './secret/disturbance.ts';
import { decidePassword } from './secret/password.ts';
import {
  rotateDisplayPassword,
  setPasswordExpiry,
  type NoPassword,
  type StoredPassword,
} from './secret/rotate.ts';

/** What a person sees while a console is opened. */
export interface ConsoleHooks {
  /** What is done now. */
  onStep: (text: string) => void;
  /** What the person should know though it stops nothing. */
  onWarning: (text: string) => void;
  /** Only with `-v`. */
  onDetail: (text: string) => void;
}

export interface ConsoleRequest {
  /** My name in VM-Operator. */
  me: string;
  permissions: ReadonlySet<Permission>;
  pool: VmPool | undefined;
  take: boolean;
  /** Log this user in on the guest first. */
  login: string | undefined;
  /** How long the guest's agent may take for that. */
  loginMs: number;
  overrides: EndpointOverrides;
  /** Names of hosts as the cluster knows them → as they are reached from here. */
  hosts: Readonly<Record<string, string>>;
  validitySeconds: number;
  /** How long to wait for the runner to confirm a new password. */
  confirmMs: number;
  preflightMs: number;
  signal: AbortSignal;
  /** The same cluster, to end the password with: the signal does not end its calls, short time-outs do. */
  afterwards: Cluster;
}

/** A console that a viewer can be pointed at. */
export interface PreparedConsole {
  vm: Vm;
  endpoint: Endpoint;
  password: StoredPassword | NoPassword;
}

/**
 * Everything before the viewer, in VM-Operator's order: gates, the port (before anything is changed), the log-in that
 * was asked for, who uses the console, password, confirmation. Errors: the first shut gate's; `console` when the port
 * does not answer; what `logIn` says; whatever the API server refuses.
 */
export async function prepareConsole(
  cluster: Cluster,
  found: Vm,
  request: ConsoleRequest,
  hooks: ConsoleHooks,
): Promise<PreparedConsole> {
  const { login, signal } = request;
  // The gate that a log-in opens is asked once it is done.
  passGates(found, request, hooks, (gate) => gate !== 'login');
  hooks.onStep('looking for its SPICE port');
  const endpoint = await findEndpoint(cluster, found, request);
  hooks.onStep(`calling ${endpoint.host.value}:${endpoint.port.value}`);
  const reached = await preflight(endpoint, { timeoutMs: request.preflightMs, signal });
  if (!reached.reachable) throw reached.error;
  const vm = login === undefined ? found : await logInFirst(cluster, found, login, request, hooks);
  passGates(vm, request, hooks, (gate) => gate === 'login');
  await recordConsoleUser(cluster, vm, request.me, hooks);
  await warnBeforeWrite(cluster, vm, request, hooks);
  const password = await preparePassword(cluster, vm, request, hooks);
  return { vm, endpoint, password };
}

function passGates(
  vm: Vm,
  request: ConsoleRequest,
  hooks: ConsoleHooks,
  which: (gate: GateName) => boolean,
): void {
  const gates = consoleGates(vm, { ...request, name: request.me }).filter(({ name }) => which(name));
  const shut = gateError(vm, gates);
  if (shut) throw shut;
  for (const { name, sentence } of gates) hooks.onDetail(`${name}: ${sentence}`);
}

async function logInFirst(
  cluster: Cluster,
  vm: Vm,
  user: string,
  { pool, loginMs, signal }: ConsoleRequest,
  { onStep, onWarning }: ConsoleHooks,
): Promise<Vm> {
  if (vm.status.loggedInUser === user) return vm;
  onStep(`logging in ${user} on the guest`);
  return logIn(cluster, vm, pool, { user }, { timeoutMs: loginMs, signal, onWarning });
}

async function findEndpoint(cluster: Cluster, vm: Vm, request: ConsoleRequest): Promise<Endpoint> {
  const { overrides, hosts } = request;
  const pod = overrides.host || vm.spec.spice?.server ? undefined : await runnerPod(cluster, vm);
  const endpoint = consoleEndpoint(vm, pod, { overrides });
  const mapped = overrides.host ? undefined : hosts[endpoint.host.value];
  if (mapped === undefined) return endpoint;
  const host = { value: mapped, source: `hosts of config.yaml, for ${endpoint.host.value}` };
  return consoleEndpoint(vm, pod, { overrides: { ...overrides, host } });
}

async function runnerPod(cluster: Cluster, vm: Vm): Promise<RunnerPod | undefined> {
  try {
    return await cluster.get(RUNNER_PODS, refOf(vm));
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    throw error;
  }
}

/** VM-Operator names the user of a console before the connection is there. */
async function recordConsoleUser(cluster: Cluster, vm: Vm, me: string, hooks: ConsoleHooks): Promise<void> {
  if (vm.status.consoleUser === me) return;
  try {
    const body = { status: { consoleUser: me } };
    await cluster.patch(VMS, refOf(vm), { type: 'merge', body }, { subresource: 'status' });
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    hooks.onWarning(`others will not see that the console of ${vm.name} is yours: ${messageOf(error)}`);
  }
}

/** Said before the rotation, and only when there will be one. */
async function warnBeforeWrite(
  cluster: Cluster,
  vm: Vm,
  { pool, validitySeconds }: ConsoleRequest,
  hooks: ConsoleHooks,
): Promise<void> {
  const disturbance = secretWriteDisturbance(vm, pool);
  if (disturbance === undefined || vm.status.displayPasswordSerial === UNPROTECTED) return;
  const [{ secret }, now] = await Promise.all([findDisplaySecret(cluster, refOf(vm)), cluster.now()]);
  if (secret && decidePassword(secret, { now, validitySeconds }).action === 'write')
    hooks.onWarning(disturbance);
}

async function preparePassword(
  cluster: Cluster,
  vm: Vm,
  request: ConsoleRequest,
  hooks: ConsoleHooks,
): Promise<StoredPassword | NoPassword> {
  const { signal, validitySeconds, confirmMs } = request;
  let written: string | undefined;
  try {
    const password = await rotateDisplayPassword(cluster, refOf(vm), {
      validitySeconds,
      timeoutMs: confirmMs,
      signal,
      onStep: (step, stored) => {
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
    if (written !== undefined) await burnPassword(vm, written, request, hooks);
    throw error;
  }
}

const BURN_MS = 5_000;

/**
 * Ends the password, if it is still the one in force, unless that write would itself log somebody out: then it ends
 * by its own validity. Never rejects: it is the last thing done, and a failure leaves what the validity bounds anyway.
 */
export async function burnPassword(
  vm: Vm,
  password: string,
  { afterwards, pool }: Pick<ConsoleRequest, 'afterwards' | 'pool'>,
  hooks: Pick<ConsoleHooks, 'onDetail'>,
): Promise<void> {
  try {
    // Asked anew: who is logged in may have changed since.
    const current = await afterwards.get(VMS, refOf(vm));
    if (secretWriteDisturbance(current, pool) !== undefined) {
      hooks.onDetail(
        'the display password is left to its own validity: ending it now would log somebody out',
      );
      return;
    }
    const signal = AbortSignal.timeout(BURN_MS);
    const { kind } = await setPasswordExpiry(afterwards, refOf(vm), 'now', {
      signal,
      ofPassword: password,
    });
    if (kind === 'written') hooks.onDetail('the display password was ended');
  } catch (error) {
    hooks.onDetail(`the display password could not be ended: ${messageOf(error)}`);
  }
}
