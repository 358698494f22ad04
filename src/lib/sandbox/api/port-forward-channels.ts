import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { dialPod, writeToPod } from './port-forward-pod.ts';

/**
 * Port-forward with `v4.channel.k8s.io`: each message begins with the number of its channel, two for each port: its
 * data, and what went wrong. It is over when all ports' connections are.
 */
export function serveChannels(websocket: WebSocket, pod: string, ports: readonly number[]): void {
  const message = (channel: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.from([channel]), bytes]);
  let open = ports.length;
  const sockets = ports.map((port, index): Socket => {
    const dataChannel = 2 * index;
    const number = Buffer.alloc(2);
    number.writeUInt16LE(port);
    websocket.send(message(dataChannel, number));
    websocket.send(message(dataChannel + 1, number));
    return dialPod(websocket, pod, port, {
      encode: (bytes) => message(dataChannel, bytes),
      connected: () => {},
      // There is no message for the end of one direction.
      ended: () => sockets[index]?.end(),
      failed: (text) => websocket.send(message(dataChannel + 1, Buffer.from(text))),
      closed: () => {
        open -= 1;
        if (open === 0) websocket.close(1000);
      },
    });
  });
  websocket.on('message', (bytes) => {
    if (!Buffer.isBuffer(bytes)) return;
    const channel = bytes[0] ?? -1;
    const socket = channel % 2 === 0 ? sockets[channel / 2] : undefined;
    if (socket) writeToPod(websocket, socket, bytes.subarray(1));
  });
}
