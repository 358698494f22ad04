import net from 'node:net';
import type { WebSocket } from 'ws';

/** How one forwarded connection's client is spoken to. */
export interface ForwardClient {
  /** The bytes as a message. */
  encode: (bytes: Buffer) => Buffer;
  /** The port answers: nothing more goes wrong from here on. */
  connected: () => void;
  /** The port says nothing more. */
  ended: () => void;
  /** There was no connection to the port. */
  failed: (text: string) => void;
  /** The connection is over, in both directions. */
  closed: () => void;
}

/** More than this on its way to a client that does not read: the port has to wait. */
const MAX_BUFFERED = 1024 * 1024;

/**
 * Connects to a port of a pod with host network, on this machine. What the port says is sent; what the client says is
 * written into the socket, and where the socket cannot take it, the whole WebSocket waits.
 */
export function dialPod(websocket: WebSocket, pod: string, port: number, client: ForwardClient): net.Socket {
  const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
  let connected = false;
  socket.on('connect', () => {
    connected = true;
    client.connected();
  });
  socket.on('data', (bytes: Buffer) => {
    if (websocket.bufferedAmount < MAX_BUFFERED) {
      websocket.send(client.encode(bytes));
      return;
    }
    socket.pause();
    websocket.send(client.encode(bytes), () => socket.resume());
  });
  socket.on('end', () => client.ended());
  socket.on('error', (error) => {
    if (!connected) client.failed(refusal(pod, port, error));
  });
  const end = (): void => void socket.destroy();
  websocket.once('close', end);
  socket.on('close', () => {
    websocket.off('close', end);
    client.closed();
  });
  return socket;
}

/** Writes what the client says, and holds the WebSocket back while the socket has enough. */
export function writeToPod(websocket: WebSocket, socket: net.Socket, bytes: Buffer): void {
  if (socket.writable && !socket.write(bytes) && !websocket.isPaused) {
    websocket.pause();
    const resume = (): void => {
      socket.off('drain', resume);
      socket.off('close', resume);
      websocket.resume();
    };
    socket.on('drain', resume);
    socket.on('close', resume);
  }
}

/** As a kubelet with containerd puts it. */
function refusal(pod: string, port: number, error: Error): string {
  return (
    `error forwarding port ${port} to pod ${pod}, uid : failed to execute portforward in network namespace "host": ` +
    `failed to connect to localhost:${port} inside namespace "host", IPv4: dial tcp4 127.0.0.1:${port}: ` +
    `connect: ${reason(error)}`
  );
}

function reason(error: Error): string {
  return 'code' in error && error.code === 'ECONNREFUSED' ? 'connection refused' : error.message;
}
