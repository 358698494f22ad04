import type { Answer, ApiContext, KindRequest } from './context.ts';
import { findObject } from './read.ts';
import { integerParameter, isTrue } from './request.ts';
import { ApiFailure } from './status.ts';

/** GET pods/NAME/log. */
export async function readPodLog(context: ApiContext, request: KindRequest): Promise<Answer> {
  const { namespace, name } = findObject(context, request);
  const { query } = request.target;
  const container = query.get('container');
  const tailLines = integerParameter(query, 'tailLines');
  const sinceSeconds = integerParameter(query, 'sinceSeconds');
  const text = await context.podLog?.(namespace, name, {
    ...(container ? { container } : {}),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
    timestamps: isTrue(query, 'timestamps'),
  });
  if (text === undefined) throw new ApiFailure(404, 'NotFound', `the pod "${name}" has no log`);
  return { status: 200, text: lastLines(text, tailLines), contentType: 'text/plain' };
}

/** The last lines, line ends kept; all of them where no number is given. */
export function lastLines(text: string, count: number | undefined): string {
  if (count === undefined) return text;
  const lines = text.split(/(?<=\n)/);
  return lines.slice(Math.max(0, lines.length - count)).join('');
}
