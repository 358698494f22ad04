import { agentOf, confirmedUser, resendEndsManualSession, wantedUser } from '../../vm/state.ts';
import type { Vm, VmPool } from '../../vm/types.ts';

/**
 * What a write to the display Secret, an expiry alone included, may do to whoever sits at the guest's desktop: a
 * sentence, or undefined when it cannot disturb. Each write makes the runner send its wish to the guest's agent
 * again: `logout` where nobody is wanted, which restarts the display manager, or `login`, which does nothing only
 * when that user is already there. `pool` is the assignment's pool, undefined when it is unknown.
 */
export function secretWriteDisturbance(vm: Vm, pool: VmPool | undefined): string | undefined {
  if (resendEndsManualSession(vm, pool)) {
    return (
      `a change of the display password makes the agent of ${vm.name} log out: ` +
      'a session that somebody opened there by hand ends'
    );
  }
  const wanted = wantedUser(vm, pool);
  if (agentOf(vm) !== 'connected' || wanted === undefined || wanted === confirmedUser(vm)) {
    return undefined;
  }
  return (
    `a change of the display password makes the agent of ${vm.name} log in ${wanted} once more: ` +
    'a session that somebody else opened there ends'
  );
}
