import { randomBytes } from 'node:crypto';
import type { JsonObject, Patch } from '../../cluster/types.ts';
import { VmopError } from '../../errors.ts';
import { EXPIRY_KEY, PASSWORD_KEY, type DisplaySecret } from './display-secret.ts';

/** When a display password ends, as the Secret says it. */
export type Expiry =
  | { kind: 'never' }
  /** It is not valid. */
  | { kind: 'now' }
  /** So many seconds after the password is applied, anew at each start of the VM. */
  | { kind: 'after'; seconds: number }
  | { kind: 'at'; date: Date }
  /** QEMU takes any other text without complaint and lets the password expire. */
  | { kind: 'invalid'; text: string };

/** Beyond this a Date cannot say when. */
const LAST_EPOCH_SECOND = 8.64e12;

/** An absent expiry is `never`. */
export function parseExpiry(text: string | undefined): Expiry {
  if (text === undefined || text === 'never') return { kind: 'never' };
  if (text === 'now') return { kind: 'now' };
  const seconds = Number(/^\+?(\d+)$/.exec(text)?.[1] ?? Number.NaN);
  // `$` also matches before a line end, which QEMU would not take.
  if (text.includes('\n') || !(seconds <= LAST_EPOCH_SECOND)) return { kind: 'invalid', text };
  return text.startsWith('+') ? { kind: 'after', seconds } : { kind: 'at', date: new Date(seconds * 1000) };
}

/** Milliseconds from `now`, by the clock that ends it, to the end of a password that was applied just now. */
export function msUntilExpiry(expiry: Expiry, now: Date): number {
  switch (expiry.kind) {
    case 'never':
      return Number.POSITIVE_INFINITY;
    case 'after':
      return expiry.seconds * 1000;
    case 'at':
      return expiry.date.getTime() - now.getTime();
    default:
      return 0;
  }
}

export type PasswordDecision =
  { action: 'keep'; password: string } | { action: 'write'; password: string; expiry: string };

export interface PasswordPolicy {
  /** By the clock that ends it: the host's, as far as it is known. */
  now: Date;
  /** How long the password must still be valid to be kept, and how long a new one is. */
  validitySeconds: number;
  /** Write a new one in any case. */
  force?: boolean | undefined;
}

/** VM-Operator's rule: a password that never ends, or ends later than a new one would, is used as it is. */
export function decidePassword(
  secret: DisplaySecret,
  { now, validitySeconds, force = false }: PasswordPolicy,
): PasswordDecision {
  const ends = now.getTime() + validitySeconds * 1000;
  const { password } = secret;
  const expiry = parseExpiry(secret.expiry);
  const lasts = expiry.kind === 'never' || (expiry.kind === 'at' && expiry.date.getTime() > ends);
  if (!force && password !== undefined && lasts) return { action: 'keep', password };
  return { action: 'write', password: generatePassword(), expiry: epochAfter(now, validitySeconds) };
}

/** An expiry so many seconds from now. */
export function epochAfter(now: Date, seconds: number): string {
  return String(Math.floor(now.getTime() / 1000) + seconds);
}

/** 24 characters of base64: 16 bytes from the system's generator. */
export function generatePassword(): string {
  return randomBytes(16).toString('base64');
}

/** QEMU cuts off a longer one, or refuses it and keeps the old. */
const LONGEST_PASSWORD_BYTES = 59;

/** Why a text is not fit to be a display password; undefined when it is. Never shows it. */
export function passwordProblem(password: string): string | undefined {
  if (password === '') return 'the password is empty';
  if (!password.isWellFormed()) return 'the password holds half a character';
  if (password.includes('\uFFFD')) return 'the password holds bytes that are no UTF-8';
  if (/[\0\r\n]/.test(password)) return 'the password holds a line end or a NUL';
  const bytes = Buffer.byteLength(password);
  if (bytes <= LONGEST_PASSWORD_BYTES) return undefined;
  return `the password is ${bytes} bytes long, and SPICE takes at most ${LONGEST_PASSWORD_BYTES}`;
}

export interface PasswordChange {
  password?: string | undefined;
  /** `now`, `never`, `+seconds` or epoch seconds. */
  expiry?: string | undefined;
}

/** A change made only to the version that was read. Errors: `usage` for a password or expiry that QEMU would not take. */
export function passwordPatch(secret: DisplaySecret, { password, expiry }: PasswordChange): Patch {
  const problem = password === undefined ? undefined : passwordProblem(password);
  if (problem !== undefined) throw new VmopError('usage', problem);
  if (expiry !== undefined && parseExpiry(expiry).kind === 'invalid') {
    throw new VmopError('usage', `${JSON.stringify(expiry)} is not an expiry`, {
      hint: 'an expiry is now, never, +SECONDS, or a time in seconds since 1970',
    });
  }
  const data: JsonObject = {};
  if (password !== undefined) data[PASSWORD_KEY] = Buffer.from(password).toString('base64');
  if (expiry !== undefined) data[EXPIRY_KEY] = Buffer.from(expiry).toString('base64');
  return { type: 'merge', body: { metadata: { resourceVersion: secret.resourceVersion }, data } };
}
