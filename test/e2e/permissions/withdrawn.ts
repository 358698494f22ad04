import type { JsonObject } from '../../../src/lib/cluster/types.ts';
import type { Permission } from '../../../src/lib/vm/types.ts';
import { userOf, type State } from './world.ts';

/** A permission that somebody still holds when vmop asks, and no longer when the API server is asked. */
export interface Withdrawal {
  given: Permission;
  state: State;
  /** vmop's, with `VM` for the VM's name. */
  line: string;
  /** What is left to the user. */
  left?: JsonObject[];
  /** The action that policies refuse once they know. */
  probe: string;
}

export const WITHDRAWN: Withdrawal[] = [
  { given: 'start', state: 'stopped', line: 'start VM --dry-run', probe: 'start' },
  { given: 'stop', state: 'running', line: 'stop VM --dry-run', probe: 'stop' },
  {
    given: 'stop',
    // Nothing is left to be patched.
    state: 'stopped',
    line: 'stop VM --force --dry-run',
    probe: 'stop by force (delete the pod)',
  },
  { given: 'reset', state: 'running', line: 'reset VM --dry-run', probe: 'reset: touch the pod' },
  {
    given: 'accessConsole',
    state: 'running',
    line: 'secret rotate VM --dry-run',
    probe: 'set the display password',
  },
  {
    given: 'accessConsole',
    state: 'running',
    line: 'login VM --user alice --dry-run',
    probe: 'log a user in on the guest',
  },
  {
    given: 'takeConsole',
    state: 'used',
    line: 'console VM --take --file - --tunnel never',
    left: [{ user: userOf('takeConsole'), may: ['accessConsole'] }],
    probe: 'set the display password while somebody is connected',
  },
  {
    given: 'takeConsole',
    state: 'used',
    line: 'logout VM --dry-run',
    left: [{ user: userOf('takeConsole'), may: ['accessConsole'] }],
    probe: 'log a user in on the guest while somebody is connected',
  },
];
