import { isStatus } from '../cluster/api-error.ts';
import type { Cluster } from '../cluster/types.ts';
import { logIn, loginObstacle } from '../vm/login.ts';
import { VMS } from '../vm/parse.ts';
import { briefMessage } from '../vm/refusal.ts';
import { consoleUse } from '../vm/state.ts';
import type { Vm } from '../vm/types.ts';
import { refOf } from '../vm/write.ts';
import { ConsolePassword } from './console-password.ts';
import { consoleGates, gateError, type GateName } from './gates.ts';
import type { ConsoleHooks, ConsoleRequest } from './request.ts';
import { findRoute, type Route } from './reach/route.ts';

/** A console that a viewer can be pointed at. */
export interface PreparedConsole {
  vm: Vm;
  route: Route;
  password: ConsolePassword;
}

/**
 * Everything before the viewer, in VM-Operator's order: gates, the port (before anything is changed), the log-in where
 * it comes first, who uses the console, password, confirmation. Errors: the first shut gate's; `console` when the port
 * does not answer; what `logIn` says; whatever the API server refuses.
 */
export async function prepareConsole(
  cluster: Cluster,
  found: Vm,
  request: ConsoleRequest,
  hooks: ConsoleHooks,
): Promise<PreparedConsole> {
  const { login, pool } = request;
  const loginFirst = login?.first === true ? login.user : undefined;
  // The gate that a log-in opens is asked once it is done.
  passGates(found, request, hooks, (gate) => gate !== 'login' || loginFirst === undefined);
  const obstacle = login && loginObstacle(found, pool, login);
  if (obstacle) throw obstacle;
  const route = await findRoute(cluster, found, request, hooks);
  const vm =
    loginFirst === undefined ? found : await logInOnGuest(cluster, found, loginFirst, request, hooks);
  if (loginFirst !== undefined) passGates(vm, request, hooks, (gate) => gate === 'login');
  await recordConsoleUser(cluster, vm, request, hooks);
  const password = await ConsolePassword.prepare(cluster, vm, request, hooks);
  return { vm, route, password };
}

function passGates(
  vm: Vm,
  request: ConsoleRequest,
  hooks: ConsoleHooks,
  which: (gate: GateName) => boolean,
): void {
  const asker = { ...request, name: request.me, loginFollows: request.login?.first === false };
  const gates = consoleGates(vm, asker).filter(({ name }) => which(name));
  const shut = gateError(vm, gates);
  if (shut) throw shut;
  const { connected } = consoleUse(vm);
  for (const { name, sentence } of gates) {
    // Nobody's console is closed in silence, not even one's own.
    if (name === 'inUse' && connected) hooks.onNote(sentence);
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

/** VM-Operator names the user of a console before the connection is there. */
async function recordConsoleUser(
  cluster: Cluster,
  vm: Vm,
  { me }: ConsoleRequest,
  hooks: ConsoleHooks,
): Promise<void> {
  if (vm.status.consoleUser === me) return;
  try {
    const body = { status: { consoleUser: me } };
    await cluster.patch(VMS, refOf(vm), { type: 'merge', body }, { subresource: 'status' });
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    hooks.onWarning(`others will not see that the console of ${vm.name} is yours: ${briefMessage(error)}`);
  }
}
