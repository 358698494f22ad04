import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

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
  return timingSafeEqual(digest(given), digest(secret));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** `moved`: what the link was made for is not there any more, or elsewhere. */
export type Redemption = 'accepted' | 'wrong' | 'used' | 'expired' | 'moved';

/** A secret that is accepted once, until a time, and only for the target that it was made for. */
export class LinkTicket {
  /** Goes into the link. */
  readonly text = newSecret();
  readonly #target: LinkTarget;
  readonly #expiresAt: number;
  #used = false;

  /** `expiresAt`: milliseconds, on the clock that `check` and `redeem` are told. */
  constructor(target: LinkTarget, expiresAt: number) {
    this.#target = target;
    this.#expiresAt = expiresAt;
  }

  /** What the text alone says; takes nothing. undefined: it is good, for its target. */
  check(text: string, now: number): 'wrong' | 'used' | 'expired' | undefined {
    if (!isSameSecret(text, this.text)) return 'wrong';
    if (this.#used) return 'used';
    return now >= this.#expiresAt ? 'expired' : undefined;
  }

  /** Takes the ticket when all is right; a wrong try leaves it as it is. `target`: what a session would open now. */
  redeem(text: string, target: LinkTarget, now: number): Redemption {
    const refused = this.check(text, now);
    if (refused !== undefined) return refused;
    const { vm, destination } = this.#target;
    if (vm !== target.vm || destination !== target.destination) return 'moved';
    this.#used = true;
    return 'accepted';
  }
}
