import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { CHANNEL_PROTOCOL, SPDY_PROTOCOL } from '../../cluster/forward/framing.ts';
import type { Identity } from '../../cluster/types.ts';
import { asObject } from '../../cluster/parse.ts';
import { forbidden, isAllowed } from './authorize.ts';
import type { ApiContext, KindRequest } from './context.ts';
import { serveChannels } from './port-forward-channels.ts';
import { serveSpdy } from './port-forward-spdy.ts';
import { findObject } from './read.ts';
import { ApiFailure, badRequest } from './status.ts';

/** A request whose connection becomes something else. */
export interface UpgradeRequest {
  message: IncomingMessage;
  socket: Socket;
  /** What came behind the request. */
  head: Buffer;
  /** HTTP has nothing more to do with the socket. */
  detach: () => void;
}

/** GET pods/NAME/portforward. Throws `ApiFailure` as long as HTTP is spoken. */
export async function servePortForward(
  context: ApiContext,
  request: KindRequest,
  identity: Identity,
  upgrade: UpgradeRequest | undefined,
): Promise<void> {
  authorizeCreation(context, request, identity);
  const { name, namespace, object } = findObject(context, request);
  if (!asObject(object['spec'])['nodeName']) throw badRequest(`pod ${name} does not have a host assigned`);
  if (upgrade === undefined) throw badRequest('Upgrade request required');
  // From here on it is the kubelet that answers.
  if (asObject(object['status'])['phase'] !== 'Running') {
    throw new ApiFailure(500, 'InternalError', `pod not found ("${name}_${namespace}")`);
  }
  const ports = portsOf(request.target.query);
  const offered = (upgrade.message.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((one) => one.trim());
  const protocol = [SPDY_PROTOCOL, CHANNEL_PROTOCOL].find((one) => offered.includes(one));
  if (protocol === undefined) throw badRequest(`unable to upgrade: unknown protocols: ${offered.join(', ')}`);
  if (protocol === CHANNEL_PROTOCOL && ports.length === 0)
    throw badRequest('query parameter "port" is required');
  const websocket = await openWebSocket(upgrade, protocol);
  if (protocol === SPDY_PROTOCOL) serveSpdy(websocket, name);
  else serveChannels(websocket, name, ports);
}

/** Reading would not be dangerous enough a verb for this: as in Kubernetes whoever may not create may not forward. */
function authorizeCreation({ rules }: ApiContext, { resource }: KindRequest, identity: Identity): void {
  const { group, plural, namespace, name, subresource } = resource;
  const attributes = {
    group,
    resource: plural,
    ...(subresource === undefined ? {} : { subresource }),
    verb: 'create',
    namespace,
    name,
  };
  if (!isAllowed(rules, identity, attributes)) throw forbidden(identity, attributes);
}

function portsOf(query: URLSearchParams): number[] {
  return query
    .getAll('ports')
    .flatMap((list) => list.split(','))
    .map((text) => {
      const port = Number(text);
      if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65535) {
        throw badRequest(`unable to parse "${text}" as a port`);
      }
      return port;
    });
}

async function openWebSocket(upgrade: UpgradeRequest, protocol: string): Promise<WebSocket> {
  const { WebSocketServer } = await import('ws');
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
  });
  // Kept from `ws`, which takes only names that are tokens of HTTP.
  delete upgrade.message.headers['sec-websocket-protocol'];
  server.on('headers', (lines) => lines.push(`Sec-WebSocket-Protocol: ${protocol}`));
  return new Promise((resolve, reject) => {
    server.once('wsClientError', (error) => reject(badRequest(error.message)));
    server.handleUpgrade(upgrade.message, upgrade.socket, upgrade.head, (websocket) => {
      upgrade.detach();
      // Without a listener an error would end the process; the connection closes after it.
      websocket.on('error', () => {});
      resolve(websocket);
    });
  });
}
