import type http from 'node:http';
import { WebSocket } from 'ws';

export interface WebSocketRequest {
  url: URL;
  protocols: string[];
  headers: http.OutgoingHttpHeaders;
  agent: http.Agent;
  /** Gives up until the answer is here; then it does nothing more. */
  signal: AbortSignal;
}

export type Upgrade =
  /** Open, and paused, so that nothing is lost before it is read; `protocol` is what the server chose. */
  { websocket: WebSocket; protocol: string } | { refusal: http.IncomingMessage };

/** Servers send at once what they have read: far less. */
const MAX_MESSAGE = 16 * 1024 * 1024;

/** Kept from `ws`, which takes only names that are tokens of HTTP: Kubernetes has one with a slash. */
const PROTOCOL_HEADER = 'sec-websocket-protocol';

/** One attempt. Rejects with the system's error, or the signal's reason; throws for headers that cannot be sent. */
export async function openWebSocket(request: WebSocketRequest): Promise<Upgrade> {
  const { url, protocols, headers, agent, signal } = request;
  signal.throwIfAborted();
  let abandon = (): void => {};
  const websocket = new WebSocket(url, {
    agent,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE,
    finishRequest(sent) {
      sent.setHeader(PROTOCOL_HEADER, protocols.join(', '));
      for (const [name, value] of Object.entries(headers))
        if (value !== undefined) sent.setHeader(name, value);
      abandon = () => sent.destroy(signal.reason);
      sent.end();
    },
  });
  signal.addEventListener('abort', abandon, { once: true });
  try {
    return await new Promise<Upgrade>((resolve, reject) => {
      let protocol = '';
      websocket.once('upgrade', ({ headers: answered }) => {
        protocol = answered[PROTOCOL_HEADER] ?? '';
        delete answered[PROTOCOL_HEADER];
      });
      websocket.once('open', () => {
        websocket.pause();
        resolve({ websocket, protocol });
      });
      websocket.once('unexpected-response', (_sent, refusal) => resolve({ refusal }));
      // Stays for good: an error that nobody listens for would end the process.
      websocket.on('error', reject);
    });
  } finally {
    signal.removeEventListener('abort', abandon);
  }
}
