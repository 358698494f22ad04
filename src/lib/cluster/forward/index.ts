import { once } from 'node:events';
import type http from 'node:http';
import { addAbortSignal, type Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { VmopError } from '../../errors.ts';
import { ApiError, parseStatus } from '../api-error.ts';
import { objectPath } from '../paths.ts';
import type { ConnectionOptions } from '../transport.ts';
import type { ObjectRef } from '../types.ts';
import { forwardRefusal, portRefusal } from './errors.ts';
import { CHANNEL_PROTOCOL, SPDY_PROTOCOL } from './framing.ts';
import { ForwardStream } from './stream.ts';
import { openWebSocket, type WebSocketClient } from './websocket.ts';

export interface ForwardRequest {
  /** What each attempt is made with. */
  connect: (signal: AbortSignal) => Promise<ConnectionOptions>;
  pod: ObjectRef;
  port: number;
  /** Ends the attempt, and later the connection. */
  signal: AbortSignal;
  /** For the attempt; 0: none. */
  timeoutMs: number;
}

const PODS = { group: '', version: 'v1', plural: 'pods', namespaced: true };
/** Both in one request: servers before 1.31 pass over the first. */
const PROTOCOLS = [SPDY_PROTOCOL, CHANNEL_PROTOCOL];

/** `Cluster.forward`. */
export async function forwardPort(request: ForwardRequest): Promise<Duplex> {
  const { signal, timeoutMs, port, pod } = request;
  const late = timeoutMs > 0 ? AbortSignal.timeout(timeoutMs) : undefined;
  const attempt = late ? AbortSignal.any([signal, late]) : signal;
  try {
    return await opened(await openSocket(request, attempt), request, attempt);
  } catch (error) {
    signal.throwIfAborted();
    if (late?.aborted !== true) throw error;
    const seconds = Math.round(timeoutMs / 100) / 10;
    const message = `port ${port} of pod "${pod.name}" was not opened by the API server within ${seconds} s`;
    throw new VmopError('unreachable', message, {
      hint: 'is its node reachable? --request-timeout allows more time',
      cause: error,
    });
  }
}

interface OpenSocket {
  websocket: WebSocketClient;
  protocol: string;
}

async function openSocket({ connect, pod, port }: ForwardRequest, signal: AbortSignal): Promise<OpenSocket> {
  const path = objectPath(PODS, pod, 'portforward', { ports: port });
  for (let last = false; ; last = true) {
    const { server, agent, headers, refused, unauthorized, explain } = await connect(signal);
    const url = new URL(server + path);
    try {
      const answer = await openWebSocket({ url, protocols: PROTOCOLS, headers, agent, signal });
      if ('websocket' in answer) return answer;
      const { refusal } = answer;
      // A token that ran out since it was read: with a new one, once.
      const again = refusal.statusCode === 401 && !last && (await refused());
      const error = await readRefusal(addAbortSignal(signal, refusal));
      if (refusal.statusCode === 401 && !again) throw unauthorized(error.status);
      if (!again) throw forwardRefusal(error, pod);
    } catch (error) {
      throw error instanceof VmopError ? error : explain(error);
    }
  }
}

/** More of an answer than this is no message. */
const MAX_REFUSAL = 64 * 1024;

async function readRefusal(response: http.IncomingMessage): Promise<ApiError> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > MAX_REFUSAL) break;
  }
  return new ApiError(parseStatus(response.statusCode ?? 0, response.headers['retry-after'], text));
}

/** Resolves to the connection when the node takes data for it. */
async function opened(
  { websocket, protocol }: OpenSocket,
  { pod, port, signal }: ForwardRequest,
  attempt: AbortSignal,
): Promise<Duplex> {
  const name = `port ${port} of pod "${pod.name}"`;
  const explain = (text: string) => portRefusal(text, pod, port);
  const stream = new ForwardStream(websocket, protocol, { name, port, explain });
  const abort = (): void => void stream.destroy(abortError(signal));
  signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', abort));
  let failure: unknown;
  const note = (error: unknown): void => {
    failure = error;
  };
  // Until somebody else listens to the stream.
  stream.on('error', note);
  try {
    await once(stream, 'opened', { signal: attempt });
    // What the node says against it may stand right behind: then there is no stream to hand out.
    await turn();
    if (failure !== undefined) throw failure;
  } catch (error) {
    stream.destroy();
    throw error;
  }
  stream.off('error', note);
  return stream;
}

/** A stream is destroyed with an error only, a signal aborted with anything. */
function abortError({ reason }: AbortSignal): Error {
  return reason instanceof Error
    ? reason
    : new VmopError('interrupted', 'the connection to the port is not wanted any more', { cause: reason });
}
