import { VmopError } from '../../../errors.ts';
import type { QmpClient } from './qmp.ts';

/** SPICE cuts longer ones off. */
const MAXIMUM_PASSWORD_BYTES = 59;

/** QEMU accepts any text as time and locks the display when it does not understand it. */
const EXPIRY = /^(?:now|never|\+\d{1,18}|\d{1,18})$/;

/** Why the display cannot have this password or expiry; undefined when it can. Never holds the password. */
export function displayPasswordProblem(
  password: string | undefined,
  expiry: string | undefined,
): string | undefined {
  if (password !== undefined) {
    if (password === '') return 'the display password is empty';
    if (!password.isWellFormed() || password.includes('\0')) return 'the display password is no plain text';
    if (Buffer.byteLength(password) > MAXIMUM_PASSWORD_BYTES) {
      return `the display password is longer than ${MAXIMUM_PASSWORD_BYTES} bytes`;
    }
  }
  if (expiry !== undefined && !EXPIRY.test(expiry)) {
    return 'the password expiry is none of now, never, +SECONDS and SECONDS since 1970';
  }
  return undefined;
}

/** Sets what is given; changes nothing when either part cannot be. */
export async function setDisplayPassword(
  qmp: QmpClient,
  password: string | undefined,
  expiry: string | undefined,
): Promise<void> {
  const problem = displayPasswordProblem(password, expiry);
  if (problem !== undefined) throw new VmopError('failed', problem);
  if (password !== undefined)
    await qmp.execute('set_password', { protocol: 'spice', password, connected: 'keep' });
  if (expiry !== undefined) await qmp.execute('expire_password', { protocol: 'spice', time: expiry });
}
