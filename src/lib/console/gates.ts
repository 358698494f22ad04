import { vmArgument } from '../vm/write.ts';
import { VmopError, type ErrorCode } from '../errors.ts';
import { sanitize } from '../text.ts';
import {
  agentOf,
  condition,
  confirmedUser,
  connectionOf,
  consoleUse,
  phaseOf,
  startObstacle,
  wantedUser,
} from '../vm/state.ts';
import { whence } from '../vm/console-client.ts';
import { permissionHint } from '../vm/permissions.ts';
import type { Permission, Vm, VmPool } from '../vm/types.ts';

/** What must be open for a console, in the order in which VM-Operator asks. */
export type GateName = 'running' | 'permission' | 'inUse' | 'login';

interface GateBase {
  name: GateName;
  /** Why it is open or shut; names from the object are sanitized. */
  sentence: string;
}

export type ConsoleGate =
  | (GateBase & { open: true })
  /** `hint`: what opens it; `question`: a person who is there may open it by a yes. */
  | (GateBase & { open: false; code: ErrorCode; hint: string; question?: string });

/** Who wants the console. */
export interface ConsoleAsker {
  /** As VM-Operator names the user. */
  name: string;
  permissions: ReadonlySet<Permission>;
  /** `--take`: end somebody else's console. */
  take: boolean;
  /** Connections (`connectionOf`) that are known to be one's own, or may be closed as if they were. */
  own?: ReadonlySet<string>;
  /** A log-in shall follow once the console is connected. */
  loginFollows?: boolean;
  /** The assignment's pool; undefined when there is none or it is unknown. */
  pool?: VmPool | undefined;
}

/**
 * All four gates. Like VM-Operator, except that a console in use by somebody else is taken over only when asked for,
 * also by those who may.
 */
export function consoleGates(vm: Vm, asker: ConsoleAsker): ConsoleGate[] {
  return [runningGate(vm), permissionGate(vm, asker), inUseGate(vm, asker), loginGate(vm, asker)];
}

/** The error for the first gate that is shut; undefined when all are open. */
export function gateError(vm: Vm, gates: readonly ConsoleGate[]): VmopError | undefined {
  const shut = gates.find((gate) => !gate.open);
  if (shut === undefined || shut.open) return undefined;
  return new VmopError(shut.code, shut.sentence, { hint: shut.hint, vm: vm.name });
}

export function runningGate(vm: Vm): ConsoleGate {
  const name = 'running';
  const phase = phaseOf(vm);
  const sentence = `${vm.name} is ${phase}`;
  if (phase === 'running') return { name, open: true, sentence };
  const hint =
    phase === 'starting'
      ? (startObstacle(vm) ?? `vmop wait ${vmArgument(vm)} --for running`)
      : phase === 'stopping'
        ? `vmop restart ${vmArgument(vm)}`
        : `vmop start ${vmArgument(vm)}`;
  return { name, open: false, sentence, code: 'state', hint };
}

function permissionGate(vm: Vm, { name: user, permissions, pool }: ConsoleAsker): ConsoleGate {
  const name = 'permission';
  const held = (['accessConsole', 'takeConsole'] as const).filter((one) => permissions.has(one));
  if (held.length > 0) return { name, open: true, sentence: `${user} holds ${held.join(' and ')}` };
  return {
    name,
    open: false,
    sentence: `${user} holds neither accessConsole nor takeConsole on ${vm.name}`,
    code: 'forbidden',
    hint: permissionHint(vm, pool, 'accessConsole'),
  };
}

export function inUseGate(
  vm: Vm,
  { name: me, permissions, take, own }: Pick<ConsoleAsker, 'name' | 'permissions' | 'take' | 'own'>,
): ConsoleGate {
  const name = 'inUse';
  const { connected, user, client, since } = consoleUse(vm);
  if (!connected) return { name, open: true, sentence: 'nobody is connected' };
  const from = client === undefined ? '' : ` ${whence(client)}`;
  const time = since === undefined ? '' : ` since ${since.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  const circumstances = `${from}${time}`;
  const connection = connectionOf(vm);
  if (connection !== undefined && own?.has(connection) === true) {
    return {
      name,
      open: true,
      sentence: `your own console is connected${circumstances}, and will be closed`,
    };
  }
  if (user === me) {
    // The name stays when a session ends, and whoever connects by hand puts down none.
    const sentence = `you, or somebody with a viewer started by hand, are connected to ${vm.name}${circumstances}`;
    if (take) return { name, open: true, sentence: `${sentence}: that console will be closed` };
    return {
      name,
      open: false,
      sentence,
      code: 'conflict',
      hint: `vmop console ${vmArgument(vm)} --take closes that console`,
      question: `${sentence}. Close that console?`,
    };
  }
  const who = user === undefined ? 'somebody' : sanitize(user);
  const sentence = `${who} is connected to ${vm.name}${circumstances}`;
  const mayTake = permissions.has('takeConsole');
  if (take && mayTake) return { name, open: true, sentence: `${sentence}, and will be disconnected` };
  if (take) {
    const hint = `ask ${who} to leave, or an administrator for the permission`;
    return {
      name,
      open: false,
      sentence: `${sentence}, and ${me} does not hold takeConsole`,
      code: 'forbidden',
      hint,
    };
  }
  const hint = mayTake
    ? `vmop console ${vmArgument(vm)} --take disconnects ${user === undefined ? 'them' : who}`
    : `ask ${who} to leave`;
  return { name, open: false, sentence, code: 'conflict', hint };
}

function loginGate(vm: Vm, { name: me, permissions, pool, loginFollows = false }: ConsoleAsker): ConsoleGate {
  const name = 'login';
  const login = condition(vm, 'UserLoggedIn');
  const present = confirmedUser(vm);
  if (permissions.has('takeConsole')) {
    return { name, open: true, sentence: 'who holds takeConsole needs no log-in on the guest' };
  }
  // Versions that log nobody in know no such condition.
  const unasked = login === undefined && wantedUser(vm, pool) === undefined;
  if (unasked || login?.reason === 'NotRequested') {
    return { name, open: true, sentence: 'no log-in is asked for' };
  }
  if (present === me) return { name, open: true, sentence: `${me} is logged in on the guest` };
  const noAgent = login?.reason === 'VmopAgentDisconnected' && agentOf(vm) !== 'connected';
  const firstHelps = loginFollows && !noAgent;
  const shut = (sentence: string, hint: string): ConsoleGate => ({
    name,
    open: false,
    sentence,
    code: 'state',
    hint: firstHelps ? `--login-first logs in before the console is opened; else ${hint}` : hint,
  });
  if (present !== undefined) {
    return shut(
      `${sanitize(present)} is logged in on ${vm.name}, and a console is for the user who is`,
      `vmop login ${vmArgument(vm)} --user ${me}, once ${sanitize(present)} has finished`,
    );
  }
  const wanted = wantedUser(vm, pool);
  if (wanted === undefined) {
    return shut(
      `the guest of ${vm.name} has not settled who is logged in`,
      `vmop show ${vmArgument(vm)} tells more`,
    );
  }
  const user = sanitize(wanted);
  const hint = noAgent
    ? `no agent has answered: vmop show ${vmArgument(vm)} tells more`
    : wanted === me
      ? `vmop wait ${vmArgument(vm)} --for login=${me}`
      : `vmop login ${vmArgument(vm)} --user ${me}`;
  return shut(`${user} is to be logged in on ${vm.name}, and is not yet`, hint);
}
