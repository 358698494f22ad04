/** Words that flags, configuration and annotations share. */

/** Through the API server: when the port is not reached directly, always, or never. */
export const TUNNEL_CHOICES = ['auto', 'always', 'never'] as const;
export type TunnelChoice = (typeof TUNNEL_CHOICES)[number];

/** What becomes of the desktop when its console session ends. */
export const DISCONNECT_ACTIONS = ['none', 'lock', 'logout', 'stop'] as const;
export type DisconnectAction = (typeof DISCONNECT_ACTIONS)[number];
