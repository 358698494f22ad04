import { VmopError } from '../errors.ts';
import type { SessionResult } from './session.ts';

export interface SessionNames {
  vm: string;
  /** The viewer, as its plan names it. */
  viewer: string;
}

/**
 * What went wrong in a session; undefined when the user ended it, or when it goes on.
 * Codes: `conflict` taken over, `state` the VM stopped, `interrupted`, else `console`.
 */
export function sessionError(
  { vm, viewer }: SessionNames,
  { outcome, connected }: Pick<SessionResult, 'outcome' | 'connected'>,
): VmopError | undefined {
  switch (outcome.kind) {
    case 'connected':
      return undefined;
    case 'windowClosed':
      if (connected) return undefined;
      return new VmopError('console', `the window was closed before ${vm} was connected`, { vm });
    case 'passwordRefused':
      return new VmopError('console', `${vm} refuses the display password`, {
        hint: `it may have run out, or not have been applied yet: vmop console ${vm} --validity 120`,
        vm,
      });
    case 'unreachable':
      return new VmopError('console', `${viewer} gets no connection to ${vm}: ${outcome.reason}`, {
        hint: `vmop console ${vm} --check calls the console without a viewer`,
        vm,
      });
    case 'takenOver': {
      const from = outcome.from === undefined ? '' : ` from ${outcome.from}`;
      return new VmopError(
        'conflict',
        `${outcome.by ?? 'somebody'} has taken over the console of ${vm}${from}`,
        {
          vm,
        },
      );
    }
    case 'vmStopped':
      return new VmopError('state', `${vm} has stopped`, { hint: `vmop start ${vm}`, vm });
    case 'connectionLost':
      return new VmopError('console', `the connection to ${vm} is lost`, {
        hint: `vmop show ${vm} tells how it is`,
        vm,
      });
    case 'viewerHung':
      return new VmopError(
        'console',
        outcome.stage === 'link' ? `${vm} does not answer ${viewer}` : `${vm} sends no picture to ${viewer}`,
        {
          hint:
            outcome.stage === 'link'
              ? `vmop console ${vm} --check calls the console without a viewer`
              : `the password may have run out too early: vmop console ${vm} --validity 120`,
          vm,
        },
      );
    case 'viewerFailed':
      return new VmopError('console', `${viewer} failed: ${outcome.reason}`, {
        hint: 'another viewer can be named with --viewer; --web needs none',
        vm,
      });
    default:
      return new VmopError('interrupted', `the console of ${vm} was interrupted`, { vm });
  }
}
