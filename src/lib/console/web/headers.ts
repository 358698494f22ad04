/** What the browser shall deny the page, and others: sent with every answer. `socketOrigin`: `ws://…` or `wss://…`. */
export function securityHeaders(socketOrigin: string): Record<string, string> {
  return {
    'content-security-policy': [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      // Not every browser takes 'self' for WebSockets, too.
      `connect-src 'self' ${socketOrigin}`,
      // The client's pictures and its sound are data and blob URLs.
      "img-src 'self' data: blob:",
      'media-src blob:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ].join('; '),
    'permissions-policy':
      'camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), ' +
      'clipboard-read=(self), clipboard-write=(self), fullscreen=(self)',
    'cache-control': 'no-store',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  };
}
