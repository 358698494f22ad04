import type { Cluster } from '../cluster/types.ts';
import { logIn, loginObstacle } from '../vm/login.ts';
import { connectionOf } from '../vm/state.ts';
import type { Vm } from '../vm/types.ts';
import { Admission } from './admission.ts';
import { ConsolePassword } from './console-password.ts';
import { namedUse, recordConsoleUser, releaseConsoleUser } from './console-user.ts';
import { consoleGates, gateError, type ConsoleGate, type GateName } from './gates.ts';
import type { ConsoleHooks, ConsoleRequest } from './request.ts';
import { findRoute, type Route } from './reach/route.ts';

/** A console that a viewer can be pointed at. */
export interface PreparedConsole {
  vm: Vm;
  /** As it was before one was named as the console's user. */
  before: Vm;
  /** To be asked once more wherever time has passed before a main channel is opened. */
  admission: Admission;
  route: Route;
  password: ConsolePassword;
}

export interface Preparation {
  /** Connections that are one's own; those that the person agrees to close are added. */
  own?: Set<string>;
  /** A session that was dropped is opened again: its desktop is to be found as it was left. */
  again?: boolean;
}

/**
 * Everything before the viewer, in VM-Operator's order: gates, the port (before anything is changed), the log-in where
 * it comes first, who uses the console, password, confirmation. Errors: the first shut gate's; `console` when the port
 * does not answer; what `logIn` says; `PasswordWithheld`; whatever the API server refuses.
 */
export async function prepareConsole(
  cluster: Cluster,
  found: Vm,
  request: ConsoleRequest,
  hooks: ConsoleHooks,
  { own = new Set(), again = false }: Preparation = {},
): Promise<PreparedConsole> {
  const { login, pool, me } = request;
  const loginFirst = login?.first === true ? login.user : undefined;
  const asker = { ...request, own };
  // The gate that a log-in opens is asked once it is done.
  await passGates(found, asker, hooks, (gate) => gate !== 'login' || loginFirst === undefined);
  const obstacle = login && loginObstacle(found, pool, login);
  if (obstacle) throw obstacle;
  const route = await findRoute(cluster, found, request, hooks);
  const vm =
    loginFirst === undefined ? found : await logInOnGuest(cluster, found, loginFirst, request, hooks);
  // That took its time: somebody may have come meanwhile.
  if (loginFirst !== undefined) await passGates(vm, asker, hooks, () => true);
  const admit = (current: Vm): void => {
    const shut = gateError(current, gatesOf(current, asker));
    if (shut) throw shut;
  };
  const before = await recordConsoleUser(cluster, vm, me, { admit, hooks });
  try {
    const password = await ConsolePassword.prepare(cluster, vm, { ...request, spare: again }, hooks);
    return { vm, before, route, password, admission: new Admission(cluster, vm, request, own) };
  } catch (error) {
    await releaseConsoleUser(request.afterwards, namedUse(before, { me, connected: false, own }), hooks);
    throw error;
  }
}

type Asker = ConsoleRequest & { own: Set<string> };

function gatesOf(vm: Vm, asker: Asker): ConsoleGate[] {
  return consoleGates(vm, { ...asker, name: asker.me, loginFollows: asker.login?.first === false });
}

async function passGates(
  vm: Vm,
  asker: Asker,
  hooks: ConsoleHooks,
  which: (gate: GateName) => boolean,
): Promise<void> {
  const gates = gatesOf(vm, asker).filter(({ name }) => which(name));
  const first = gates.find(({ open }) => !open);
  const question = first?.open === false ? first.question : undefined;
  const connection = connectionOf(vm);
  if (question !== undefined && connection !== undefined && (await hooks.confirm?.(question)) === true) {
    asker.own.add(connection);
    return passGates(vm, asker, hooks, which);
  }
  const shut = gateError(vm, gates);
  if (shut) throw shut;
  // Nobody's console is closed in silence, not even one's own.
  const own = connection !== undefined && asker.own.has(connection);
  const said = connection === undefined ? hooks.onDetail : own ? hooks.onNote : hooks.onWarning;
  for (const { name, sentence } of gates) {
    if (name === 'inUse' && connection !== undefined) said(sentence);
    else hooks.onDetail(`${name}: ${sentence}`);
  }
}

/** Resolves to the VM as it is then. Errors: as `logIn`. */
export async function logInOnGuest(
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
