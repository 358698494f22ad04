import { guestUserProblem } from './login.ts';
import { agentOf, confirmedUser, consoleUse, holds, isRunning, phaseOf } from './state.ts';
import type { Vm } from './types.ts';

export interface WaitCondition {
  /** A clause for the time-out's message: `it is not running`. */
  unmet: string;
  holds: (vm: Vm) => boolean;
}

/** What the serial says before any password was set. */
const NEVER_SET = 0;

const SIMPLE: Record<string, WaitCondition> = {
  running: { unmet: 'not running', holds: (vm) => phaseOf(vm) === 'running' },
  stopped: { unmet: 'not stopped', holds: (vm) => phaseOf(vm) === 'stopped' },
  booted: { unmet: 'not known to have booted', holds: (vm) => isRunning(vm) && holds(vm, 'Booted') },
  agent: { unmet: 'no agent in its guest has greeted', holds: (vm) => agentOf(vm) === 'connected' },
  logout: { unmet: 'somebody is still logged in', holds: (vm) => confirmedUser(vm) === undefined },
  console: { unmet: 'no console is connected', holds: (vm) => consoleUse(vm).connected },
  'no-console': { unmet: 'a console is still connected', holds: (vm) => !consoleUse(vm).connected },
  password: {
    unmet: 'its display password is not set',
    holds: (vm) => isRunning(vm) && (vm.status.displayPasswordSerial ?? NEVER_SET) !== NEVER_SET,
  },
};

export const WAIT_CONDITIONS = [...Object.keys(SIMPLE), 'login=USER', 'jsonpath=PATH=VALUE'];

/** The condition that `--for` names, `jsonpath=…` aside; undefined for none of them. */
export function parseWaitCondition(text: string): WaitCondition | undefined {
  const user = /^login=(.*)$/.exec(text)?.[1];
  if (user !== undefined && guestUserProblem(user) === undefined) {
    return { unmet: `${user} is not logged in`, holds: (vm) => confirmedUser(vm) === user };
  }
  return Object.hasOwn(SIMPLE, text) ? SIMPLE[text] : undefined;
}
