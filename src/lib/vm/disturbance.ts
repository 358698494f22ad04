import { agentOf, confirmedUser, resendEndsManualSession, wantedUser } from './state.ts';
import type { Vm, VmPool } from './types.ts';

/**
 * What a change of the VM's spec or of its display Secret may do to whoever sits at the guest's desktop: a sentence, or
 * undefined when it cannot disturb. Each makes the runner send its wish to the guest's agent again: `logout` where
 * nobody is wanted, which restarts the display manager, or `login`, which does nothing only when that user is already
 * there. `pool` is the assignment's pool, undefined when it is unknown; `change` begins the sentence.
 */
export function resendDisturbance(vm: Vm, pool: VmPool | undefined, change: string): string | undefined {
  if (resendEndsManualSession(vm, pool)) {
    return `${change} makes the agent of ${vm.name} log out: a session that somebody opened there by hand ends`;
  }
  const wanted = wantedUser(vm, pool);
  if (agentOf(vm) !== 'connected' || wanted === undefined || wanted === confirmedUser(vm)) return undefined;
  return (
    `${change} makes the agent of ${vm.name} log in ${wanted} once more: ` +
    'a session that somebody else opened there ends'
  );
}
