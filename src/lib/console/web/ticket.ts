import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** What a link opens: worthless for anything else. */
export interface LinkTarget {
  /** Namespace and name, best with the uid. */
  vm: string;
  /** Where its display is: host and port. */
  destination: string;
}

const SECRET_BYTES = 32;

/** 32 bytes from the system's generator, fit for URLs. */
export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** Compares in a time that tells nothing about the secret. */
export function isSameSecret(given: string, secret: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(secret));
}

export type Redemption = 'accepted' | 'wrong' | 'used' | 'expired';

/**
 * A secret that is accepted once, until a time, and only for the target that it was made for: what is kept is a MAC of
 * target and expiry under the secret, not the secret itself.
 */
export class LinkTicket {
  /** Goes into the link. */
  readonly text = newSecret();
  readonly #expiresAt: number;
  readonly #mac: Buffer;
  #used = false;

  /** `expiresAt`: milliseconds, on the clock that `redeem` is told. */
  constructor(target: LinkTarget, expiresAt: number) {
    this.#expiresAt = expiresAt;
    this.#mac = macOf(this.text, target, expiresAt);
  }

  /** Takes the ticket when all is right; a wrong try leaves it as it is. `target`: what a session would open now. */
  redeem(text: string, target: LinkTarget, now: number): Redemption {
    if (!timingSafeEqual(macOf(text, target, this.#expiresAt), this.#mac)) return 'wrong';
    if (this.#used) return 'used';
    if (now >= this.#expiresAt) return 'expired';
    this.#used = true;
    return 'accepted';
  }
}

function macOf(secret: string, { vm, destination }: LinkTarget, expiresAt: number): Buffer {
  return createHmac('sha256', secret)
    .update(JSON.stringify([vm, destination, expiresAt]))
    .digest();
}
