import { VmopError } from '../../errors.ts';
import { whence } from '../../vm/console-client.ts';
import { vmArgument } from '../../vm/write.ts';
import type { PreparedConsole } from '../prepare.ts';
import { whereOf } from '../reach/route.ts';
import type { ConsoleRequest } from '../request.ts';
import type { ConsoleSession, Presentation } from './show.ts';

/** The error for a session that did not go as it should; undefined for one that the user ended, or that goes on. */
export function sessionError(
  { outcome, connected, loginFailure }: ConsoleSession,
  prepared: PreparedConsole,
  { name, hangAfterMs }: Pick<Presentation, 'name' | 'hangAfterMs'>,
  { permissions }: Pick<ConsoleRequest, 'permissions'>,
): VmopError | undefined {
  const { vm } = prepared;
  const where = whereOf(prepared.route);
  const again = 'open it again to see whether that lasts; --reconnect does so by itself';
  const error = (code: 'console' | 'conflict' | 'state', message: string, hint?: string): VmopError =>
    new VmopError(code, message, { hint, vm: vm.name });
  switch (outcome.kind) {
    case 'connected':
      return loginFailure;
    case 'windowClosed':
      return connected
        ? loginFailure
        : error('console', `${name} was closed before it had connected to ${vm.name}`, again);
    case 'passwordRefused':
      return error('console', `the display of ${vm.name} refused the password`, refusedHint(prepared));
    case 'unreachable':
      return error(
        'console',
        `${name} does not reach ${vm.name} at ${where}: ${outcome.reason}`,
        `vmop console --check ${vmArgument(vm)} calls its display without a viewer`,
      );
    case 'takenOver': {
      const { by = 'somebody', from, own } = outcome;
      const origin = from === undefined ? '' : ` ${whence(from)}`;
      if (own) {
        // Whoever connects by hand puts down no name, and leaves one's own.
        const who = 'you, or somebody with a viewer started by hand, have';
        const hint = `vmop console ${vmArgument(vm)} --take brings it back here`;
        return error('conflict', `${who} opened the console of ${vm.name} again${origin}`, hint);
      }
      const hint = permissions.has('takeConsole')
        ? '--take takes it back'
        : `ask ${by} to leave: to take it back you would need the permission takeConsole`;
      return error('conflict', `${by} has taken the console of ${vm.name}${origin}`, hint);
    }
    case 'vmStopped':
      return outcome.deleted
        ? error('state', `${vm.name} was deleted, and its console ended with it`)
        : error('state', `${vm.name} has stopped, and its console with it`, `vmop start ${vmArgument(vm)}`);
    case 'connectionLost':
      return error('console', `the connection to ${vm.name} at ${where} was lost`, again);
    case 'viewerHung':
      return outcome.stage === 'link'
        ? error('console', `${name} has not connected to ${where} within ${hangAfterMs / 1000} s`, again)
        : error(
            'console',
            `${name} is connected to ${vm.name}, but no picture came`,
            'the password may have run out meanwhile: try --validity 120s',
          );
    case 'notAdmitted':
      return outcome.error;
    case 'viewerFailed':
      return error('console', `${name} failed: ${outcome.reason}`, outcome.hint ?? '-v shows what it said');
    default:
      return error('console', `the console of ${vm.name} was ended from elsewhere`, again);
  }
}

/** A person's line for a session without an error. */
export function sessionSentence(
  { outcome, seconds }: ConsoleSession,
  { vm }: PreparedConsole,
  { name }: Pick<Presentation, 'name'>,
): string {
  return outcome.kind === 'connected'
    ? `${name} is connected to ${vm.name}, and left alone`
    : `the console of ${vm.name} was closed after ${seconds} s`;
}

function refusedHint({ vm, password: { stored, ranOut, withheld } }: PreparedConsole): string {
  if (withheld) {
    return `it has run out, and a new one would log out whoever sits at the desktop: vmop console ${vmArgument(vm)} opens it again, and does that`;
  }
  if (stored.kind === 'written' && !stored.confirmation.confirmed) {
    return `the runner had not confirmed it: ${stored.confirmation.reason}`;
  }
  if (ranOut) return 'it ran out before the viewer connected: try --validity 120s';
  switch (stored.kind) {
    case 'none':
      return 'vmop knows of no password for it: its Secret is missing, or QEMU has another';
    case 'kept':
      return 'the Secret does not hold the password that QEMU has: vmop secret rotate sets a new one';
    default:
      return `its runner says that it handed it over: vmop secret rotate ${vmArgument(vm)} hands over another, and a clock that is ahead there ends it early`;
  }
}
