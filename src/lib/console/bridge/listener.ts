import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { VmopError, messageOf } from '../../errors.ts';
import { sanitize } from '../../text.ts';
import { LONGEST_SOCKET_PATH, type Endpoint, type LocalEndpoint } from '../reach/address.ts';
import { createPrivateFolder, temporaryPlace } from '../private-file.ts';
import type { Bridge } from './index.ts';

/** The door through which a viewer of this machine gets to a bridge: a socket, or host and port. */
export interface ViewerListener {
  endpoint: LocalEndpoint | Endpoint;
  socket?: string;
  /** Where the socket is, and nothing else. */
  folder?: string;
  host?: string;
  port?: number;
  /** Nobody comes in any more; who is in is the bridge's. */
  close(): Promise<void>;
}

/**
 * Opens a door: with `unix` a socket in a folder (0700) that only this user gets to, else a port of 127.0.0.1, where
 * other users of this machine meet the ticket. Both end with `close` and with this process; a process that is killed
 * outright leaves the folder with a dead socket, for whoever watches over it to remove. Errors: `console`.
 */
export async function listenForViewer(
  bridge: Pick<Bridge, 'accept'>,
  { unix, onFolder }: { unix: boolean; onFolder?: ((folder: string) => void) | undefined },
): Promise<ViewerListener> {
  // A viewer ends its side of a channel before it has heard all.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (viewer) => bridge.accept(viewer));
  try {
    return unix ? await listenOnSocket(server, onFolder) : await listenOnLoopback(server);
  } catch (error) {
    throw new VmopError('console', `no door for a viewer can be opened: ${sanitize(messageOf(error))}`, {
      cause: error,
    });
  }
}

async function listenOnSocket(
  server: Server,
  onFolder: ((folder: string) => void) | undefined,
): Promise<ViewerListener> {
  const folder = await createPrivateFolder(await temporaryPlace(LONGEST_PLACE), onFolder);
  const socket = path.join(folder.path, SOCKET);
  try {
    await listening(server.listen(socket));
  } catch (error) {
    await folder.remove();
    throw error;
  }
  const close = async (): Promise<void> => {
    server.close();
    await folder.remove();
  };
  return { endpoint: { unixPath: socket }, socket, folder: folder.path, close };
}

const SOCKET = 's';
/** A socket's path must be short, and a temporary folder may have any name. */
const LONGEST_PLACE = LONGEST_SOCKET_PATH - '/vmop-XXXXXX/'.length - SOCKET.length;

async function listenOnLoopback(server: Server): Promise<ViewerListener> {
  await listening(server.listen(0, HOST));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { port } = address;
  const source = 'the bridge';
  return {
    endpoint: { host: { value: HOST, source }, port: { value: port, source } },
    host: HOST,
    port,
    close: async () => {
      server.close();
    },
  };
}

const HOST = '127.0.0.1';

async function listening(server: Server): Promise<void> {
  await once(server, 'listening');
  // Later errors are of single connections that could not be accepted.
  server.on('error', () => {});
}
