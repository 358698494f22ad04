import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import {
  CONTROL,
  dataFrame,
  finFrame,
  FrameReader,
  pingFrame,
  rstStreamFrame,
  synReplyFrame,
  type ControlFrame,
} from '../../cluster/forward/spdy-frames.ts';
import { dialPod, writeToPod } from './port-forward-pod.ts';
import { HeaderReader } from './spdy-headers.ts';

/** The two streams of one connection to a port. */
interface StreamPair {
  port: number;
  error?: number;
  data?: number;
}

/** Port-forward with SPDY in a WebSocket: any number of connections, each a stream of data and one for what went wrong. */
export function serveSpdy(websocket: WebSocket, pod: string): void {
  new SpdySession(websocket, pod).start();
}

class SpdySession {
  readonly #websocket: WebSocket;
  readonly #pod: string;
  readonly #headers = new HeaderReader();
  /** Waiting for their other half, by request id. */
  readonly #pairs = new Map<string, StreamPair>();
  /** By the number of their data stream. */
  readonly #sockets = new Map<number, Socket>();
  #replies = 0;

  constructor(websocket: WebSocket, pod: string) {
    this.#websocket = websocket;
    this.#pod = pod;
  }

  start(): void {
    const reader = new FrameReader({
      control: (frame) => this.#control(frame),
      data: (streamId, bytes) => {
        const socket = this.#sockets.get(streamId);
        if (socket) writeToPod(this.#websocket, socket, bytes);
      },
      fin: (streamId) => this.#sockets.get(streamId)?.end(),
    });
    this.#websocket.on('message', (message) => {
      try {
        if (Buffer.isBuffer(message)) reader.read(message);
      } catch {
        this.#websocket.terminate();
      }
    });
    this.#websocket.once('close', () => this.#headers.close());
  }

  #control({ type, payload }: ControlFrame): void {
    if (payload.length < 4) return;
    const id = payload.readUInt32BE();
    if (type === CONTROL.synStream) {
      this.#headers
        .read(payload.subarray(10))
        .then((headers) => this.#open(id, headers))
        .catch(() => this.#websocket.terminate());
    } else if (type === CONTROL.rstStream) this.#sockets.get(id)?.destroy();
    // Clients' pings are odd.
    else if (type === CONTROL.ping && id % 2 === 1) this.#send(pingFrame(id));
    else if (type === CONTROL.goAway) this.#websocket.close(1000);
  }

  #open(streamId: number, headers: ReadonlyMap<string, string>): void {
    const port = Number(headers.get('port'));
    const kind = headers.get('streamtype');
    if (!(port >= 1 && port <= 65535) || (kind !== 'error' && kind !== 'data')) {
      this.#send(rstStreamFrame(streamId));
      return;
    }
    this.#send(synReplyFrame(streamId, { first: this.#replies++ === 0 }));
    const request = headers.get('requestid') ?? '';
    const pair = this.#pairs.get(request) ?? { port };
    pair[kind] = streamId;
    this.#pairs.set(request, pair);
    if (pair.error === undefined || pair.data === undefined) return;
    this.#pairs.delete(request);
    this.#connect(pair.data, pair.error, port);
  }

  #connect(data: number, error: number, port: number): void {
    let over = false;
    const end = (): void => {
      if (!over) this.#send(finFrame(data));
      over = true;
    };
    const socket = dialPod(this.#websocket, this.#pod, port, {
      encode: (bytes) => dataFrame(data, bytes),
      connected: () => this.#send(finFrame(error)),
      ended: end,
      failed: (text) => {
        end();
        this.#send(dataFrame(error, Buffer.from(text), true));
      },
      closed: () => {
        this.#sockets.delete(data);
        end();
      },
    });
    this.#sockets.set(data, socket);
  }

  #send(frame: Buffer): void {
    this.#websocket.send(frame, () => {});
  }
}
