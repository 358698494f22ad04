import type { Expiry } from '../console/secret/password.ts';
import { formatDuration } from '../output/duration.ts';
import { formatTime } from '../output/plain.ts';

/** What is known of a display password, or was done to it: the `--json` form of `vmop secret …`. */
export interface SecretResult {
  name: string;
  namespace: string;
  /** The Secret's name; absent: the VM has none. */
  secret?: string;
  /** The display asks for a password; absent while its runner has not said. */
  protected?: boolean;
  /** Only with `--reveal`. */
  password?: string;
  /** `never`, `now`, `+seconds`, or a time; absent: there is no Secret. */
  expiry?: string | Date;
  /** Whether the password is accepted now, by the clock of the VM's host as far as it is known; absent where only the runner knows. */
  valid?: boolean;
  /** A new password or expiry was stored. */
  changed: boolean;
  dryRun: boolean;
  /** The runner said that it handed the password to QEMU, not whether QEMU took it; absent where it never says so. */
  confirmed?: boolean;
  /** Why it is not confirmed. */
  unconfirmedBecause?: string;
}

/** `never`, `now`, `+seconds`, a time, or the text that is none of them. */
export function expiryJson(expiry: Expiry): string | Date {
  switch (expiry.kind) {
    case 'at':
      return expiry.date;
    case 'after':
      return `+${expiry.seconds}`;
    case 'invalid':
      return expiry.text;
    default:
      return expiry.kind;
  }
}

/** `+seconds` counts from when the runner applied it, which nobody tells. */
export function isValid(expiry: Expiry, now: Date): boolean | undefined {
  switch (expiry.kind) {
    case 'never':
      return true;
    case 'at':
      return expiry.date > now;
    case 'after':
      return undefined;
    default:
      return false;
  }
}

/** For a person; `valid` false: it is over. */
export function expiryText({ expiry, valid }: Pick<SecretResult, 'expiry' | 'valid'>): string {
  if (expiry === undefined) return 'no expiry';
  if (expiry instanceof Date)
    return valid === false ? `expired at ${formatTime(expiry)}` : `valid until ${formatTime(expiry)}`;
  if (expiry === 'never') return 'valid without end';
  if (expiry === 'now') return 'expired';
  const seconds = /^\+(\d+)$/.exec(expiry)?.[1];
  return seconds === undefined
    ? `expired: ${JSON.stringify(expiry)} is no expiry that QEMU knows`
    : `valid for ${formatDuration(Number(seconds) * 1000)} from each start of the VM`;
}

export function secretSentence(result: SecretResult): string {
  const { name, secret, changed, dryRun, confirmed, unconfirmedBecause, password } = result;
  if (secret === undefined) return `${name}: no display Secret`;
  const shown = password === undefined ? '' : `, password ${password}`;
  const guard = result.protected === false ? ', not used: the display asks for no password' : '';
  if (dryRun) return `${name}: the server would take the change of ${secret} (dry run, nothing changed)`;
  if (!changed) return `${name}: ${secret}, ${expiryText(result)}${guard}${shown}`;
  const told =
    confirmed === undefined
      ? ''
      : confirmed
        ? ', handed to QEMU by the runner, which does not tell whether QEMU took it'
        : `, not confirmed: ${unconfirmedBecause ?? 'the runner has not said'}`;
  return `${name}: ${secret} changed, ${expiryText(result)}${told}${shown}`;
}
