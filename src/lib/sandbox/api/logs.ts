import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ObjectRef } from '../../cluster/types.ts';
import type { ApiContext, KindRequest, PodLog } from './context.ts';
import { findObject } from './read.ts';
import { integerParameter, isTrue } from './request.ts';
import { ApiFailure } from './status.ts';

/** GET pods/NAME/log. Throws `ApiFailure`. */
export async function servePodLog(
  context: ApiContext,
  request: KindRequest,
  response: ServerResponse,
): Promise<void> {
  const { namespace, name } = findObject(context, request);
  await sendLog(context.podLog, { namespace, name }, request.target.query, response);
}

/** Answers with the log of a pod as a request's query wants it. Throws `ApiFailure` before it has sent anything. */
export async function sendLog(
  podLog: PodLog | undefined,
  pod: ObjectRef,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> {
  const log = await requestedLog(podLog, pod, query);
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  if (typeof log === 'string') {
    response.end(log);
    return;
  }
  response.flushHeaders();
  // Whoever follows goes when they please.
  await pipeline(log, response).catch(() => {});
}

async function requestedLog(
  podLog: PodLog | undefined,
  { namespace, name }: ObjectRef,
  query: URLSearchParams,
): Promise<string | Readable> {
  const container = query.get('container');
  const tailLines = integerParameter(query, 'tailLines');
  const sinceSeconds = integerParameter(query, 'sinceSeconds');
  const log = await podLog?.(namespace, name, {
    ...(container ? { container } : {}),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
    ...(isTrue(query, 'follow') ? { follow: true } : {}),
    timestamps: isTrue(query, 'timestamps'),
  });
  if (log === undefined) throw new ApiFailure(404, 'NotFound', `the pod "${name}" has no log`);
  return typeof log === 'string' ? lastLines(log, tailLines) : log;
}

/** The last lines, line ends kept; all of them where no number is given. */
export function lastLines(text: string, count: number | undefined): string {
  if (count === undefined) return text;
  const lines = text.split(/(?<=\n)/);
  return lines.slice(Math.max(0, lines.length - count)).join('');
}
