/** What flags, configuration and annotations share. */

/** How long a new display password is valid, in whole seconds: QEMU knows no parts of them. */
export const DEFAULT_VALIDITY_SECONDS = 60;
/** For a page: as long as its link is good, and some time for it to connect. */
export const WEB_VALIDITY_SECONDS = 150;
export const LONGEST_VALIDITY_SECONDS = 86_400;

export function isValidity(seconds: number): boolean {
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= LONGEST_VALIDITY_SECONDS;
}

/** Through the API server: when the port is not reached directly, always, or never. */
export const TUNNEL_CHOICES = ['auto', 'always', 'never'] as const;
export type TunnelChoice = (typeof TUNNEL_CHOICES)[number];

/** What becomes of the desktop when its console session ends. */
export const DISCONNECT_ACTIONS = ['none', 'lock', 'logout', 'stop'] as const;
export type DisconnectAction = (typeof DISCONNECT_ACTIONS)[number];
