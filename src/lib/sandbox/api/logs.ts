import type { ObjectRef } from '../../cluster/types.ts';
import type { Answer, ApiContext, KindRequest, PodLog } from './context.ts';
import { findObject } from './read.ts';
import { integerParameter, isTrue } from './request.ts';
import { ApiFailure } from './status.ts';

/** GET pods/NAME/log. */
export async function readPodLog(context: ApiContext, request: KindRequest): Promise<Answer> {
  const { namespace, name } = findObject(context, request);
  const text = await requestedLog(context.podLog, { namespace, name }, request.target.query);
  return { status: 200, text, contentType: 'text/plain' };
}

/** The log of a pod as a request's query wants it. Throws `ApiFailure`. */
export async function requestedLog(
  podLog: PodLog | undefined,
  { namespace, name }: ObjectRef,
  query: URLSearchParams,
): Promise<string> {
  const container = query.get('container');
  const tailLines = integerParameter(query, 'tailLines');
  const sinceSeconds = integerParameter(query, 'sinceSeconds');
  const text = await podLog?.(namespace, name, {
    ...(container ? { container } : {}),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
    timestamps: isTrue(query, 'timestamps'),
  });
  if (text === undefined) throw new ApiFailure(404, 'NotFound', `the pod "${name}" has no log`);
  return lastLines(text, tailLines);
}

/** The last lines, line ends kept; all of them where no number is given. */
export function lastLines(text: string, count: number | undefined): string {
  if (count === undefined) return text;
  const lines = text.split(/(?<=\n)/);
  return lines.slice(Math.max(0, lines.length - count)).join('');
}
